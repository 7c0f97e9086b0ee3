// SPDX-License-Identifier: Apache-2.0
//
// The analysis of a forward program, see GradientsProgram.h.

#include "passes/Differentiate/GradientsProgram.h"

using namespace mlir;

namespace hadal {

unsigned argumentOfOperand(func::FuncOp component, unsigned operand) {
  unsigned argument = 0;
  while (bindingOf(component, argument) || operand-- > 0)
    ++argument;
  return argument;
}

bool isTrainingOutput(func::FuncOp component, unsigned result) {
  if (!lossSeed(component, result).empty())
    return true;
  int64_t argument = updatedArgument(component, result);
  BindingAttr binding = argument < 0 ? BindingAttr() : bindingOf(component, unsigned(argument));
  return binding && binding.getKind() == BindingKind::State;
}

LogicalResult ForwardProgram::analyse() {
  if (failed(collect()))
    return failure();
  findDependence();
  return walkBackwards();
}

LogicalResult ForwardProgram::collect() {
  for (Operation &op : program.front()) {
    if (!isa<ApplyOp, ExchangeOp>(op))
      continue;
    steps.push_back(&op);
    if (auto apply = dyn_cast<ApplyOp>(op); apply && failed(collect(apply)))
      return failure();
  }
  return success();
}

LogicalResult ForwardProgram::collect(ApplyOp apply) {
  auto component =
      program->getParentOfType<ModuleOp>().lookupSymbol<func::FuncOp>(apply.getComponent());
  if (!component || component.isExternal())
    return apply.emitOpError() << "expected a component with a body, found @"
                               << apply.getComponent();
  TrainedComponent *&entry = known[component];
  if (!entry) {
    entry = components.emplace_back(std::make_unique<TrainedComponent>()).get();
    entry->component = component;
    entry->wantedInputs.resize(component.getNumArguments());
    entry->usedResults.resize(component.getNumResults());
    entry->resultGradients.resize(component.getNumResults());
  }
  applications.push_back(apply);
  componentOf[apply] = entry;
  for (unsigned i = 0, e = component.getNumResults(); i < e; ++i)
    if (isTrainingOutput(component, i) ||
        llvm::any_of(apply->getResult(i).getUsers(),
                     [](Operation *user) { return isa<ApplyOp, ExchangeOp>(user); }))
      entry->usedResults.set(i);
  return success();
}

static bool hasWeight(func::FuncOp component) {
  for (unsigned i = 0, e = component.getNumArguments(); i < e; ++i)
    if (BindingAttr binding = bindingOf(component, i))
      if (binding.getKind() == BindingKind::Weight)
        return true;
  return false;
}

void ForwardProgram::findDependence() {
  for (Operation *step : steps) {
    if (auto exchange = dyn_cast<ExchangeOp>(step)) {
      for (auto [from, to] : llvm::zip_equal(exchange.getPayload(), exchange.getMoved()))
        if (varied.contains(from))
          varied.insert(to);
      continue;
    }
    auto apply = cast<ApplyOp>(step);
    TrainedComponent &entry = of(apply);
    bool depends = hasWeight(entry.component);
    for (auto [i, input] : llvm::enumerate(apply.getInputs())) {
      if (!varied.contains(input))
        continue;
      depends = true;
      entry.wantedInputs.set(argumentOfOperand(entry.component, i));
    }
    if (depends)
      for (Value output : apply.getOutputs())
        if (isDifferentiable(output.getType()))
          varied.insert(output);
  }
}

LogicalResult ForwardProgram::walkBackwards() {
  DenseSet<Value> reached;
  for (Operation *step : llvm::reverse(steps)) {
    if (auto exchange = dyn_cast<ExchangeOp>(step)) {
      for (auto [from, to] : llvm::zip_equal(exchange.getPayload(), exchange.getMoved()))
        if (varied.contains(from) && reached.contains(to))
          reached.insert(from);
    } else if (failed(walkBackwards(cast<ApplyOp>(step), reached))) {
      return failure();
    }
  }
  return success();
}

LogicalResult ForwardProgram::walkBackwards(ApplyOp apply, DenseSet<Value> &reached) {
  TrainedComponent &entry = of(apply);
  BitVector resultGradients(apply.getNumResults());
  for (auto [i, output] : llvm::enumerate(apply.getOutputs()))
    if (reached.contains(output))
      resultGradients.set(i);
  if (!entry.reached) {
    entry.reached = true;
    entry.resultGradients = resultGradients;
    FailureOr<ComponentGradient> gradient =
        differentiate(entry.component, resultGradients, entry.wantedInputs);
    if (failed(gradient))
      return failure();
    entry.gradient = std::move(*gradient);
  } else if (entry.resultGradients != resultGradients) {
    BitVector differing = resultGradients;
    differing ^= entry.resultGradients;
    return apply.emitOpError() << "expected gradients at the same results of @"
                               << apply.getComponent()
                               << " wherever it is applied, found that result #"
                               << differing.find_first() << " has one in some places only";
  }
  for (auto [i, input] : llvm::enumerate(apply.getInputs()))
    if (varied.contains(input) &&
        entry.gradient.inputGradients[argumentOfOperand(entry.component, i)])
      reached.insert(input);
  return success();
}

} // namespace hadal
