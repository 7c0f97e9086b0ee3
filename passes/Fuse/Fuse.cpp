// SPDX-License-Identifier: Apache-2.0
//
// --hadal-fuse: the bodies of components become sequences of hadal.kernel.

#include "passes/Fuse/Grouping.h"
#include "passes/Fuse/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/SetVector.h"

namespace hadal {
#define GEN_PASS_DEF_FUSEPASS
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

/// Whether every op of the body can lie in a kernel; says which cannot.
LogicalResult checkBody(Block &body) {
  for (Operation &op : body.without_terminator()) {
    if (op.hasTrait<OpTrait::ConstantLike>())
      return op.emitOpError(
          "expected the component's constants to be arguments, found a constant in its body");
    if (!isa<HadalDialect>(op.getDialect()) || isa<ApplyOp, OutputOp, KernelOp>(op))
      return op.emitOpError("expected an op that a kernel can hold in the body of a component");
    for (Value value : llvm::concat<Value>(op.getOperands(), op.getResults()))
      if (!isa<RankedTensorType>(value.getType()))
        return op.emitOpError("expected builtin tensors below fuse, found ") << value.getType();
  }
  return success();
}

/// Values from outside that the group's ops read, in the order of their first use.
SmallVector<Value> inputsOf(ArrayRef<Operation *> ops) {
  llvm::SmallSetVector<Value, 8> inputs;
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      if (!llvm::is_contained(ops, operand.getDefiningOp()))
        inputs.insert(operand);
  return inputs.takeVector();
}

/// Results that are read outside of the group.
SmallVector<Value> outputsOf(ArrayRef<Operation *> ops) {
  SmallVector<Value> outputs;
  for (Operation *op : ops)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(),
                       [&](Operation *user) { return !llvm::is_contained(ops, user); }))
        outputs.push_back(result);
  return outputs;
}

/// Makes the group's kernel; `values` maps what the old ops computed to what the kernels yield.
void makeKernel(OpBuilder &builder, ArrayRef<Operation *> ops, IRMapping &values) {
  SmallVector<Value> inputs = inputsOf(ops), outputs = outputsOf(ops), operands;
  for (Value input : inputs)
    operands.push_back(values.lookupOrDefault(input));
  Location loc = ops.front()->getLoc();
  auto kernel =
      KernelOp::create(builder, loc, ValueRange(outputs).getTypes(), operands, LaunchAttr());
  OpBuilder::InsertionGuard guard(builder);
  Block *body = builder.createBlock(&kernel.getBody());
  IRMapping inside;
  for (Value input : inputs)
    inside.map(input, body->addArgument(input.getType(), input.getLoc()));
  // The rows of a group are those of its ops.
  for (Operation *op : ops) {
    Operation *copy = builder.clone(*op, inside);
    if (Attribute rows = copy->removeDiscardableAttr(kRowsAttr))
      kernel->setDiscardableAttr(kRowsAttr, rows);
  }
  SmallVector<Value> yielded;
  for (Value output : outputs)
    yielded.push_back(inside.lookup(output));
  YieldOp::create(builder, loc, yielded);
  for (auto [output, result] : llvm::zip_equal(outputs, kernel.getOutputs()))
    values.map(output, result);
}

SmallVector<Operation *> opsOf(Block &body) {
  SmallVector<Operation *> ops;
  for (Operation &op : body.without_terminator())
    ops.push_back(&op);
  return ops;
}

/// Ops whose results nobody reads.
void eraseDead(Block &body) {
  SmallVector<Operation *> ops = opsOf(body);
  for (Operation *op : llvm::reverse(ops))
    if (isOpTriviallyDead(op))
      op->erase();
}

/// A dispatch that products alone read is done by each of them: gathering rows costs them no more
/// than reading them.
void splitDispatches(Block &body) {
  for (DispatchOp dispatch : llvm::make_early_inc_range(body.getOps<DispatchOp>())) {
    if (!llvm::all_of(dispatch->getUses(), [](OpOperand &use) { return gathersRows(use); }))
      continue;
    OpBuilder builder(dispatch);
    for (OpOperand &use : llvm::make_early_inc_range(llvm::drop_begin(dispatch->getUses())))
      use.set(builder.clone(*dispatch)->getResult(0));
  }
}

struct Fuse : hadal::impl::FusePassBase<Fuse> {
  using FusePassBase::FusePassBase;

  LogicalResult runOnComponent(func::FuncOp component) {
    if (!component.getBody().hasOneBlock())
      return component.emitOpError("expected a component of one block");
    Block &body = component.getBody().front();
    eraseDead(body);
    // A component that consists of kernels is done.
    if (!body.without_terminator().empty() &&
        llvm::all_of(body.without_terminator(), [](Operation &op) { return isa<KernelOp>(op); }))
      return success();
    if (enable)
      splitDispatches(body);
    Grouping grouping;
    if (failed(checkBody(body)) || failed(grouping.run(body, enable)))
      return failure();
    SmallVector<Operation *> old = opsOf(body);
    OpBuilder builder(body.getTerminator());
    IRMapping values;
    for (const Grouping::Group *group : grouping.ordered()) {
      makeKernel(builder, group->ops, values);
      ++kernels;
      fused += group->ops.size() > 1 ? group->ops.size() : 0;
    }
    for (OpOperand &operand : body.getTerminator()->getOpOperands())
      operand.set(values.lookupOrDefault(operand.get()));
    for (Operation *op : llvm::reverse(old))
      op->erase();
    return success();
  }

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function->hasAttr(kProgramAttr) && !function.isExternal() &&
          failed(runOnComponent(function)))
        return signalPassFailure();
  }
};

} // namespace
