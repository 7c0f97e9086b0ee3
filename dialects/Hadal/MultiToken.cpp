// SPDX-License-Identifier: Apache-2.0
//
// Multi-token prediction: shapes and gradient.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

LogicalResult MtpJoinOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                          Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor embedding = check.tensor("embedding", adaptor.getEmbedding(), 3);
  CheckedTensor hidden = check.tensor("hidden", adaptor.getHidden(), 3);
  check.size(hidden, 0, embedding.dim(0), "the sequences of 'embedding'"); // C1
  check.size(hidden, 2, embedding.last(), "the last dimension of 'embedding'");
  check.require(!check.ok() || embedding.dim(1) <= hidden.dim(1),
                "'hidden' to have at least " + Twine(embedding.dim(1)) +
                    " positions, those of 'embedding', found " + Twine(hidden.dim(1)));
  return check.infer(types, check.f32(embedding.withLast(2 * embedding.last())));
}

SmallVector<Value> MtpJoinOp::buildGradient(OpBuilder &builder, ValueRange resultGradients,
                                            llvm::function_ref<Value(unsigned)>) {
  if (!resultGradients[0])
    return {Value(), Value()};
  auto gradient = MtpJoinGradientOp::create(builder, getLoc(), resultGradients[0],
                                            getHidden().getType().getDimSize(1), getHalfOrder());
  return {gradient.getEmbeddingGradient(), gradient.getHiddenGradient()};
}

LogicalResult MtpJoinGradientOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gradient = check.tensor("gradient", adaptor.getGradient(), 3);
  int64_t half = check.quotient(gradient, "2", 2); // C1
  int64_t tokens = adaptor.getHiddenTokens();
  check.require(tokens >= gradient.dim(1),
                "hidden_tokens to be at least " + Twine(gradient.dim(1)) +
                    ", the positions of 'gradient', found " + Twine(tokens));
  return check.infer(
      types, {check.f32(gradient.withLast(half)), check.f32({gradient.dim(0), tokens, half})});
}
