// SPDX-License-Identifier: Apache-2.0
//
// Losses: shapes and gradient.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

/// `logits` [B, T, V] with `ids` [B, S] from `offset` on.
template <typename Adaptor> static CheckedTensor checkLogits(ShapeCheck &check, Adaptor adaptor) {
  CheckedTensor logits = check.tensor("logits", adaptor.getLogits(), 3);
  CheckedTensor ids = check.tensor("ids", adaptor.getIds(), 2);
  check.size(ids, 0, logits.dim(0), "the sequences of 'logits'");
  int64_t offset = adaptor.getOffset(), tokens = logits.dim(1);
  check.require(offset >= 0 && tokens <= ids.dim(1) && offset <= ids.dim(1) - tokens,
                "offset from 0 to " + Twine(ids.dim(1) - tokens) + ", found " +
                    Twine(offset)); // C1
  return logits;
}

LogicalResult CrossEntropyOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location, Adaptor adaptor,
                                               SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor logits = checkLogits(check, adaptor);
  check.positive("divisor", adaptor.getDivisor()); // C2
  return check.infer(types, {check.f64({}), check.f32(logits.leading())});
}

SmallVector<Value> CrossEntropyOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                                 llvm::function_ref<Value(unsigned)>) {
  if (!resultGradients[0])
    return {Value(), Value()};
  return {CrossEntropyGradientOp::create(builder, getLoc(), resultGradients[0], getLogits(),
                                         getLogSumExp(), getIds(), getOffsetAttr(),
                                         getDivisorAttr()),
          Value()};
}

LogicalResult CrossEntropyRowsOp::inferReturnTypes(MLIRContext *context,
                                                   std::optional<Location> location,
                                                   Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor logits = checkLogits(check, adaptor);
  return check.infer(types, {check.f64(logits.leading()), check.f32(logits.leading())});
}

LogicalResult ReduceLossOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  check.tensor("row_loss", adaptor.getRowLoss());
  check.positive("divisor", adaptor.getDivisor()); // C1
  return check.infer(types, check.f64({}));
}

LogicalResult CrossEntropyGradientOp::inferReturnTypes(MLIRContext *context,
                                                       std::optional<Location> location,
                                                       Adaptor adaptor,
                                                       SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor logits = checkLogits(check, adaptor);
  check.shape(check.tensor("log_sum_exp", adaptor.getLogSumExp(), 2), logits.leading());
  check.positive("divisor", adaptor.getDivisor());
  return check.infer(types, check.f32(logits.shape));
}
