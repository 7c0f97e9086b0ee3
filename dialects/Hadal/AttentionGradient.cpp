// SPDX-License-Identifier: Apache-2.0
//
// Gradients of attention.

#include "dialects/Hadal/Hadal.h"

using namespace mlir;
using namespace hadal;

using Accumulator = llvm::function_ref<Value(unsigned)>;

SmallVector<Value> RopeOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                         Accumulator) {
  SmallVector<Value> gradients(getNumOperands());
  // The transpose of a rotation is its inverse, amplitude included.
  if (resultGradients[0])
    gradients[0] =
        RopeOp::create(builder, getLoc(), resultGradients[0], getCos(), getSin(), getPosition(),
                       getHeads(), getRotaryDim(), !getInverse(), getPairs());
  return gradients;
}

SmallVector<Value> AttentionOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                              Accumulator) {
  if (!resultGradients[0])
    return SmallVector<Value>(3);
  auto gradient = AttentionGradientOp::create(builder, getLoc(), resultGradients[0], getQuery(),
                                              getKeyValue(), getKeyRotary(), getOutput(),
                                              getLogSumExp(), getHeadsAttr(), getScaleAttr());
  return {gradient->result_begin(), gradient->result_end()};
}
