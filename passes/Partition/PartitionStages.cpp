// SPDX-License-Identifier: Apache-2.0
//
// --hadal-partition-stages: the pipeline stage of each application.

#include "passes/Differentiate/Settings.h"
#include "passes/Partition/Passes.h"
#include "passes/Partition/StagePlan.h"

namespace hadal {
#define GEN_PASS_DEF_PARTITIONSTAGESPASS
#include "passes/Partition/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

PhaseKind phaseOf(func::FuncOp component) {
  auto phase = component->getAttrOfType<PhaseKindAttr>(kPhaseAttr);
  return phase ? phase.getValue() : PhaseKind::Forward;
}

/// Decides the stages of one program, and checks what crosses their borders.
class ProgramStages {
public:
  ProgramStages(func::FuncOp program, const StagePlan &plan)
      : program(program), plan(plan), symbols(program->getParentOfType<ModuleOp>()) {}

  LogicalResult run() {
    for (Operation &op : program.front())
      if (isa<ApplyOp, ExchangeOp>(op) && failed(place(&op)))
        return failure();
    return checkBorders();
  }

private:
  LogicalResult place(Operation *op) {
    std::optional<int64_t> stage;
    if (auto exchange = dyn_cast<ExchangeOp>(op)) {
      stage = plan.ofLayer(exchange.getLayer());
      phases[op] = exchange.getPhase();
      exchange.setStage(*stage);
    } else {
      auto apply = cast<ApplyOp>(op);
      auto component = symbols.lookup<func::FuncOp>(apply.getComponent());
      if (!component)
        return apply.emitOpError("expected a function, found no @") << apply.getComponent();
      phases[op] = phaseOf(component);
      stage = apply.getLayer() ? plan.ofLayer(*apply.getLayer()) : ofWeights(component);
      if (!stage)
        stage = ofOperands(op);
      if (!stage)
        return apply.emitOpError("has no layer, and neither a weight nor an operand says on which "
                                 "stage it runs");
      apply.setStage(*stage);
    }
    stageOf[op] = *stage;
    return success();
  }

  /// Of a component outside the layers: the embedding is first, every other weight is last.
  std::optional<int64_t> ofWeights(func::FuncOp component) {
    for (unsigned i = 0, e = component.getNumArguments(); i < e; ++i) {
      BindingAttr binding = bindingOf(component, i);
      if (!binding ||
          (binding.getKind() != BindingKind::Weight && binding.getKind() != BindingKind::Gradient))
        continue;
      return binding.getName() == "model.embed_tokens.weight" ? 0 : plan.last();
    }
    return std::nullopt;
  }

  std::optional<int64_t> ofOperands(Operation *op) {
    bool backward = phases[op] == PhaseKind::Backward;
    std::optional<int64_t> stage;
    for (Value operand : op->getOperands())
      if (auto found = stageOf.find(operand.getDefiningOp()); found != stageOf.end())
        stage = !stage     ? found->second
                : backward ? std::min(*stage, found->second)
                           : std::max(*stage, found->second);
    return stage;
  }

  /// One float tensor crosses each border in a direction.
  LogicalResult checkBorders() {
    SmallVector<Value> forward(size_t(plan.stages())), backward(size_t(plan.stages()));
    for (Operation &op : program.front()) {
      auto user = stageOf.find(&op);
      if (user == stageOf.end())
        continue;
      for (Value operand : op.getOperands()) {
        auto producer = stageOf.find(operand.getDefiningOp());
        if (producer == stageOf.end() || producer->second == user->second)
          continue;
        bool up = producer->second < user->second;
        if (failed(checkCrossing(&op, operand, up)))
          return failure();
        auto [from, to] = std::minmax(producer->second, user->second);
        for (int64_t border = from; border < to; ++border)
          if (failed(take((up ? forward : backward)[border], &op, operand, up, border)))
            return failure();
      }
    }
    return success();
  }

  LogicalResult checkCrossing(Operation *op, Value operand, bool up) {
    // What crossed is kept there for B and W.
    PhaseKind phase = up ? PhaseKind::Forward : PhaseKind::Backward;
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (type && isa<FloatType>(type.getElementType()) && phases[operand.getDefiningOp()] == phase)
      return success();
    return op->emitOpError("on stage ")
           << stageOf[op] << " takes " << operand.getType() << " of stage "
           << stageOf[operand.getDefiningOp()]
           << ": expected that only the hidden state crosses a border forwards, and its gradient "
              "backwards";
  }

  LogicalResult take(Value &crossing, Operation *op, Value operand, bool up, int64_t border) {
    if (crossing && crossing != operand) {
      InFlightDiagnostic error = op->emitOpError("expected one tensor to cross the border behind "
                                                 "stage ");
      error << border << (up ? " forwards" : " backwards") << ", found a second one";
      error.attachNote(crossing.getLoc()) << "the first one";
      return error;
    }
    crossing = operand;
    return success();
  }

  func::FuncOp program;
  const StagePlan &plan;
  SymbolTable symbols;
  DenseMap<Operation *, int64_t> stageOf;
  DenseMap<Operation *, PhaseKind> phases;
};

struct PartitionStages : hadal::impl::PartitionStagesPassBase<PartitionStages> {
  using PartitionStagesPassBase::PartitionStagesPassBase;

  FailureOr<StagePlan> planOf(ModuleOp module) {
    if (!layers.empty()) {
      for (int64_t count : layers)
        if (count < 0)
          return module.emitError("layers: expected numbers that are not negative, found ")
                 << count;
      return StagePlan(std::vector<int64_t>(layers.begin(), layers.end()));
    }
    FailureOr<Settings> settings = readSettings(module);
    if (failed(settings))
      return failure();
    return stagesOf(settings->spec, settings->plan);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> programs;
    for (StringRef name : {"gradients", "evaluate"})
      if (auto program = module.lookupSymbol<func::FuncOp>(name))
        programs.push_back(program);
    if (programs.empty())
      return;
    FailureOr<StagePlan> plan = planOf(module);
    if (failed(plan))
      return signalPassFailure();
    stages = plan->stages();
    for (func::FuncOp program : programs)
      if (failed(ProgramStages(program, *plan).run()))
        return signalPassFailure();
  }
};

} // namespace
