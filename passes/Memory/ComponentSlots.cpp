// SPDX-License-Identifier: Apache-2.0
//
// See ComponentSlots.h.

#include "passes/Memory/ComponentSlots.h"

#include "dialects/Pipe/Stored.h"

using namespace mlir;
using namespace hadal;

bool hadal::isComponent(func::FuncOp function) {
  return !function.isExternal() && !function->hasAttr(kProgramAttr);
}

/// The value whose memory `value` shares: up the chain of updated operands.
static Value rootOf(Value value) {
  while (auto kernel = value.getDefiningOp<KernelOp>()) {
    int64_t updated = kernel.getUpdatedOperand(cast<OpResult>(value).getResultNumber());
    if (updated < 0)
      break;
    value = kernel.getInputs()[updated];
  }
  return value;
}

static LogicalResult checkBody(func::FuncOp component) {
  if (!llvm::hasSingleElement(component.getBody()))
    return component.emitOpError("expects one block in a component");
  if (!isa<func::ReturnOp>(component.getBody().front().back()))
    return component.emitOpError("expects func.return at the end of a component");
  for (Operation &op : component.getBody().front().without_terminator()) {
    auto kernel = dyn_cast<KernelOp>(op);
    if (!kernel)
      return op.emitOpError("in a component; expected hadal.kernel (--hadal-fuse makes them)");
    for (OpResult result : kernel->getResults()) {
      if (!pipe::isBufferType(result.getType()))
        return kernel.emitOpError("expects results of static shape; found ") << result.getType();
      int64_t updated = kernel.getUpdatedOperand(result.getResultNumber());
      if (updated < 0)
        continue;
      // What it was before is gone.
      for (OpOperand &use : kernel.getInputs()[updated].getUses())
        if (use.getOwner() == kernel ? int64_t(use.getOperandNumber()) != updated
                                     : kernel->isBeforeInBlock(use.getOwner()))
          return kernel.emitOpError("updates operand ") << updated << ", which is used again";
    }
  }
  return success();
}

/// The rows of a kernel's result: those that the kernel runs over. (A weight gradient has none.)
static TemporaryRows rowsOf(OpResult result) {
  auto kernel = cast<KernelOp>(result.getOwner());
  auto rows = kernel->getAttrOfType<RowClassAttr>(kRowsAttr);
  if (!rows)
    return TemporaryRows::Fixed;
  auto yield = cast<YieldOp>(kernel.getBody().front().getTerminator());
  if (yield.getValues()[result.getResultNumber()].getDefiningOp<GroupedWeightGradientOp>())
    return TemporaryRows::Fixed;
  return rows.getValue() == RowClass::Received ? TemporaryRows::Received : TemporaryRows::Routed;
}

void ComponentSlots::addTemporary(OpResult result, int64_t step) {
  auto type = cast<RankedTensorType>(result.getType());
  slots[result] = {true, unsigned(intervals.size())};
  rows.push_back(rowsOf(result));
  int64_t bytes = pipe::storedBytes(type, pipe::storedOf(result));
  if (rows.back() != TemporaryRows::Fixed)
    bytes /= std::max<int64_t>(type.getDimSize(0), 1);
  intervals.push_back({bytes, step, step, 0});
}

FailureOr<ComponentSlots> ComponentSlots::compute(func::FuncOp component) {
  if (failed(checkBody(component)))
    return failure();
  ComponentSlots answer;
  for (BlockArgument argument : component.getArguments()) {
    answer.slots[argument] = {false, argument.getArgNumber()};
    answer.access.push_back(OperandAccess::Read);
  }
  Block &body = component.getBody().front();
  auto returned = cast<func::ReturnOp>(body.getTerminator());
  for (auto [index, value] : llvm::enumerate(returned.getOperands())) {
    if (updatedArgument(component, index) >= 0)
      continue;
    // The second of two equal results is an operand that no kernel writes: its buffer is the first
    // one's.
    answer.slots.try_emplace(rootOf(value), ComponentSlot{false, answer.operands()});
    answer.access.push_back(OperandAccess::Write);
  }
  int64_t step = 0;
  for (auto kernel : body.getOps<KernelOp>()) {
    for (Value input : kernel.getInputs())
      if (ComponentSlot slot = answer.slots.lookup(rootOf(input)); slot.temporary)
        answer.intervals[slot.index].last = step;
    for (OpResult result : kernel->getResults()) {
      Value root = rootOf(result);
      if (auto argument = dyn_cast<BlockArgument>(root))
        answer.access[argument.getArgNumber()] = OperandAccess::Update;
      if (root == result && !answer.slots.contains(result))
        answer.addTemporary(result, step);
      answer.slots[result] = ComponentSlot(answer.slots.lookup(root));
    }
    ++step;
  }
  return answer;
}

SmallVector<ComponentSlot> ComponentSlots::pointersOf(KernelOp kernel) const {
  SmallVector<ComponentSlot> pointers;
  for (Value input : kernel.getInputs())
    pointers.push_back(slotOf(input));
  for (OpResult result : kernel->getResults())
    if (kernel.getUpdatedOperand(result.getResultNumber()) < 0)
      pointers.push_back(slotOf(result));
  return pointers;
}
