// SPDX-License-Identifier: Apache-2.0
//
// Gradients of layers.

#include "dialects/Hadal/Hadal.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace hadal;

using Accumulator = llvm::function_ref<Value(unsigned)>;

/// The zero tensor, for one half of a result that nobody used.
static Value zero(OpBuilder &builder, Location loc, Type type) {
  return arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
}

SmallVector<Value> AddOp::buildGradient(OpBuilder &, ValueRange resultGradients, Accumulator) {
  return {resultGradients[0], resultGradients[0]};
}

SmallVector<Value> LinearOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                           Accumulator accumulator) {
  Value gradient = resultGradients[0], total;
  if (!gradient)
    return {Value(), Value()};
  Value input = LinearOp::create(builder, getLoc(), gradient, getWeight(), !getTransposeWeight());
  if (Value sum = accumulator(1)) {
    // The transposed form takes rows of `out` to rows of `in`.
    bool transposed = getTransposeWeight();
    total = WeightGradientOp::create(builder, getLoc(), transposed ? getInput() : gradient,
                                     transposed ? gradient : Value(getInput()), sum);
  }
  return {input, total};
}

SmallVector<Value> RmsNormOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                            Accumulator accumulator) {
  Value gradient = resultGradients[0], total;
  if (!gradient)
    return {Value(), Value()};
  Value input = RmsNormGradientOp::create(builder, getLoc(), gradient, getInput(), getInverseRms(),
                                          getWeight());
  if (Value sum = accumulator(1))
    total = RmsNormWeightGradientOp::create(builder, getLoc(), gradient, getInput(),
                                            getInverseRms(), sum);
  return {input, total};
}

SmallVector<Value> SwigluOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                           Accumulator) {
  if (!resultGradients[0])
    return SmallVector<Value>(getNumOperands());
  auto gradient = SwigluGradientOp::create(builder, getLoc(), resultGradients[0], getGate(),
                                           getUp(), getRowScale());
  return {gradient->result_begin(), gradient->result_end()};
}

SmallVector<Value> EmbeddingOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                              Accumulator accumulator) {
  Value total, sum = accumulator(1);
  if (sum && resultGradients[0])
    total = EmbeddingGradientOp::create(builder, getLoc(), resultGradients[0], getIds(), sum,
                                        getOffsetAttr());
  return {Value(), total};
}

SmallVector<Value> SplitOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                          Accumulator) {
  Value first = resultGradients[0], second = resultGradients[1];
  if (!first && !second)
    return {Value()};
  if (!first)
    first = zero(builder, getLoc(), getFirst().getType());
  if (!second)
    second = zero(builder, getLoc(), getSecond().getType());
  return {ConcatOp::create(builder, getLoc(), first, second)};
}

SmallVector<Value> ConcatOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                           Accumulator) {
  if (!resultGradients[0])
    return {Value(), Value()};
  RankedTensorType first = getFirst().getType();
  auto split =
      SplitOp::create(builder, getLoc(), resultGradients[0], first.getDimSize(first.getRank() - 1));
  return {split.getFirst(), split.getSecond()};
}
