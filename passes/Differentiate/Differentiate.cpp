// SPDX-License-Identifier: Apache-2.0
//
// The pass --hadal-differentiate.

#include "passes/Differentiate/GradientsProgram.h"
#include "passes/Differentiate/Settings.h"

#include "mlir/IR/Remarks.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_HADALDIFFERENTIATE
#include "passes/Differentiate/Passes.h.inc"

namespace {

class Differentiate : public impl::HadalDifferentiateBase<Differentiate> {
public:
  using HadalDifferentiateBase::HadalDifferentiateBase;

  void runOnOperation() override {
    if (wantsProgram(getOperation(), "train") && failed(buildGradients()))
      return signalPassFailure();
    eraseUnused();
  }

private:
  LogicalResult buildGradients() {
    ModuleOp module = getOperation();
    auto evaluate = module.lookupSymbol<func::FuncOp>("evaluate");
    if (!evaluate)
      return module.emitError("expected a program @evaluate to differentiate, found none");
    FailureOr<RecomputePolicy> policy = readPolicy();
    if (failed(policy))
      return failure();
    ForwardProgram forward(evaluate);
    if (failed(forward.analyse()))
      return failure();
    for (std::unique_ptr<TrainedComponent> &entry : forward.components) {
      Partition parts = partition(entry->gradient, *policy);
      FailureOr<SplitComponent> split = splitComponent(entry->gradient, parts, entry->usedResults);
      if (failed(split))
        return failure();
      entry->split = std::move(*split);
      report(*entry, *policy);
    }
    return buildGradientsProgram(forward);
  }

  FailureOr<RecomputePolicy> readPolicy() {
    RecomputePolicy policy;
    ModuleOp module = getOperation();
    for (const std::string &what : recompute) {
      bool *flag = llvm::StringSwitch<bool *>(what)
                       .Case("norms", &policy.norms)
                       .Case("mla_up", &policy.mlaUp)
                       .Case("swiglu", &policy.swiglu)
                       .Default(nullptr);
      if (!flag)
        return module.emitError("recompute: expected norms, mla_up or swiglu, found '")
               << what << "'";
      *flag = true;
    }
    if (saveAll || !recompute.empty() ||
        (!module->hasAttr(kSpecAttr) && !module->hasAttr(kPlanAttr)))
      return policy;
    FailureOr<Settings> settings = readSettings(module);
    if (failed(settings))
      return failure();
    policy.norms = settings->plan.recomputes(Recompute::Norms);
    policy.mlaUp = settings->plan.recomputes(Recompute::MlaUp);
    policy.swiglu = settings->plan.recomputes(Recompute::Swiglu);
    return policy;
  }

  /// Statistics, and remarks on what a component costs and on what is not recomputed though the
  /// plan asks for it.
  void report(const TrainedComponent &entry, const RecomputePolicy &policy) {
    func::FuncOp component = entry.component;
    ++numComponents;
    numRecomputed += entry.split.recomputed;
    savedBytes += entry.split.savedBytes;
    stashBytes += entry.split.stashBytes;
    auto options = [&](StringRef name) {
      return remark::RemarkOpts::name(name)
          .category("hadal-differentiate")
          .function(component.getSymName());
    };
    remark::analysis(component.getLoc(), options("Saved"))
        << remark::metric("recomputed_ops", int64_t(entry.split.recomputed))
        << remark::metric("saved_bytes", entry.split.savedBytes)
        << remark::metric("stash_bytes", entry.split.stashBytes);
    for (unsigned i : entry.split.keptResults) {
      Operation *op = entry.gradient.results[i].getDefiningOp();
      if (op && ((policy.norms && isa<RmsNormOp>(op)) || (policy.swiglu && isa<SwigluOp>(op))))
        remark::missed(op->getLoc(), options("Recompute"))
            << remark::reason("kept: it is result #{0} of the component, which others hold", i);
    }
  }

  /// Erases @evaluate where nobody asked for it, and components that no program applies.
  void eraseUnused() {
    ModuleOp module = getOperation();
    if (auto evaluate = module.lookupSymbol<func::FuncOp>("evaluate");
        evaluate && !wantsProgram(module, "evaluate"))
      evaluate.erase();
    llvm::StringSet<> applied;
    module.walk([&](ApplyOp apply) { applied.insert(apply.getComponent()); });
    for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (!function->hasAttr(kProgramAttr) && !applied.contains(function.getSymName()))
        function.erase();
  }
};

} // namespace

} // namespace hadal
