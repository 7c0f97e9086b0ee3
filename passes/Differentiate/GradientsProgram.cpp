// SPDX-License-Identifier: Apache-2.0
//
// See GradientsProgram.h.

#include "passes/Differentiate/GradientsProgram.h"

#include "passes/Differentiate/ProgramBuilder.h"

using namespace mlir;

namespace hadal {

namespace {

class GradientsProgram {
public:
  explicit GradientsProgram(ForwardProgram &forward)
      : forward(forward), out("gradients", forward.program, forward.program.getArgumentTypes()) {
    for (auto [old, copy] :
         llvm::zip_equal(forward.program.getArguments(), out.program().getArguments()))
      values[old] = copy;
  }

  LogicalResult run() {
    for (Operation *step : forward.steps)
      if (auto exchange = dyn_cast<ExchangeOp>(step))
        exchangeForward(exchange);
      else
        applyForward(cast<ApplyOp>(step));
    countAccumulators();
    for (Operation *step : llvm::reverse(forward.steps))
      if (auto exchange = dyn_cast<ExchangeOp>(step)) {
        if (failed(exchangeBackward(exchange)))
          return failure();
      } else {
        applyBackward(cast<ApplyOp>(step));
      }
    for (ApplyOp apply : forward.applications)
      if (deferred.contains(apply))
        applyWeights(apply);
    for (auto output : forward.program.getOps<OutputOp>())
      if (isOutput(output.getValue()))
        out.output(output.getName(), values.lookup(output.getValue()));
    out.finish();
    return success();
  }

private:
  void applyForward(ApplyOp apply) {
    TrainedComponent &entry = forward.of(apply);
    SmallVector<Value> operands;
    for (Value input : apply.getInputs())
      operands.push_back(values.lookup(input));
    ApplyOp copy =
        out.apply(entry.split.forward, operands, apply.getLayerAttr(), apply.getParameterAttr());
    for (auto [i, result] : llvm::enumerate(entry.split.keptResults))
      values[apply->getResult(result)] = copy->getResult(i);
    forwardOf[apply] = copy;
  }

  void exchangeForward(ExchangeOp exchange) {
    IRMapping here;
    for (Value operand : exchange->getOperands())
      here.map(operand, values.lookup(operand));
    auto copy = out.exchange(exchange, here);
    for (auto [old, result] : llvm::zip_equal(exchange.getOutputs(), copy.getOutputs()))
      values[old] = result;
  }

  /// The gradients of what an exchange moved go the other way, by the layout of the forward pass.
  LogicalResult exchangeBackward(ExchangeOp exchange) {
    SmallVector<Value> sources, gradients;
    for (auto [from, to] : llvm::zip_equal(exchange.getPayload(), exchange.getMoved()))
      if (Value gradient = gradientOf(to); gradient && forward.dependsOnWeights(from)) {
        sources.push_back(from);
        gradients.push_back(gradient);
      }
    if (sources.empty())
      return success();
    bool scatter = exchange.getKind() == ExchangeKind::Scatter;
    for (Value gradient : gradients)
      if (cast<RankedTensorType>(gradient.getType()).getRank() != (scatter ? 2 : 3))
        return exchange.emitOpError("expected that hadal.combine_members adds the rows it gathers");
    SmallVector<Value> moved =
        out.moveBack(exchange, gradients, [&](Value value) { return values.lookup(value); });
    if (scatter)
      moved = addMembers(moved, values.lookup(exchange.getSendSlot()));
    for (auto [source, gradient] : llvm::zip_equal(sources, moved))
      parts[source].push_back(gradient);
    return success();
  }

  /// Each token's rows from the members, added by a component of its own.
  SmallVector<Value> addMembers(ArrayRef<Value> rows, Value sendSlot) {
    std::string name = "members_sum";
    SmallVector<ArgumentSpec> arguments;
    SmallVector<Value> operands(rows);
    operands.push_back(sendSlot);
    for (Value operand : operands) {
      arguments.push_back({operand.getType(), {}});
      name += "_" + shapeName(operand.getType());
    }
    func::FuncOp sum = out.component(
        name, PhaseKind::Backward, arguments,
        [](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
          SmallVector<Value> sums;
          for (Value rows : values.drop_back())
            sums.push_back(CombineMembersOp::create(builder, rows.getLoc(), rows, values.back()));
          return sums;
        });
    return out.apply(sum, operands)->getResults();
  }

  /// Counts how many applications add to each accumulator; W of those that share one comes at the
  /// end, so that the order of the sums is that of the forward pass.
  void countAccumulators() {
    for (ApplyOp apply : forward.applications)
      forEachAccumulator(apply, [&](StringRef name) { ++uses[name]; });
    for (ApplyOp apply : forward.applications)
      forEachAccumulator(apply, [&](StringRef name) {
        if (uses[name] > 1)
          deferred.insert(apply);
      });
  }

  void forEachAccumulator(ApplyOp apply, function_ref<void(StringRef)> visit) {
    func::FuncOp weights = forward.of(apply).split.weights;
    for (unsigned i = 0, e = weights ? weights.getNumArguments() : 0; i < e; ++i)
      if (BindingAttr binding = bindingOf(weights, i))
        if (binding.getKind() == BindingKind::Gradient)
          visit(boundName(binding, apply));
  }

  /// The gradient of a value of the forward program: its parts added, the last user's first.
  Value gradientOf(Value value) {
    SmallVector<Value> &found = parts[value];
    while (found.size() > 1) {
      Type type = found[0].getType();
      func::FuncOp sum =
          out.component("sum_" + shapeName(type), PhaseKind::Backward, {{type, {}}, {type, {}}},
                        [](OpBuilder &builder, ValueRange values) -> SmallVector<Value> {
                          return {AddOp::create(builder, values[0].getLoc(), values[0], values[1])};
                        });
      Value first = out.apply(sum, {found[0], found[1]})->getResult(0);
      found.erase(found.begin());
      found[0] = first;
    }
    return found.empty() ? Value() : found[0];
  }

  Value lookup(const Source &source, ApplyOp apply) {
    switch (source.kind) {
    case Source::Kind::Input: {
      func::FuncOp component = forward.of(apply).component;
      for (auto [i, input] : llvm::enumerate(apply.getInputs()))
        if (argumentOfOperand(component, i) == source.index)
          return values.lookup(input);
      return {};
    }
    case Source::Kind::Forward:
      return forwardOf.lookup(apply)->getResult(source.index);
    case Source::Kind::ResultGradient:
      return gradientOf(apply->getResult(source.index));
    case Source::Kind::Backward:
      return backwardOf.lookup(apply)->getResult(source.index);
    case Source::Kind::None:
      break;
    }
    return {};
  }

  SmallVector<Value> lookup(ArrayRef<Source> sources, ApplyOp apply) {
    SmallVector<Value> found;
    for (const Source &source : sources)
      found.push_back(lookup(source, apply));
    return found;
  }

  void applyBackward(ApplyOp apply) {
    TrainedComponent &entry = forward.of(apply);
    const SplitComponent &split = entry.split;
    if (split.backward)
      backwardOf[apply] = out.apply(split.backward, lookup(split.backwardOperands, apply),
                                    apply.getLayerAttr(), apply.getParameterAttr());
    for (auto [i, input] : llvm::enumerate(apply.getInputs())) {
      const Source &source = split.inputGradients[argumentOfOperand(entry.component, i)];
      if (source.kind == Source::Kind::None || !forward.dependsOnWeights(input))
        continue;
      Value part = lookup(source, apply);
      parts[input].push_back(part);
    }
    if (!deferred.contains(apply))
      applyWeights(apply);
  }

  void applyWeights(ApplyOp apply) {
    const SplitComponent &split = forward.of(apply).split;
    if (split.weights)
      out.apply(split.weights, lookup(split.weightOperands, apply), apply.getLayerAttr(),
                apply.getParameterAttr());
  }

  bool isOutput(Value value) {
    auto result = dyn_cast<OpResult>(value);
    auto apply = result ? dyn_cast<ApplyOp>(result.getOwner()) : ApplyOp();
    return apply && isTrainingOutput(forward.of(apply).component, result.getResultNumber());
  }

  ForwardProgram &forward;
  ProgramBuilder out;
  DenseMap<Value, Value> values; ///< of the forward program, here
  DenseMap<Operation *, ApplyOp> forwardOf, backwardOf;
  DenseMap<Value, SmallVector<Value>> parts; ///< of the gradient of a value of the forward program
  llvm::StringMap<unsigned> uses;            ///< applications by accumulator
  DenseSet<Operation *> deferred;
};

} // namespace

LogicalResult buildGradientsProgram(ForwardProgram &forward) {
  auto module = forward.program->getParentOfType<ModuleOp>();
  if (Operation *other = module.lookupSymbol("gradients"))
    return other->emitError("the name @gradients is that of the program of the gradients");
  return GradientsProgram(forward).run();
}

} // namespace hadal
