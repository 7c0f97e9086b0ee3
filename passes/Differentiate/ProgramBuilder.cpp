// SPDX-License-Identifier: Apache-2.0
//
// See ProgramBuilder.h.

#include "passes/Differentiate/ProgramBuilder.h"

using namespace mlir;

namespace hadal {

std::string shapeName(Type type) {
  std::string name;
  for (int64_t size : cast<RankedTensorType>(type).getShape())
    name += (name.empty() ? "" : "x") + std::to_string(size);
  return name.empty() ? "scalar" : name;
}

ProgramBuilder::ProgramBuilder(StringRef name, Operation *position, TypeRange types)
    : builder(position->getContext()) {
  builder.setInsertionPointAfter(position);
  function =
      func::FuncOp::create(builder, position->getLoc(), name, builder.getFunctionType(types, {}));
  function->setAttr(kProgramAttr, builder.getUnitAttr());
  builder.setInsertionPointToEnd(function.addEntryBlock());
}

func::FuncOp
ProgramBuilder::component(StringRef name, PhaseKind phase, ArrayRef<ArgumentSpec> arguments,
                          function_ref<SmallVector<Value>(OpBuilder &, ValueRange)> body) {
  auto module = function->getParentOfType<ModuleOp>();
  if (auto known = module.lookupSymbol<func::FuncOp>(name))
    return known;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(function);
  SmallVector<Type> types;
  for (const ArgumentSpec &argument : arguments)
    types.push_back(argument.type);
  Location loc = function.getLoc();
  auto component = func::FuncOp::create(builder, loc, name, builder.getFunctionType(types, {}));
  component.setPrivate();
  component->setAttr(kPhaseAttr, PhaseKindAttr::get(context(), phase));
  Block *block = component.addEntryBlock();
  for (auto [i, argument] : llvm::enumerate(arguments))
    if (argument.binding)
      component.setArgAttr(i, kBindingAttr, argument.binding);
  builder.setInsertionPointToEnd(block);
  SmallVector<Value> results = body(builder, block->getArguments());
  func::ReturnOp::create(builder, loc, results);
  component.setType(builder.getFunctionType(types, TypeRange(ValueRange(results))));
  return component;
}

/// Whether a binding of `component` holds `placeholder`.
static bool bindsTo(func::FuncOp component, StringRef placeholder) {
  for (unsigned i = 0, e = component.getNumArguments(); i < e; ++i)
    if (BindingAttr binding = bindingOf(component, i))
      if (binding.getName().contains(placeholder))
        return true;
  return false;
}

ApplyOp ProgramBuilder::apply(func::FuncOp component, ValueRange operands, IntegerAttr layer,
                              StringAttr parameter) {
  return ApplyOp::create(builder, function.getLoc(), component.getResultTypes(),
                         FlatSymbolRefAttr::get(component.getSymNameAttr()), operands,
                         bindsTo(component, "{layer}") ? layer : IntegerAttr(),
                         bindsTo(component, "{parameter}") ? parameter : StringAttr(),
                         /*stage=*/IntegerAttr());
}

ExchangeOp ProgramBuilder::exchange(ExchangeOp like, IRMapping &mapping) {
  return cast<ExchangeOp>(builder.clone(*like, mapping));
}

SmallVector<Value> ProgramBuilder::moveBack(ExchangeOp forward, ValueRange gradients,
                                            function_ref<Value(Value)> lookup) {
  bool scatter = forward.getKind() == ExchangeKind::Scatter;
  int64_t rows =
      cast<RankedTensorType>((scatter ? forward.getSendToken() : forward.getPayload()[0]).getType())
          .getDimSize(0);
  SmallVector<Type> types;
  for (Value gradient : gradients) {
    auto type = cast<RankedTensorType>(gradient.getType());
    types.push_back(RankedTensorType::get({rows, type.getShape().back()}, type.getElementType()));
  }
  auto back = ExchangeOp::create(builder, function.getLoc(), types,
                                 scatter ? ExchangeKind::Gather : ExchangeKind::Scatter,
                                 forward.getLayer(), gradients, lookup(forward.getSendCounts()),
                                 lookup(forward.getSendOffsets()), lookup(forward.getSendToken()),
                                 lookup(forward.getSendSlot()), lookup(forward.getReceivedSums()),
                                 forward.getMembers(), PhaseKind::Backward, IntegerAttr());
  return back.getOutputs();
}

void ProgramBuilder::output(StringRef name, Value value) {
  OutputOp::create(builder, function.getLoc(), value, name);
}

void ProgramBuilder::finish() { func::ReturnOp::create(builder, function.getLoc()); }

} // namespace hadal
