// SPDX-License-Identifier: Apache-2.0
//
// Calls, bindings, kernels and outputs; what a single op computes is in the files of the rules.

#include "dialects/Hadal/Reference/Interpreter.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal::reference {

FailureOr<Interpreter::Values> Interpreter::call(StringRef name, const Values &arguments) {
  auto function = symbols.lookup<func::FuncOp>(name);
  if (!function)
    return module.emitError("has no function @") << name;
  return call(function, arguments, ApplyOp());
}

/// Without an application, a binding keeps the name it has in the function.
static std::string nameOf(BindingAttr binding, ApplyOp apply) {
  return apply ? boundName(binding, apply) : binding.getName().str();
}

static bool startsAtZero(BindingKind kind) {
  return kind == BindingKind::Gradient || kind == BindingKind::Moment1 ||
         kind == BindingKind::Moment2 || kind == BindingKind::State;
}

TensorPtr Interpreter::bound(func::FuncOp function, unsigned argument, const std::string &name) {
  BindingKind kind = bindingOf(function, argument).getKind();
  Type type = function.getArgumentTypes()[argument];
  TensorPtr found = store.find(kind, name);
  if (!found && startsAtZero(kind))
    return std::make_shared<Tensor>(zerosOf(type));
  if (!found)
    function.emitError("argument ")
        << argument << " of @" << function.getName() << " is bound to " << stringifyEnum(kind)
        << " '" << name << "', which is not there";
  return found;
}

/// Whether a tensor fits the type of a function's argument; an error if not.
static LogicalResult checkArgument(func::FuncOp function, unsigned argument, const Tensor &tensor) {
  Tensor expected = zerosOf(function.getArgumentTypes()[argument]);
  if (expected.shape == tensor.shape && expected.isInteger == tensor.isInteger &&
      expected.scales.size() == tensor.scales.size())
    return success();
  InFlightDiagnostic error = function.emitError("argument ");
  error << argument << " of @" << function.getName() << " expects "
        << function.getArgumentTypes()[argument] << ", found "
        << (tensor.isInteger ? "integers [" : "floats [");
  llvm::interleaveComma(tensor.shape, error);
  return error << "]";
}

FailureOr<Interpreter::Values> Interpreter::call(func::FuncOp function, const Values &arguments,
                                                 ApplyOp apply) {
  if (function.isDeclaration() || !function.getBody().hasOneBlock())
    return function.emitError("@") << function.getName() << " has no body of one block";
  Frame frame(precision);
  Block &body = function.getBody().front();
  size_t next = 0;
  for (BlockArgument argument : body.getArguments()) {
    unsigned number = argument.getArgNumber();
    TensorPtr tensor;
    if (BindingAttr binding = bindingOf(function, number)) {
      tensor = bound(function, number, nameOf(binding, apply));
    } else if (next < arguments.size()) {
      tensor = arguments[next++];
    } else {
      function.emitError("argument ") << number << " of @" << function.getName() << " is not given";
    }
    if (!tensor || failed(checkArgument(function, number, *tensor)))
      return failure();
    frame.set(argument, tensor);
  }
  if (next != arguments.size())
    return function.emitError("@") << function.getName() << " takes " << next
                                   << " arguments without binding, found " << arguments.size();
  FailureOr<Values> results = run(body, frame);
  if (succeeded(results))
    writeBack(function, *results, apply);
  return results;
}

void Interpreter::writeBack(func::FuncOp function, const Values &results, ApplyOp apply) {
  for (auto [i, result] : llvm::enumerate(results)) {
    int64_t argument = updatedArgument(function, unsigned(i));
    if (argument < 0)
      continue;
    if (BindingAttr binding = bindingOf(function, unsigned(argument)))
      store.set(binding.getKind(), nameOf(binding, apply), result);
  }
}

FailureOr<Interpreter::Values> Interpreter::run(Block &block, Frame &frame) {
  for (Operation &op : block.without_terminator())
    if (failed(execute(&op, frame)))
      return failure();
  Values results;
  for (Value value : block.getTerminator()->getOperands())
    results.push_back(frame.get(value));
  return results;
}

LogicalResult Interpreter::execute(Operation *op, Frame &frame) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](ApplyOp op) { return apply(op, frame); })
      .Case([&](KernelOp op) { return kernel(op, frame); })
      .Case([&](ExchangeOp op) {
        return op.emitOpError("moves rows between ranks: expected a group of ")
               << op.getMembers() << " members to be interpreted together, found one rank";
      })
      .Case([&](OutputOp op) {
        outputs[op.getName().str()] = frame.get(op.getValue());
        return success();
      })
      .Default([&](Operation *op) {
        RuleTable::get().execute(op, frame);
        return failure(frame.refused());
      });
}

LogicalResult Interpreter::apply(ApplyOp op, Frame &frame) {
  auto function = symbols.lookup<func::FuncOp>(op.getComponent());
  if (!function)
    return op.emitOpError("expected a function, found no @") << op.getComponent();
  Values arguments;
  for (Value input : op.getInputs())
    arguments.push_back(frame.get(input));
  FailureOr<Values> results = call(function, arguments, op);
  if (failed(results))
    return failure();
  for (auto [value, result] : llvm::zip_equal(op.getOutputs(), *results))
    frame.set(value, result);
  return success();
}

LogicalResult Interpreter::kernel(KernelOp op, Frame &frame) {
  Block &body = op.getBody().front();
  for (auto [argument, input] : llvm::zip_equal(body.getArguments(), op.getInputs()))
    frame.set(argument, frame.get(input));
  FailureOr<Values> results = run(body, frame);
  if (failed(results))
    return failure();
  for (auto [value, result] : llvm::zip_equal(op.getOutputs(), *results))
    frame.set(value, result);
  return success();
}

} // namespace hadal::reference
