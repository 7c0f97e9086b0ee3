// SPDX-License-Identifier: Apache-2.0
//
// See FusionRules.h.

#include "passes/Fuse/FusionRules.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal {

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}
static int64_t elementsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getNumElements();
}

/// [..., features]: all dimensions but the last; [rows] has one element a row.
static RowDomain leading(Value value) {
  ArrayRef<int64_t> shape = shapeOf(value);
  if (shape.empty())
    return {1, 0};
  if (shape.size() == 1)
    return {shape[0], 0};
  return {elementsOf(value) / std::max<int64_t>(shape.back(), 1), 0};
}
/// [sequences, tokens, features], for an op that asks for the token.
static RowDomain tokensOf(Value value) {
  ArrayRef<int64_t> shape = shapeOf(value);
  return {shape[0] * shape[1], shape[1]};
}

std::optional<RowDomain> rowDomain(Operation *op) {
  using Domain = std::optional<RowDomain>;
  return TypeSwitch<Operation *, Domain>(op)
      .Case<RmsNormOp, RmsNormGradientOp, SplitOp>([](auto op) { return leading(op.getInput()); })
      .Case<SwigluOp, SwigluGradientOp>([](auto op) { return leading(op.getGate()); })
      .Case<AddOp, ConcatOp, DispatchOp, CombineOp, CombineMembersOp, DispatchWeightsOp,
            CombineWeightsOp, LastTokenOp>([](auto op) { return leading(op->getResult(0)); })
      .Case<RouteOp>([](auto op) { return leading(op.getLogits()); })
      .Case<RouteGradientOp>([](auto op) { return leading(op.getScores()); })
      .Case<RopeOp, EmbeddingOp, MtpJoinOp, SumHeadsOp, SequenceBalanceGradientOp,
            CrossEntropyGradientOp>([](auto op) { return tokensOf(op.getResult()); })
      .Case<CrossEntropyRowsOp>([](auto op) { return tokensOf(op.getLogits()); })
      .Case<MtpJoinGradientOp>([](auto op) { return tokensOf(op.getHiddenGradient()); })
      .Default([](Operation *) { return Domain(); });
}

std::optional<RowDomain> sharedDomain(RowDomain a, RowDomain b) {
  if (a.rows != b.rows || (a.tokens && b.tokens && a.tokens != b.tokens))
    return std::nullopt;
  return RowDomain{a.rows, a.tokens ? a.tokens : b.tokens};
}

bool readsOwnRow(OpOperand &operand) {
  Operation *op = operand.getOwner();
  unsigned number = operand.getOperandNumber();
  return TypeSwitch<Operation *, bool>(op)
      // A weight, a table, a scalar, the table of ids.
      .Case<RmsNormOp, RopeOp, RouteOp, CrossEntropyRowsOp>([&](auto) { return number == 0; })
      .Case<RmsNormGradientOp>([&](auto) { return number != 3; })
      .Case<EmbeddingOp, LastTokenOp, SumHeadsOp>([](auto) { return false; })
      .Case<CrossEntropyGradientOp>([&](auto) { return number == 1 || number == 2; })
      .Case<SequenceBalanceGradientOp>([&](auto) { return number == 1; })
      // Gathers: rows are taken from anywhere, by an index that may be the row's own.
      .Case<DispatchOp, DispatchWeightsOp, CombineMembersOp>([&](auto) { return number == 1; })
      .Case<CombineOp, CombineWeightsOp>([&](auto) { return number == 2; })
      .Case<MtpJoinOp>([&](MtpJoinOp join) {
        return number == 0 || shapeOf(join.getHidden())[1] == shapeOf(join.getEmbedding())[1];
      })
      .Case<MtpJoinGradientOp>([&](MtpJoinGradientOp join) {
        return shapeOf(join.getGradient())[1] == int64_t(join.getHiddenTokens());
      })
      .Default([](Operation *) { return true; });
}

bool writesOwnRow(OpResult result) {
  auto join = dyn_cast<MtpJoinGradientOp>(result.getOwner());
  return !join || result.getResultNumber() == 1 ||
         shapeOf(join.getGradient())[1] == int64_t(join.getHiddenTokens());
}

int64_t rowWidth(Value value, RowDomain domain) {
  return domain.rows ? elementsOf(value) / domain.rows : 0;
}

bool isProduct(Operation *op) { return isa<LinearOp, GroupedLinearOp>(op); }

bool gathersRows(OpOperand &operand) {
  Operation *op = operand.getOwner();
  unsigned number = operand.getOperandNumber();
  return (isProduct(op) && number == 0) ||
         (isa<WeightGradientOp, GroupedWeightGradientOp>(op) && number < 2);
}

bool isPrologue(Operation *op) {
  return isa<DispatchOp>(op) && op->hasOneUse() && gathersRows(*op->use_begin());
}

bool isEpilogue(Operation *op, ValueRange values) {
  if (values.empty() || !isa<AddOp, SwigluOp>(op) ||
      op->getResult(0).getType() != values.front().getType())
    return false;
  unsigned inside = 0;
  for (unsigned number : {0u, 1u})
    inside += llvm::is_contained(values, op->getOperand(number));
  return inside == 1;
}

/// Whether the operands and results that stay inside the kernel follow the rules.
static bool staysInRow(Operation *op) {
  for (OpOperand &operand : op->getOpOperands())
    if (auto result = dyn_cast<OpResult>(operand.get()))
      if (!readsOwnRow(operand) || !writesOwnRow(result))
        return false;
  return true;
}

std::optional<RowDomain> rowKernelDomain(KernelOp kernel) {
  std::optional<RowDomain> shared;
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    std::optional<RowDomain> domain = rowDomain(&op);
    if (!domain || !staysInRow(&op))
      return std::nullopt;
    shared = shared ? sharedDomain(*shared, *domain) : domain;
    if (!shared)
      return std::nullopt;
  }
  return shared;
}

} // namespace hadal
