// SPDX-License-Identifier: Apache-2.0
//
// One component function under construction.

#include "frontend/BuildComponent.h"
#include "frontend/BuildModel.h"

using namespace mlir;

namespace hadal {

BuildComponent::BuildComponent(ModuleOp module, const ModelSpec &spec, const llvm::Twine &name,
                               PhaseKind phase)
    : spec(spec), builder(module.getContext()), loc(builder.getUnknownLoc()) {
  builder.setInsertionPointToEnd(module.getBody());
  function = func::FuncOp::create(builder, loc, name.str(), builder.getFunctionType({}, {}));
  function.setPrivate();
  function->setAttr(kPhaseAttr, PhaseKindAttr::get(module.getContext(), phase));
  block = function.addEntryBlock();
  builder.setInsertionPointToEnd(block);
}

Value BuildComponent::data(Type type) {
  bindings.push_back({});
  return block->addArgument(type, loc);
}

Value BuildComponent::bound(BindingKind kind, StringRef name, Type type) {
  Value &argument = byName[name];
  if (!argument) {
    bindings.push_back(BindingAttr::get(builder.getContext(), kind, name));
    argument = block->addArgument(type, loc);
  }
  return argument;
}

Value BuildComponent::linear(Value input, StringRef name, int64_t out) {
  Value matrix = weight((name + ".weight").str(), {out, features(input)});
  return LinearOp::create(builder, loc, input, matrix, /*transpose_weight=*/false);
}

Value BuildComponent::norm(Value input, StringRef name, double epsilon) {
  Value scale = weight((name + ".weight").str(), features(input));
  return RmsNormOp::create(builder, loc, input, scale, builder.getF64FloatAttr(epsilon))
      .getResult();
}

Value BuildComponent::swiglu(Value input, StringRef path, int64_t width) {
  Value gate = linear(input, (path + "gate_proj").str(), width);
  Value up = linear(input, (path + "up_proj").str(), width);
  Value hidden = SwigluOp::create(builder, loc, gate, up, Value());
  return linear(hidden, (path + "down_proj").str(), features(input));
}

Value BuildComponent::add(Value lhs, Value rhs) { return AddOp::create(builder, loc, lhs, rhs); }

func::FuncOp BuildComponent::finish(ArrayRef<Result> results) {
  SmallVector<Value> values;
  for (const Result &result : results)
    values.push_back(result.value);
  auto terminator = func::ReturnOp::create(builder, loc, values);
  function.setFunctionType(
      builder.getFunctionType(block->getArgumentTypes(), terminator->getOperandTypes()));
  for (auto [index, binding] : llvm::enumerate(bindings))
    if (binding)
      function.setArgAttr(index, kBindingAttr, binding);
  for (auto [index, result] : llvm::enumerate(results))
    if (!result.seed.empty())
      function.setResultAttr(index, kSeedAttr, builder.getStringAttr(result.seed));
  return function;
}

} // namespace hadal
