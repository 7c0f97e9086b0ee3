// SPDX-License-Identifier: Apache-2.0
//
// Folds: ops that undo each other bit for bit. Not among them: rope and its inverse (the tables
// carry an amplitude), dispatch and combine (a token has several rows), quantize and dequantize
// (rounding).

#include "dialects/Hadal/Hadal.h"

using namespace mlir;
using namespace hadal;

/// split(concat(a, b)), cut where they were joined: a, b.
LogicalResult SplitOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  auto concat = getInput().getDefiningOp<ConcatOp>();
  if (!concat || concat.getFirst().getType() != getFirst().getType())
    return failure();
  results.assign({concat.getFirst(), concat.getSecond()});
  return success();
}

/// concat of both parts of a split: what was cut.
OpFoldResult ConcatOp::fold(FoldAdaptor) {
  auto split = getFirst().getDefiningOp<SplitOp>();
  if (!split || getFirst() != split.getFirst() || getSecond() != split.getSecond())
    return {};
  return split.getInput();
}

/// The value that `Opposite` moved the other way, in the same order of rows.
template <typename Opposite, typename OpTy> static Value movedFrom(OpTy op, Value moved) {
  auto opposite = moved.getDefiningOp<Opposite>();
  if (!opposite || opposite.getSource() != op.getSource() || opposite.getSlot() != op.getSlot())
    return {};
  return opposite->getOperand(0);
}

OpFoldResult DispatchWeightsOp::fold(FoldAdaptor) {
  return movedFrom<CombineWeightsOp>(*this, getWeights());
}

OpFoldResult CombineWeightsOp::fold(FoldAdaptor) {
  if (cast<RankedTensorType>(getSlot().getType()).getRank() == 2)
    return {}; // experts of other members: 0 now, whatever it was before
  return movedFrom<DispatchWeightsOp>(*this, getRowWeights());
}

/// The last of one token is that token.
OpFoldResult LastTokenOp::fold(FoldAdaptor) {
  return getInput().getType() == getResult().getType() ? getInput() : Value();
}
