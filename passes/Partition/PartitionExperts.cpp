// SPDX-License-Identifier: Apache-2.0
//
// --hadal-partition-experts: a layer's experts on several ranks.

#include "passes/Differentiate/Settings.h"
#include "passes/Partition/Passes.h"
#include "passes/Partition/SplitExperts.h"

namespace hadal {
#define GEN_PASS_DEF_PARTITIONEXPERTSPASS
#include "passes/Partition/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

/// Rewrites one program.
class ProgramRewriter {
public:
  ProgramRewriter(func::FuncOp program, int64_t members)
      : program(program), symbols(program->getParentOfType<ModuleOp>()), members(members) {}

  LogicalResult run() {
    SmallVector<ApplyOp> layers;
    for (auto apply : program.getOps<ApplyOp>())
      if (auto component = componentOf(apply); component && holds<DispatchOp>(component))
        layers.push_back(apply);
    for (ApplyOp apply : layers)
      if (failed(checkUses(apply)) || failed(rewrite(apply)))
        return failure();
    count = layers.size();
    return success();
  }

  int64_t count = 0; ///< layers rewritten

private:
  func::FuncOp componentOf(ApplyOp apply) {
    return program->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(apply.getComponent());
  }
  template <typename OpTy> static bool holds(func::FuncOp component) {
    return !component.getOps<OpTy>().empty();
  }

  /// A component that is rewritten must be this program's alone.
  LogicalResult checkUses(ApplyOp apply) {
    WalkResult result = program->getParentOp()->walk([&](ApplyOp other) {
      if (other.getComponent() != apply.getComponent() ||
          other->getParentOfType<func::FuncOp>() == program)
        return WalkResult::advance();
      other.emitOpError("shares component @")
          << apply.getComponent() << " with @" << program.getSymName()
          << ": expected components of its own, as their experts will be on several ranks";
      return WalkResult::interrupt();
    });
    return failure(result.wasInterrupted());
  }

  LogicalResult rewrite(ApplyOp apply) {
    if (!apply.getLayer())
      return apply.emitOpError("expected the layer of the experts");
    auto [known, isNew] = experts.try_emplace(apply.getComponent());
    if (isNew) {
      FailureOr<SplitExperts> split = splitExperts(componentOf(apply), members);
      if (failed(split))
        return failure();
      known->second = *split;
    }
    SplitExperts &split = known->second;
    auto router = apply.getInputs()[split.slot].getDefiningOp<ApplyOp>();
    if (!router || failed(checkUses(router)))
      return apply.emitOpError("expected the order of rows from an application of a router");
    FailureOr<SplitRouter> parts = splitOf(router);
    if (failed(parts))
      return failure();
    exchange(apply, split, rewriteRouter(router, *parts), *parts);
    return success();
  }

  FailureOr<SplitRouter> splitOf(ApplyOp router) {
    auto [known, isNew] = routers.try_emplace(router.getComponent());
    if (isNew) {
      FailureOr<SplitRouter> split = splitRouter(componentOf(router), members);
      if (failed(split))
        return failure();
      known->second = *split;
    }
    return known->second;
  }

  ApplyOp rewriteRouter(ApplyOp router, SplitRouter &split) {
    OpBuilder builder(router);
    auto copy = ApplyOp::create(builder, router.getLoc(), split.component.getResultTypes(),
                                router.getComponentAttr(), router.getInputs(),
                                router.getLayerAttr(), router.getParameterAttr(), IntegerAttr());
    for (auto [i, to] : llvm::enumerate(split.newResult))
      if (to >= 0)
        router->getResult(unsigned(i)).replaceAllUsesWith(copy->getResult(unsigned(to)));
    dead.push_back(router);
    return copy;
  }

  /// router, scatter, experts, gather, merge in place of router and experts.
  void exchange(ApplyOp apply, SplitExperts &split, ApplyOp router, const SplitRouter &parts) {
    OpBuilder builder(apply);
    Location loc = apply.getLoc();
    ResultRange layout = router->getResults().slice(parts.layout, 4);
    auto move = [&](ExchangeKind kind, ValueRange payload, int64_t rows, Value received) {
      SmallVector<Type> types;
      for (Value value : payload) {
        auto type = cast<RankedTensorType>(value.getType());
        types.push_back(
            RankedTensorType::get({rows, type.getShape().back()}, type.getElementType()));
      }
      if (!received)
        types.push_back(RankedTensorType::get({2, members + 1}, builder.getI64Type()));
      return ExchangeOp::create(builder, loc, types, kind, int64_t(*apply.getLayer()), payload,
                                layout[0], layout[1], layout[2], layout[3], received, members,
                                PhaseKind::Forward, IntegerAttr());
    };
    auto call = [&](func::FuncOp component, ArrayRef<Value> inputs, IntegerAttr layer) {
      return ApplyOp::create(builder, loc, component.getResultTypes(),
                             FlatSymbolRefAttr::get(component), inputs, layer, StringAttr(),
                             IntegerAttr());
    };
    Value ids = router->getResult(parts.experts);
    ExchangeOp scatter =
        move(ExchangeKind::Scatter,
             {apply.getInputs()[split.input], ids, apply.getInputs()[split.weights]},
             split.received, Value());
    SmallVector<Value> inputs(scatter.getOutputs());
    for (unsigned operand : split.expertsData)
      inputs.push_back(apply.getInputs()[operand]);
    ApplyOp run = call(split.experts, inputs, apply.getLayerAttr());
    ExchangeOp gather =
        move(ExchangeKind::Gather, {run->getResult(0)}, split.sent, scatter.getReceivedSums());
    SmallVector<Value> merged{gather.getOutputs()[0], layout[3]};
    llvm::append_range(merged, run->getResults().drop_front());
    for (unsigned operand : split.mergeData)
      merged.push_back(apply.getInputs()[operand]);
    ApplyOp merge = call(split.merge, merged, IntegerAttr());
    apply->replaceAllUsesWith(merge->getResults());
    apply.erase();
    for (ApplyOp old : dead)
      old.erase();
    dead.clear();
  }

  func::FuncOp program;
  SymbolTable symbols;
  int64_t members;
  llvm::StringMap<SplitExperts> experts;
  llvm::StringMap<SplitRouter> routers;
  SmallVector<ApplyOp> dead;
};

struct PartitionExperts : hadal::impl::PartitionExpertsPassBase<PartitionExperts> {
  using PartitionExpertsPassBase::PartitionExpertsPassBase;

  FailureOr<int64_t> membersOf(ModuleOp module) {
    if (members > 0)
      return int64_t(members);
    if (members < 0)
      return module.emitError("members: expected a positive number, found ") << members;
    if (!module->hasAttr(kSpecAttr) && !module->hasAttr(kPlanAttr))
      return int64_t(1);
    FailureOr<Settings> settings = readSettings(module);
    if (failed(settings))
      return failure();
    return settings->plan.expertParallel;
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto program = module.lookupSymbol<func::FuncOp>("evaluate");
    if (!program)
      return;
    FailureOr<int64_t> count = membersOf(module);
    if (failed(count))
      return signalPassFailure();
    if (*count == 1)
      return;
    ProgramRewriter rewriter(program, *count);
    if (failed(rewriter.run()))
      return signalPassFailure();
    layers = rewriter.count;
  }
};

} // namespace
