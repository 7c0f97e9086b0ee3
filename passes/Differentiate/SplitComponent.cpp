// SPDX-License-Identifier: Apache-2.0
//
// See SplitComponent.h.

#include "passes/Differentiate/SplitComponent.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace hadal {

namespace {

class Splitter {
public:
  Splitter(ComponentGradient &gradient, const Partition &partition)
      : gradient(gradient), partition(partition), insertAfter(gradient.component) {}

  FailureOr<SplitComponent> run(const BitVector &usedResults) {
    for (unsigned i = 0, e = gradient.results.size(); i < e; ++i)
      if (usedResults.test(i) || isTaken(gradient.results[i]))
        split.keptResults.push_back(i);
    if (failed(writeForward()) || failed(writeBackward()) || failed(writeWeights()))
      return failure();
    for (Value value : partition.saved)
      split.savedBytes += bytesOf(value);
    for (Value value : partition.stash)
      split.stashBytes += bytesOf(value);
    split.recomputed = partition.recomputed;
    return split;
  }

private:
  using Kind = ScratchArgument::Kind;

  bool isTaken(Value value) const {
    return llvm::is_contained(partition.backwardData, value) ||
           llvm::is_contained(partition.weightData, value);
  }

  LogicalResult writeForward() {
    SmallVector<Operation *> ops;
    for (Operation &op : gradient.body().without_terminator())
      if (!gradient.gradientOps.contains(&op))
        ops.push_back(&op);
    for (unsigned i : split.keptResults)
      forwardResults.push_back(gradient.results[i]);
    llvm::append_range(forwardResults, partition.saved);
    SmallVector<Value> arguments;
    for (BlockArgument argument : gradient.body().getArguments())
      if (kindOf(argument) == Kind::Input || kindOf(argument) == Kind::Bound)
        arguments.push_back(argument);
    return write(split.forward, "_F", PhaseKind::Forward, arguments, ops, forwardResults);
  }

  LogicalResult writeBackward() {
    for (Value value : gradient.inputGradients)
      if (value && value.getDefiningOp() && !llvm::is_contained(backwardResults, value))
        backwardResults.push_back(value);
    for (Value value : partition.stash)
      if (!llvm::is_contained(backwardResults, value))
        backwardResults.push_back(value);
    for (Value value : gradient.inputGradients)
      split.inputGradients.push_back(value ? sourceOf(value) : Source());
    if (backwardResults.empty())
      return success();
    SmallVector<Value> arguments = partition.backwardData;
    for (Value value : arguments)
      split.backwardOperands.push_back(sourceOf(value));
    appendBound(partition.backwardOps, arguments);
    return write(split.backward, "_B", PhaseKind::Backward, arguments, partition.backwardOps,
                 backwardResults);
  }

  LogicalResult writeWeights() {
    if (gradient.accumulators.empty())
      return success();
    SmallVector<Value> arguments = partition.weightData;
    for (Value value : arguments)
      split.weightOperands.push_back(sourceOf(value));
    appendBound(partition.weightOps, arguments);
    return write(split.weights, "_W", PhaseKind::WeightGradient, arguments, partition.weightOps,
                 gradient.accumulators);
  }

  Kind kindOf(Value argument) const { return gradient.argument(argument)->kind; }

  Source sourceOf(Value value) const {
    if (const ScratchArgument *argument = gradient.argument(value))
      return {argument->kind == Kind::Input ? Source::Kind::Input : Source::Kind::ResultGradient,
              argument->index};
    if (const auto *result = llvm::find(forwardResults, value); result != forwardResults.end())
      return {Source::Kind::Forward, unsigned(result - forwardResults.begin())};
    const auto *result = llvm::find(backwardResults, value);
    return {Source::Kind::Backward, unsigned(result - backwardResults.begin())};
  }

  /// Appends the bound arguments that `ops` use.
  void appendBound(ArrayRef<Operation *> ops, SmallVector<Value> &arguments) const {
    DenseSet<Value> used;
    for (Operation *op : ops)
      used.insert(op->operand_begin(), op->operand_end());
    for (BlockArgument argument : gradient.body().getArguments())
      if (gradient.argument(argument)->isBound() && used.contains(argument))
        arguments.push_back(argument);
  }

  LogicalResult write(func::FuncOp &function, StringRef suffix, PhaseKind phase,
                      ArrayRef<Value> arguments, ArrayRef<Operation *> ops,
                      ArrayRef<Value> results) {
    func::FuncOp component = gradient.component;
    std::string name = (component.getSymName() + suffix).str();
    if (Operation *other = SymbolTable::lookupSymbolIn(component->getParentOp(), name))
      return other->emitError() << "the name @" << name << " is that of a function of component @"
                                << component.getSymName() << " in training";
    OpBuilder builder(component.getContext());
    builder.setInsertionPointAfter(insertAfter);
    auto type =
        builder.getFunctionType(TypeRange(ValueRange(arguments)), TypeRange(ValueRange(results)));
    function = func::FuncOp::create(builder, component.getLoc(), name, type);
    function.setVisibility(component.getVisibility());
    function->setAttr(kPhaseAttr, PhaseKindAttr::get(builder.getContext(), phase));
    insertAfter = function;

    IRMapping mapping;
    Block *body = function.addEntryBlock();
    for (auto [argument, copy] : llvm::zip_equal(arguments, body->getArguments())) {
      mapping.map(argument, copy);
      if (BindingAttr binding =
              gradient.argument(argument) ? gradient.argument(argument)->binding : BindingAttr())
        function.setArgAttr(copy.getArgNumber(), kBindingAttr, binding);
    }
    builder.setInsertionPointToEnd(body);
    for (Operation *op : ops)
      builder.clone(*op, mapping);
    SmallVector<Value> returned;
    for (Value value : results)
      returned.push_back(mapping.lookup(value));
    func::ReturnOp::create(builder, component.getLoc(), returned);
    eraseUnused(function);
    return success();
  }

  /// Erases what a function computes and does not use, and bound arguments without a use.
  static void eraseUnused(func::FuncOp function) {
    Block &body = function.getBody().front();
    SmallVector<Operation *> ops;
    for (Operation &op : body.without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
    BitVector unused(function.getNumArguments());
    for (BlockArgument argument : body.getArguments())
      if (argument.use_empty() && bindingOf(function, argument.getArgNumber()))
        unused.set(argument.getArgNumber());
    (void)function.eraseArguments(unused);
  }

  ComponentGradient &gradient;
  const Partition &partition;
  Operation *insertAfter;
  SplitComponent split;
  SmallVector<Value> forwardResults, backwardResults;
};

} // namespace

FailureOr<SplitComponent> splitComponent(ComponentGradient &gradient, const Partition &partition,
                                         const BitVector &usedResults) {
  return Splitter(gradient, partition).run(usedResults);
}

} // namespace hadal
