// SPDX-License-Identifier: Apache-2.0
//
// Layers: shapes and memory.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

LogicalResult AddOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                      Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor lhs = check.tensor("lhs", adaptor.getLhs());
  check.sameType(check.tensor("rhs", adaptor.getRhs()), lhs); // C1
  return check.infer(types, check.f32(lhs.shape));
}

LogicalResult LinearOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                         Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  bool transposed = adaptor.getTransposeWeight();
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  CheckedTensor weight = check.tensor("weight", adaptor.getWeight(), 2); // C1
  check.size(input, -1, weight.dim(transposed ? 0 : 1),
             transposed ? "the weight's out" : "the weight's in"); // C2
  return check.infer(types, check.f32(input.withLast(weight.dim(transposed ? 1 : 0))));
}

LogicalResult WeightGradientOp::inferReturnTypes(MLIRContext *context,
                                                 std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gradient = check.tensor("gradient", adaptor.getGradient());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  CheckedTensor accumulator = check.tensor("accumulator", adaptor.getAccumulator(), 2);
  check.leading(input, gradient);                            // C1
  check.shape(accumulator, {gradient.last(), input.last()}); // C2
  return check.infer(types, check.f32(accumulator.shape));
}

LogicalResult RmsNormOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                          Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  CheckedTensor weight = check.tensor("weight", adaptor.getWeight(), 1);
  check.size(weight, 0, input.last(), "the input's last dimension"); // C1
  check.notNegative("epsilon", adaptor.getEpsilon());                // C2
  return check.infer(types, {check.f32(input.shape), check.f32(input.leading())});
}

LogicalResult RmsNormGradientOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  check.sameType(check.tensor("gradient", adaptor.getGradient()), input); // C1
  check.shape(check.tensor("inverse_rms", adaptor.getInverseRms(), input.rank() - 1),
              input.leading());
  check.shape(check.tensor("weight", adaptor.getWeight(), 1), input.last());
  return check.infer(types, check.f32(input.shape));
}

LogicalResult RmsNormWeightGradientOp::inferReturnTypes(MLIRContext *context,
                                                        std::optional<Location> location,
                                                        Adaptor adaptor,
                                                        SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  check.sameType(check.tensor("gradient", adaptor.getGradient()), input); // C1
  check.shape(check.tensor("inverse_rms", adaptor.getInverseRms(), input.rank() - 1),
              input.leading());
  check.shape(check.tensor("accumulator", adaptor.getAccumulator(), 1), input.last());
  return check.infer(types, check.f32(input.last()));
}

LogicalResult SwigluOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                         Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gate = check.tensor("gate", adaptor.getGate());
  check.sameType(check.tensor("up", adaptor.getUp()), gate); // C1
  if (Value scale = adaptor.getRowScale())
    check.shape(check.tensor("row_scale", scale, gate.rank() - 1), gate.leading()); // C2
  return check.infer(types, check.f32(gate.shape));
}

LogicalResult SwigluGradientOp::inferReturnTypes(MLIRContext *context,
                                                 std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gate = check.tensor("gate", adaptor.getGate());
  check.sameType(check.tensor("up", adaptor.getUp()), gate); // C1
  check.sameType(check.tensor("gradient", adaptor.getGradient()), gate);
  SmallVector<Type> inferred(2, check.f32(gate.shape));
  if (Value scale = adaptor.getRowScale()) {
    check.shape(check.tensor("row_scale", scale, gate.rank() - 1), gate.leading());
    inferred.push_back(check.f32(gate.leading()));
  }
  return check.infer(types, inferred);
}

LogicalResult EmbeddingOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor ids = check.tensor("ids", adaptor.getIds(), 2); // C1
  CheckedTensor table = check.tensor("table", adaptor.getTable(), 2);
  int64_t offset = adaptor.getOffset(), tokens = check.positive("tokens", adaptor.getTokens());
  check.require(offset >= 0, "offset not to be negative, found " + Twine(offset));
  check.require(tokens <= ids.dim(1) && offset <= ids.dim(1) - tokens,
                "offset + tokens to be at most " + Twine(ids.dim(1)) +
                    ", the number of ids of a sequence, found offset " + Twine(offset) +
                    " and tokens " + Twine(tokens)); // C2
  return check.infer(types, check.f32({ids.dim(0), tokens, table.dim(1)}));
}

LogicalResult EmbeddingGradientOp::inferReturnTypes(MLIRContext *context,
                                                    std::optional<Location> location,
                                                    Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gradient = check.tensor("gradient", adaptor.getGradient(), 3); // C1
  CheckedTensor ids = check.tensor("ids", adaptor.getIds(), 2);
  CheckedTensor accumulator = check.tensor("accumulator", adaptor.getAccumulator(), 2);
  int64_t offset = adaptor.getOffset(), tokens = gradient.dim(1);
  check.size(gradient, 0, ids.dim(0), "the sequences of 'ids'");
  check.size(accumulator, 1, gradient.last(), "the gradient's last dimension");
  check.require(offset >= 0 && tokens <= ids.dim(1) && offset <= ids.dim(1) - tokens,
                "offset from 0 to " + Twine(ids.dim(1) - tokens) + ", found " + Twine(offset));
  return check.infer(types, check.f32(accumulator.shape));
}

LogicalResult SplitOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                        Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput());
  int64_t size =
      check.part("size", adaptor.getSize(), input.last(), "the last dimension of 'input'"); // C1
  if (!check.ok())
    return failure();
  return check.infer(
      types, {check.f32(input.withLast(size)), check.f32(input.withLast(input.last() - size))});
}

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                         Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor first = check.tensor("first", adaptor.getFirst());
  CheckedTensor second = check.tensor("second", adaptor.getSecond());
  check.leading(second, first); // C1
  return check.infer(types, check.f32(first.withLast(first.last() + second.last())));
}
