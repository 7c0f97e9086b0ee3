// SPDX-License-Identifier: Apache-2.0
//
// --hadal-decompose: losses become rows and a sum, scaled tensors their elements and scales.

#include "passes/Fuse/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Transforms/DialectConversion.h"

namespace hadal {
#define GEN_PASS_DEF_DECOMPOSEPASS
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

// --- losses ---

void decompose(CrossEntropyOp op) {
  OpBuilder builder(op);
  auto rows =
      CrossEntropyRowsOp::create(builder, op.getLoc(), op.getLogits(), op.getIds(), op.getOffset());
  auto loss = ReduceLossOp::create(builder, op.getLoc(), rows.getRowLoss(), op.getDivisor());
  op->replaceAllUsesWith(ValueRange{loss.getLoss(), rows.getLogSumExp()});
  op->erase();
}

void decompose(SequenceBalanceOp op) {
  OpBuilder builder(op);
  auto rows = SequenceBalanceRowsOp::create(builder, op.getLoc(), op.getScores(), op.getTopK(),
                                            op.getAlpha());
  int64_t sequences = cast<RankedTensorType>(op.getScores().getType()).getDimSize(0);
  auto loss = ReduceLossOp::create(builder, op.getLoc(), rows.getRowLoss(), sequences);
  op->replaceAllUsesWith(ValueRange{loss.getLoss(), rows.getFractions()});
  op->erase();
}

// --- attention ---

void decompose(AttentionGradientOp op) {
  OpBuilder builder(op);
  auto heads = AttentionGradientHeadsOp::create(
      builder, op.getLoc(), op.getGradient(), op.getQuery(), op.getKeyValue(), op.getKeyRotary(),
      op.getOutput(), op.getLogSumExp(), op.getHeads(), op.getScale());
  auto sum = SumHeadsOp::create(builder, op.getLoc(), heads.getKeyRotaryGradients());
  op->replaceAllUsesWith(
      ValueRange{heads.getQueryGradient(), heads.getKeyValueGradient(), sum.getResult()});
  op->erase();
}

// --- scaled tensors: 1:N ---

bool isScaled(Type type) { return isa<ScaledType>(type); }

struct ScaledConverter : TypeConverter {
  ScaledConverter() {
    addConversion([](Type type) { return type; });
    addConversion(
        [](ScaledType type, SmallVectorImpl<Type> &parts) -> std::optional<LogicalResult> {
          parts.push_back(type.elementsType());
          parts.push_back(type.scalesType());
          return success();
        });
  }
};

SmallVector<Value> flatten(ArrayRef<ValueRange> ranges) {
  SmallVector<Value> values;
  for (ValueRange range : ranges)
    llvm::append_range(values, range);
  return values;
}

struct QuantizePattern : OpConversionPattern<QuantizeOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(QuantizeOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<ScaledType>(op.getType());
    auto tiles = QuantizeTilesOp::create(
        rewriter, op.getLoc(), TypeRange{type.elementsType(), type.scalesType()},
        adaptor.getInput().front(), op.getAmaxFloorAttr(), TypeAttr::get(type.getElement()),
        rewriter.getI64IntegerAttr(type.getTileRows()),
        rewriter.getI64IntegerAttr(type.getTileColumns()),
        rewriter.getBoolAttr(type.getRule() == TileScale::PowerOfTwo));
    rewriter.replaceOpWithMultiple(op, {tiles.getResults()});
    return success();
  }
};

struct DequantizePattern : OpConversionPattern<DequantizeOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(DequantizeOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = cast<ScaledType>(op.getInput().getType());
    rewriter.replaceOpWithNewOp<DequantizeTilesOp>(
        op, op.getResult().getType(), adaptor.getInput()[0], adaptor.getInput()[1],
        rewriter.getI64IntegerAttr(type.getTileRows()),
        rewriter.getI64IntegerAttr(type.getTileColumns()));
    return success();
  }
};

struct ApplyPattern : OpConversionPattern<ApplyOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(ApplyOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    SmallVector<Type> types;
    SmallVector<size_t> parts;
    for (Type type : op.getResultTypes()) {
      size_t first = types.size();
      if (failed(getTypeConverter()->convertType(type, types)))
        return failure();
      parts.push_back(types.size() - first);
    }
    auto apply = ApplyOp::create(rewriter, op.getLoc(), types, flatten(adaptor.getOperands()),
                                 op->getAttrs());
    SmallVector<ValueRange> replacements;
    ValueRange rest = apply.getOutputs();
    for (size_t count : parts) {
      replacements.push_back(rest.take_front(count));
      rest = rest.drop_front(count);
    }
    rewriter.replaceOpWithMultiple(op, replacements);
    return success();
  }
};

struct ReturnPattern : OpConversionPattern<func::ReturnOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(func::ReturnOp op, OneToNOpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<func::ReturnOp>(op, flatten(adaptor.getOperands()));
    return success();
  }
};

/// The attributes of arguments or results, one for each part.
SmallVector<Attribute> spread(ArrayAttr attributes, TypeRange types, MLIRContext *context) {
  SmallVector<Attribute> parts;
  for (auto [at, type] : llvm::enumerate(types)) {
    Attribute own = attributes ? attributes[at] : DictionaryAttr::get(context);
    parts.append(isScaled(type) ? 2 : 1, own);
  }
  return parts;
}

struct FunctionPattern : OpConversionPattern<func::FuncOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(func::FuncOp op, OpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    FunctionType type = op.getFunctionType();
    TypeConverter::SignatureConversion signature(type.getNumInputs());
    SmallVector<Type> results;
    if (failed(getTypeConverter()->convertSignatureArgs(type.getInputs(), signature)) ||
        failed(getTypeConverter()->convertTypes(type.getResults(), results)))
      return failure();
    if (!op.isExternal())
      rewriter.applySignatureConversion(&op.getBody().front(), signature, getTypeConverter());
    rewriter.modifyOpInPlace(op, [&] {
      SmallVector<Attribute> arguments =
                                 spread(op.getArgAttrsAttr(), type.getInputs(), getContext()),
                             outputs =
                                 spread(op.getResAttrsAttr(), type.getResults(), getContext());
      op.setFunctionType(FunctionType::get(getContext(), signature.getConvertedTypes(), results));
      op.setArgAttrsAttr(rewriter.getArrayAttr(arguments));
      op.setResAttrsAttr(rewriter.getArrayAttr(outputs));
    });
    return success();
  }
};

struct Decompose : hadal::impl::DecomposePassBase<Decompose> {
  using DecomposePassBase::DecomposePassBase;

  /// Whether there is anything scaled, and nothing that its parts cannot stand for.
  LogicalResult checkScaled(bool &any) {
    auto result = getOperation()->walk([&](Operation *op) {
      if (isa<ScaledLinearOp>(op)) {
        op->emitOpError("has no kernel on this target: expected products of dequantised operands");
        return WalkResult::interrupt();
      }
      if (auto function = dyn_cast<func::FuncOp>(op)) {
        any |= llvm::any_of(function.getFunctionType().getInputs(), isScaled) ||
               llvm::any_of(function.getFunctionType().getResults(), isScaled);
        for (unsigned at = 0; at < function.getNumArguments(); ++at)
          if (isScaled(function.getArgument(at).getType()) && bindingOf(function, at)) {
            function.emitOpError("argument ")
                << at << ": expected a bound argument of a builtin type, found "
                << function.getArgument(at).getType();
            return WalkResult::interrupt();
          }
        return WalkResult::advance();
      }
      bool scaled = llvm::any_of(op->getOperandTypes(), isScaled) ||
                    llvm::any_of(op->getResultTypes(), isScaled);
      any |= scaled;
      if (scaled && !isa<QuantizeOp, DequantizeOp, ApplyOp, func::ReturnOp>(op)) {
        op->emitOpError("expected builtin tensors, found a scaled one");
        return WalkResult::interrupt();
      }
      return WalkResult::advance();
    });
    return failure(result.wasInterrupted());
  }

  LogicalResult splitScaled() {
    ScaledConverter converter;
    ConversionTarget target(getContext());
    target.markUnknownOpDynamicallyLegal([](Operation *op) {
      return llvm::none_of(op->getOperandTypes(), isScaled) &&
             llvm::none_of(op->getResultTypes(), isScaled);
    });
    target.addDynamicallyLegalOp<func::FuncOp>([](func::FuncOp function) {
      return llvm::none_of(function.getFunctionType().getInputs(), isScaled) &&
             llvm::none_of(function.getFunctionType().getResults(), isScaled);
    });
    target.addLegalOp<ModuleOp>();
    RewritePatternSet patterns(&getContext());
    patterns.add<QuantizePattern, DequantizePattern, ApplyPattern, ReturnPattern, FunctionPattern>(
        converter, &getContext());
    return applyPartialConversion(getOperation(), target, std::move(patterns));
  }

  template <typename OpTy> void decomposeAll() {
    getOperation()->walk([&](OpTy op) {
      decompose(op);
      ++decomposed;
    });
  }

  void runOnOperation() override {
    decomposeAll<CrossEntropyOp>();
    decomposeAll<SequenceBalanceOp>();
    decomposeAll<AttentionGradientOp>();
    bool scaled = false;
    if (failed(checkScaled(scaled)) || (scaled && failed(splitScaled())))
      signalPassFailure();
  }
};

} // namespace
