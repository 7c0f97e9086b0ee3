// SPDX-License-Identifier: Apache-2.0
//
// The family of kernels of one op. See Single.h.

#include "codegen/Cpu/Single.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal::cpu {

// --- the body ---

Value SingleWriter::pointerOf(Value operand) const {
  return b.pointers[cast<BlockArgument>(operand).getArgNumber()];
}

Value SingleWriter::resultOf(Value result) const {
  KernelOp op = kernel;
  unsigned at = op.getNumOperands();
  for (OpOperand &yielded : op.getBody().front().getTerminator()->getOpOperands()) {
    if (yielded.get() == result)
      return b.pointers[at];
    at += op.getUpdatedOperand(yielded.getOperandNumber()) < 0;
  }
  return {};
}

Value SingleWriter::scalarOf(Value operand) const {
  Type element = cast<RankedTensorType>(operand.getType()).getElementType();
  return b.load(element, pointerOf(operand), b.index(0));
}

void SingleWriter::blocks(Value count, int64_t block, function_ref<void(Value, Value)> body) {
  b.loop(b.begin, b.end, 1, [&](Value at) {
    Value first = b.mul(at, block);
    body(first, b.minimum(b.index(block), b.sub(count, first)));
  });
}

// --- the family ---

namespace {

/// The region's op, if it is the only one.
Operation *onlyOp(KernelOp kernel) {
  auto ops = kernel.getBody().front().without_terminator();
  return llvm::hasSingleElement(ops) ? &*ops.begin() : nullptr;
}

/// Calls `visit` with the op as what it is; false for an op that is not of this family.
template <typename Visit> bool dispatch(Operation *op, Visit &&visit) {
  return TypeSwitch<Operation *, bool>(op)
      .Case<AccumulateOp, AccumulateCountsOp, AccumulateSquaresOp, AdamwOp, BiasUpdateOp,
            ClipFactorOp, EmbeddingGradientOp, ExchangeLayoutOp, ReduceLossOp,
            RmsNormWeightGradientOp, SequenceBalanceRowsOp, SortByExpertOp, SortReceivedOp,
            SquareSumOp>([&](auto op) {
        visit(op);
        return true;
      })
      .Default([](Operation *) { return false; });
}

/// The op's name, its attributes (offset and divisor aside: passed at the launch), which operands
/// it reads twice, and which results are read.
std::string keyOf(KernelOp kernel, Operation *op) {
  std::string key = op->getName().stripDialect().str();
  llvm::raw_string_ostream out(key);
  for (NamedAttribute attribute : op->getAttrDictionary())
    if (attribute.getName() != "offset" && attribute.getName() != "divisor")
      out << " " << attribute.getName().getValue() << "=" << attribute.getValue();
  for (Value operand : op->getOperands())
    out << " " << cast<BlockArgument>(operand).getArgNumber();
  for (Value yielded : kernel.getBody().front().getTerminator()->getOperands())
    if (auto result = dyn_cast<OpResult>(yielded))
      out << " >" << result.getResultNumber();
  return key;
}

struct SingleEmitter : KernelEmitter {
  StringRef name() const override { return "single"; }
  bool accepts(KernelOp kernel) const override {
    Operation *op = onlyOp(kernel);
    return op && dispatch(op, [](auto) {});
  }

  KernelConfig configure(KernelOp kernel, const Target &) const override {
    Operation *op = onlyOp(kernel);
    KernelConfig config;
    config.key = keyOf(kernel, op);
    dispatch(op, [&](auto op) { configureSingle(op, config); });
    return config;
  }

  LogicalResult emit(KernelOp kernel, const KernelConfig &, KernelBuilder &b) const override {
    SingleWriter writer(b, kernel);
    dispatch(onlyOp(kernel), [&](auto op) { emitSingle(writer, op); });
    return success();
  }
};

} // namespace

const KernelEmitter &singleEmitter() {
  static const SingleEmitter emitter;
  return emitter;
}

} // namespace hadal::cpu
