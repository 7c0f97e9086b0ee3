// SPDX-License-Identifier: Apache-2.0
//
// Gradients of the mixture of experts.

#include "dialects/Hadal/Hadal.h"

using namespace mlir;
using namespace hadal;

using Accumulator = llvm::function_ref<Value(unsigned)>;

SmallVector<Value> RouteOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                          Accumulator) {
  Value weights = resultGradients[1], scores = resultGradients[2];
  if (!weights && !scores)
    return {Value(), Value()};
  return {RouteGradientOp::create(builder, getLoc(), weights, scores, getExperts(), getScores(),
                                  getNormalizeAttr(), getScalingFactorAttr(), getEpsilonAttr()),
          Value()};
}

/// Gradients of an op that moves values between tokens and routed rows: its opposite.
template <typename Opposite, typename OpTy>
static SmallVector<Value> moveBack(OpTy op, OpBuilder &builder, Value gradient) {
  if (!gradient)
    return SmallVector<Value>(3);
  return {Opposite::create(builder, op.getLoc(), gradient, op.getSource(), op.getSlot()), Value(),
          Value()};
}

SmallVector<Value> DispatchOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                             Accumulator) {
  return moveBack<CombineOp>(*this, builder, resultGradients[0]);
}

SmallVector<Value> CombineOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                            Accumulator) {
  return moveBack<DispatchOp>(*this, builder, resultGradients[0]);
}

SmallVector<Value> DispatchWeightsOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                                    Accumulator) {
  return moveBack<CombineWeightsOp>(*this, builder, resultGradients[0]);
}

SmallVector<Value> CombineWeightsOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                                   Accumulator) {
  return moveBack<DispatchWeightsOp>(*this, builder, resultGradients[0]);
}

SmallVector<Value> GroupedLinearOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                                  Accumulator accumulator) {
  Value gradient = resultGradients[0], total;
  if (!gradient)
    return SmallVector<Value>(3);
  bool transposed = getTransposeWeight();
  Value rows =
      GroupedLinearOp::create(builder, getLoc(), gradient, getWeight(), getOffsets(), !transposed);
  if (Value sum = accumulator(1)) // the transposed form takes rows of `out` to rows of `in`
    total = GroupedWeightGradientOp::create(builder, getLoc(), transposed ? getRows() : gradient,
                                            transposed ? gradient : Value(getRows()), getOffsets(),
                                            sum);
  return {rows, total, Value()};
}

SmallVector<Value> SequenceBalanceOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                                    Accumulator) {
  if (!resultGradients[0])
    return {Value()};
  return {SequenceBalanceGradientOp::create(builder, getLoc(), resultGradients[0], getScores(),
                                            getFractions(), getAlphaAttr())};
}
