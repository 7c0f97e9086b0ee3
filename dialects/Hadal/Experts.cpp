// SPDX-License-Identifier: Apache-2.0
//
// Mixture of experts: shapes and memory.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

LogicalResult RouteOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                        Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor logits = check.tensor("logits", adaptor.getLogits(), 3); // C1
  check.shape(check.tensor("bias", adaptor.getBias(), 1), logits.last());
  int64_t perGroup = check.quotient(logits, "groups", adaptor.getGroups()); // C2
  int64_t kept = adaptor.getKeptGroups(), topK = adaptor.getTopK(), groups = adaptor.getGroups();
  check.require(kept >= 1 && kept <= groups,
                "kept_groups from 1 to " + Twine(groups) + ", found " + Twine(kept));
  if (!check.ok())
    return failure();
  check.require(topK >= 1 && topK <= kept * perGroup,
                "top_k from 1 to " + Twine(kept * perGroup) +
                    ", the experts of the kept groups, found " + Twine(topK));
  return check.infer(types, {check.i32(logits.withLast(topK)), check.f32(logits.withLast(topK)),
                             check.f32(logits.shape)});
}

LogicalResult RouteGradientOp::inferReturnTypes(MLIRContext *context,
                                                std::optional<Location> location, Adaptor adaptor,
                                                SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor experts = check.tensor("experts", adaptor.getExperts(), 3); // C2
  CheckedTensor scores = check.tensor("scores", adaptor.getScores(), 3);
  check.leading(experts, scores);
  Value weightsGradient = adaptor.getWeightsGradient(),
        scoresGradient = adaptor.getScoresGradient();
  check.require(weightsGradient || scoresGradient, "the gradient of weights or of scores"); // C1
  if (weightsGradient)
    check.shape(check.tensor("weights_gradient", weightsGradient, 3), experts.shape);
  if (scoresGradient)
    check.shape(check.tensor("scores_gradient", scoresGradient, 3), scores.shape);
  return check.infer(types, check.f32(scores.shape));
}

LogicalResult SortByExpertOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location, Adaptor adaptor,
                                               SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor experts = check.tensor("experts", adaptor.getExperts(), 3);
  int64_t count = check.positive("expert_count", adaptor.getExpertCount()); // C1
  constexpr int64_t limit = std::numeric_limits<int32_t>::max();
  check.require(count < limit, "expert_count to fit 32 bits, found " + Twine(count));
  check.require(experts.elements() <= limit,
                "at most 2^31 - 1 routed rows, found " + Twine(experts.elements()));
  if (!check.ok())
    return failure();
  return check.infer(types, {check.i64(count), check.i64(count + 1), check.i32(experts.elements()),
                             check.i32(experts.shape)});
}

LogicalResult AccumulateCountsOp::inferReturnTypes(MLIRContext *context,
                                                   std::optional<Location> location,
                                                   Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor total = check.tensor("total", adaptor.getTotal(), 1);
  check.sameType(check.tensor("counts", adaptor.getCounts(), 1), total); // C1
  return check.infer(types, check.i64(total.shape));
}

/// The order of routed rows: `slot` [B, T, K], with `source` [R] its inverse, R = B T K; or `slot`
/// [N, K] of received rows, where not every element has a row.
struct CheckedOrder {
  CheckedTensor slot, source;
  int64_t rows() const { return source.dim(0); }
};
template <typename Adaptor> static CheckedOrder checkOrder(ShapeCheck &check, Adaptor adaptor) {
  CheckedTensor slot = check.tensor("slot", adaptor.getSlot());
  CheckedTensor source = check.tensor("source", adaptor.getSource(), 1);
  check.require(slot.rank() == 2 || slot.rank() == 3,
                "'slot' of rank 2 or 3, found rank " + Twine(slot.rank()));
  if (slot.rank() == 2)
    check.require(source.dim(0) <= slot.elements(),
                  "'source' to have at most the " + Twine(slot.elements()) +
                      " elements of 'slot', found " + Twine(source.dim(0)));
  else
    check.size(source, 0, slot.elements(), "the elements of 'slot'");
  return {slot, source};
}

LogicalResult DispatchOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                           Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  CheckedOrder order = checkOrder(check, adaptor); // C1
  check.leading(input, order.slot);
  return check.infer(types, check.f32({order.rows(), input.last()}));
}

LogicalResult CombineOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                          Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor rows = check.tensor("rows", adaptor.getRows(), 2);
  CheckedOrder order = checkOrder(check, adaptor); // C1
  check.size(rows, 0, order.rows(), "the elements of 'source'");
  return check.infer(types, check.f32(order.slot.withLast(rows.last())));
}

LogicalResult DispatchWeightsOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedOrder order = checkOrder(check, adaptor);
  check.shape(check.tensor("weights", adaptor.getWeights()), order.slot.shape);
  return check.infer(types, check.f32(order.rows()));
}

LogicalResult CombineWeightsOp::inferReturnTypes(MLIRContext *context,
                                                 std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedOrder order = checkOrder(check, adaptor);
  check.shape(check.tensor("row_weights", adaptor.getRowWeights(), 1), order.rows());
  return check.infer(types, check.f32(order.slot.shape));
}

LogicalResult GroupedLinearOp::inferReturnTypes(MLIRContext *context,
                                                std::optional<Location> location, Adaptor adaptor,
                                                SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  bool transposed = adaptor.getTransposeWeight();
  CheckedTensor rows = check.tensor("rows", adaptor.getRows(), 2);
  CheckedTensor weight = check.tensor("weight", adaptor.getWeight(), 3);
  check.size(check.tensor("offsets", adaptor.getOffsets(), 1), 0, weight.dim(0) + 1,
             "one more than the experts of 'weight'"); // C1
  check.size(rows, 1, weight.dim(transposed ? 1 : 2),
             transposed ? "the weight's out" : "the weight's in"); // C2
  return check.infer(types, check.f32(rows.withLast(weight.dim(transposed ? 2 : 1))));
}

LogicalResult GroupedWeightGradientOp::inferReturnTypes(MLIRContext *context,
                                                        std::optional<Location> location,
                                                        Adaptor adaptor,
                                                        SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gradient = check.tensor("gradient", adaptor.getGradient(), 2); // C1
  CheckedTensor rows = check.tensor("rows", adaptor.getRows(), 2);
  CheckedTensor accumulator = check.tensor("accumulator", adaptor.getAccumulator(), 3);
  check.leading(rows, gradient);
  check.shape(accumulator, {accumulator.dim(0), gradient.last(), rows.last()});
  check.size(check.tensor("offsets", adaptor.getOffsets(), 1), 0, accumulator.dim(0) + 1,
             "one more than the experts of 'accumulator'");
  return check.infer(types, check.f32(accumulator.shape));
}

/// `scores` [B, T, E] and the number of chosen experts.
template <typename Adaptor> static CheckedTensor checkBalance(ShapeCheck &check, Adaptor adaptor) {
  CheckedTensor scores = check.tensor("scores", adaptor.getScores(), 3);
  int64_t topK = adaptor.getTopK();
  check.require(topK >= 1 && topK <= scores.last(),
                "top_k from 1 to " + Twine(scores.last()) + ", the experts, found " + Twine(topK));
  return scores;
}

LogicalResult SequenceBalanceOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor scores = checkBalance(check, adaptor);
  return check.infer(types, {check.f64({}), check.f32({scores.dim(0), scores.last()})});
}

LogicalResult SequenceBalanceRowsOp::inferReturnTypes(MLIRContext *context,
                                                      std::optional<Location> location,
                                                      Adaptor adaptor,
                                                      SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor scores = checkBalance(check, adaptor);
  return check.infer(types, {check.f64(scores.dim(0)), check.f32({scores.dim(0), scores.last()})});
}

LogicalResult SequenceBalanceGradientOp::inferReturnTypes(MLIRContext *context,
                                                          std::optional<Location> location,
                                                          Adaptor adaptor,
                                                          SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor scores = check.tensor("scores", adaptor.getScores(), 3);
  check.shape(check.tensor("fractions", adaptor.getFractions(), 2), {scores.dim(0), scores.last()});
  return check.infer(types, check.f32(scores.shape));
}

LogicalResult BiasUpdateOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor bias = check.tensor("bias", adaptor.getBias(), 1);
  check.shape(check.tensor("counts", adaptor.getCounts(), 1), bias.shape); // C1
  return check.infer(types, check.f32(bias.shape));
}
