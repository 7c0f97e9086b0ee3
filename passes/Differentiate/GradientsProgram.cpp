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

  void run() {
    for (ApplyOp apply : forward.applications)
      applyForward(apply);
    countAccumulators();
    for (ApplyOp apply : llvm::reverse(forward.applications))
      applyBackward(apply);
    for (ApplyOp apply : forward.applications)
      if (deferred.contains(apply))
        applyWeights(apply);
    for (auto output : forward.program.getOps<OutputOp>())
      if (isOutput(output.getValue()))
        out.output(output.getName(), values.lookup(output.getValue()));
    out.finish();
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
      Type type = value.getType();
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
  GradientsProgram(forward).run();
  return success();
}

} // namespace hadal
