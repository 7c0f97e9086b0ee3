// SPDX-License-Identifier: Apache-2.0
//
// Programs, components and kernels.

#include "dialects/Hadal/Hadal.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal;

static constexpr StringLiteral kLayer = "{layer}", kParameter = "{parameter}";

// --- apply
// -----------------------------------------------------------------------------------------------------------

/// What differs between the types that are asked for and those found; empty if nothing does.
static std::string difference(StringRef what, TypeRange expected, TypeRange found) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (expected.size() != found.size())
    stream << "expected " << expected.size() << " " << what << "s, found " << found.size();
  for (auto [index, pair] : llvm::enumerate(llvm::zip(expected, found)))
    if (text.empty() && std::get<0>(pair) != std::get<1>(pair))
      stream << "expected " << what << " " << index << " to be '" << std::get<0>(pair)
             << "', found '" << std::get<1>(pair) << "'";
  return text;
}

LogicalResult ApplyOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto component = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getComponentAttr());
  if (!component) // C1
    return emitOpError("expected a function named '") << getComponent() << "', found none";
  SmallVector<Type> unbound;
  bool layered = false, parametrised = false;
  for (auto [index, type] : llvm::enumerate(component.getArgumentTypes())) {
    BindingAttr binding = bindingOf(component, index);
    if (!binding)
      unbound.push_back(type);
    layered |= binding && binding.getName().contains(kLayer);
    parametrised |= binding && binding.getName().contains(kParameter);
  }
  for (const std::string &text :
       {difference("operand", unbound, getInputs().getTypes()),
        difference("result", component.getResultTypes(), getResultTypes())})
    if (!text.empty())
      return emitOpError(text);
  if (layered != getLayer().has_value()) // C2
    return emitOpError(layered ? "expected a layer: a binding of '"
                               : "expected no layer: no binding of '")
           << getComponent() << "' holds {layer}";
  if (parametrised != getParameter().has_value())
    return emitOpError(parametrised ? "expected a parameter: a binding of '"
                                    : "expected no parameter: no binding of '")
           << getComponent() << "' holds {parameter}";
  if (layered && static_cast<int64_t>(*getLayer()) < 0)
    return emitOpError("expected layer not to be negative, found ")
           << static_cast<int64_t>(*getLayer());
  return success();
}

static void replace(std::string &text, StringRef what, StringRef with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

std::string hadal::boundName(BindingAttr binding, ApplyOp apply) {
  std::string name = binding.getName().str();
  if (std::optional<uint64_t> layer = apply.getLayer())
    replace(name, kLayer, std::to_string(*layer));
  if (std::optional<StringRef> parameter = apply.getParameter())
    replace(name, kParameter, *parameter);
  return name;
}

// --- kernel
// ----------------------------------------------------------------------------------------------------------

/// The argument of `block` whose memory `value` is: up the chain of updated operands; -1 if none.
static int64_t argumentBehind(Value value, Block &block) {
  while (Operation *op = value.getDefiningOp()) {
    auto updating = dyn_cast<InPlaceOpInterface>(op);
    if (!updating)
      return -1;
    int64_t operand = updating.getUpdatedOperand(cast<OpResult>(value).getResultNumber());
    if (operand < 0)
      return -1;
    value = op->getOperand(operand);
  }
  auto argument = cast<BlockArgument>(value);
  return argument.getOwner() == &block ? argument.getArgNumber() : -1;
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  std::string text = difference("block argument", getInputs().getTypes(), block.getArgumentTypes());
  if (text.empty())
    text = difference("yielded value", getResultTypes(), block.getTerminator()->getOperandTypes());
  return text.empty() ? success() : emitOpError(text); // C1
}

int64_t KernelOp::getUpdatedOperand(unsigned result) {
  Block &block = getBody().front();
  return argumentBehind(block.getTerminator()->getOperand(result), block);
}

int64_t hadal::updatedArgument(func::FuncOp component, unsigned result) {
  if (component.isExternal())
    return -1;
  Block &block = component.front();
  auto terminator = dyn_cast<func::ReturnOp>(block.back());
  if (!terminator || result >= terminator.getNumOperands())
    return -1;
  return argumentBehind(terminator.getOperand(result), block);
}

// --- floating-point operations
// ---------------------------------------------------------------------------------------

static double elements(Value value) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  return type && type.hasStaticShape() ? static_cast<double>(type.getNumElements()) : 0;
}

static double size(Value value, int64_t fromEnd) {
  auto type = cast<RankedTensorType>(value.getType());
  return static_cast<double>(type.getDimSize(type.getRank() - fromEnd));
}

/// Multiply-adds of one (query, key) pair, over the causal pairs of all sequences and heads.
static double causalPairs(Value query, int64_t heads) {
  double tokens = size(query, 2), sequences = size(query, 3);
  return sequences * static_cast<double>(heads) * tokens * (tokens + 1) / 2;
}

double hadal::flopsOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, double>(op)
      .Case([](LinearOp op) { return 2 * elements(op.getInput()) * size(op.getResult(), 1); })
      .Case([](WeightGradientOp op) {
        return 2 * elements(op.getGradient()) * size(op.getInput(), 1);
      })
      .Case([](GroupedLinearOp op) { return 2 * elements(op.getRows()) * size(op.getResult(), 1); })
      .Case([](GroupedWeightGradientOp op) {
        return 2 * elements(op.getGradient()) * size(op.getRows(), 1);
      })
      .Case([](ScaledLinearOp op) {
        return 2 * elements(op.getResult()) *
               static_cast<double>(cast<ScaledType>(op.getInput().getType()).getColumns());
      })
      .Case([](AttentionOp op) {
        double query = size(op.getQuery(), 1), value = size(op.getOutput(), 1);
        return 2 * causalPairs(op.getQuery(), op.getHeads()) * (query + value) / op.getHeads();
      })
      .Case<AttentionGradientOp, AttentionGradientHeadsOp>([](auto op) {
        // scores again, their gradient, and three gradients
        double query = size(op.getQuery(), 1), value = size(op.getOutput(), 1);
        return 2 * causalPairs(op.getQuery(), op.getHeads()) * (3 * query + 2 * value) /
               op.getHeads();
      })
      .Case([](AbsorbQueryOp op) {
        double nope =
            size(op.getQuery(), 1) - static_cast<double>(op.getHeads() * op.getRotaryDim());
        return 2 * size(op.getQuery(), 2) * nope * size(op.getUpProjection(), 1);
      })
      .Case([](ExpandValueOp op) {
        return 2 * elements(op.getResult()) * size(op.getUpProjection(), 1);
      })
      .Default(0.0);
}
