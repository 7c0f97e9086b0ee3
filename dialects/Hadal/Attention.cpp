// SPDX-License-Identifier: Apache-2.0
//
// Attention: shapes and memory.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

LogicalResult RopeOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                       Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput(), 3);
  int64_t head = check.quotient(input, "heads", adaptor.getHeads()); // C1
  int64_t rotary = adaptor.getRotaryDim();
  check.require(rotary > 0 && rotary % 2 == 0 && rotary <= head,
                "rotary_dim to be even, positive and at most " + Twine(head) +
                    ", the size of a head, found " + Twine(rotary)); // C2
  for (auto [name, value] : {std::pair<StringRef, Value>("cos", adaptor.getCos()),
                             std::pair<StringRef, Value>("sin", adaptor.getSin())}) { // C3
    CheckedTensor table = check.tensor(name, value, 2);
    check.size(table, 1, rotary / 2, "half of rotary_dim");
    check.require(!check.ok() || table.dim(0) >= input.dim(1),
                  "'" + name + "' to have at least " + Twine(input.dim(1)) +
                      " positions, the tokens of 'input', found " + Twine(table.dim(0)));
  }
  return check.infer(types, check.f32(input.shape));
}

namespace {
/// Sizes of attention over full keys and values.
struct AttentionShapes {
  CheckedTensor query, keyValue, keyRotary;
  int64_t heads = 1, value = 1;

  template <typename Adaptor> AttentionShapes(ShapeCheck &check, Adaptor adaptor) {
    query = check.tensor("query", adaptor.getQuery(), 3); // C1
    keyValue = check.tensor("key_value", adaptor.getKeyValue(), 3);
    keyRotary = check.tensor("key_rotary", adaptor.getKeyRotary(), 3);
    check.leading(keyValue, query);
    check.leading(keyRotary, query);
    heads = check.positive("heads", adaptor.getHeads()); // C2
    int64_t queryDim = check.quotient(query, "heads", heads);
    int64_t keyValueDim = check.quotient(keyValue, "heads", heads);
    int64_t nope = queryDim - keyRotary.last();
    check.require(!check.ok() || nope > 0, "heads of 'query' to be wider than 'key_rotary', " +
                                               Twine(keyRotary.last()) + ", found " +
                                               Twine(queryDim));
    value = keyValueDim - nope;
    check.require(!check.ok() || value > 0, "heads of 'key_value' to be wider than their keys, " +
                                                Twine(nope) + ", found " + Twine(keyValueDim));
  }
  SmallVector<int64_t, 4> output() const { return query.withLast(heads * value); }
  SmallVector<int64_t, 4> logSumExp() const { return {query.dim(0), heads, query.dim(1)}; }
};
} // namespace

LogicalResult AttentionOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  AttentionShapes shapes(check, adaptor);
  if (!check.ok())
    return failure();
  return check.infer(types, {check.f32(shapes.output()), check.f32(shapes.logSumExp())});
}

/// Checks the operands of a gradient of attention (C1).
template <typename Adaptor>
static void checkGradient(ShapeCheck &check, const AttentionShapes &shapes, Adaptor adaptor) {
  if (!check.ok())
    return;
  check.shape(check.tensor("gradient", adaptor.getGradient(), 3), shapes.output());
  check.shape(check.tensor("output", adaptor.getOutput(), 3), shapes.output());
  check.shape(check.tensor("log_sum_exp", adaptor.getLogSumExp(), 3), shapes.logSumExp());
}

LogicalResult AttentionGradientOp::inferReturnTypes(MLIRContext *context,
                                                    std::optional<Location> location,
                                                    Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  AttentionShapes shapes(check, adaptor);
  checkGradient(check, shapes, adaptor);
  return check.infer(types, {check.f32(shapes.query.shape), check.f32(shapes.keyValue.shape),
                             check.f32(shapes.keyRotary.shape)});
}

LogicalResult AttentionGradientHeadsOp::inferReturnTypes(MLIRContext *context,
                                                         std::optional<Location> location,
                                                         Adaptor adaptor,
                                                         SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  AttentionShapes shapes(check, adaptor);
  checkGradient(check, shapes, adaptor);
  if (!check.ok())
    return failure();
  return check.infer(types, {check.f32(shapes.query.shape), check.f32(shapes.keyValue.shape),
                             check.f32({shapes.query.dim(0), shapes.heads, shapes.query.dim(1),
                                        shapes.keyRotary.last()})});
}

LogicalResult SumHeadsOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                           Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = check.tensor("input", adaptor.getInput(), 4); // C1
  return check.infer(types, check.f32({input.dim(0), input.dim(2), input.dim(3)}));
}

/// The cache [N, 64, width] and its block table [N].
static CheckedTensor checkCache(ShapeCheck &check, Value cache, Value blockTable) {
  CheckedTensor blocks = check.tensor("cache", cache, 3);
  check.size(blocks, 1, kCacheBlock, "the tokens of a block");
  check.size(check.tensor("block_table", blockTable, 1), 0, blocks.dim(0), "the blocks of 'cache'");
  return blocks;
}

/// Rows a head of the weight W_UK and W_UV [heads * (nope + value), latent].
static int64_t rowsOfHead(ShapeCheck &check, const CheckedTensor &up, int64_t heads) {
  check.require(!check.ok() || up.dim(0) % heads == 0, "heads to divide the rows of '" + up.name +
                                                           "', " + Twine(up.dim(0)) + ", found " +
                                                           Twine(heads));
  return up.dim(0) / heads;
}

/// [1, T, ...].
static CheckedTensor checkOneSequence(ShapeCheck &check, StringRef name, Value value) {
  CheckedTensor tensor = check.tensor(name, value, 3);
  check.size(tensor, 0, 1, "one sequence");
  return tensor;
}

LogicalResult CacheAppendOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> location, Adaptor adaptor,
                                              SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor latent = checkOneSequence(check, "latent", adaptor.getLatent()); // C1
  CheckedTensor rotary = check.tensor("key_rotary", adaptor.getKeyRotary(), 3);
  check.leading(rotary, latent);
  CheckedTensor cache = checkCache(check, adaptor.getCache(), adaptor.getBlockTable());
  check.size(cache, 2, latent.last() + rotary.last(), "latent and rotary values of a token");
  return check.infer(types, check.f32(cache.shape));
}

LogicalResult CachedAttentionOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor query = checkOneSequence(check, "query", adaptor.getQuery()); // C1
  CheckedTensor up = check.tensor("up_projection", adaptor.getUpProjection(), 2);
  CheckedTensor cache = checkCache(check, adaptor.getCache(), adaptor.getBlockTable());
  int64_t heads = check.positive("heads", adaptor.getHeads());
  int64_t head = check.quotient(query, "heads", heads);
  int64_t rotary =
      check.part("rotary_dim", adaptor.getRotaryDim(), head, "the size of a query's head");
  check.require(!check.ok() || cache.last() - up.last() == rotary,
                "rotary_dim to be " + Twine(cache.last() - up.last()) +
                    ", what the cache holds beside the latent, found " + Twine(rotary));
  int64_t nope = head - rotary, rows = rowsOfHead(check, up, heads), value = rows - nope;
  check.require(!check.ok() || value > 0,
                "'up_projection' to have more rows than keys have values, " + Twine(nope) +
                    " a head, found " + Twine(rows));
  if (!check.ok())
    return failure();
  return check.infer(types, check.f32(query.withLast(heads * value)));
}

LogicalResult AbsorbQueryOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> location, Adaptor adaptor,
                                              SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor query = checkOneSequence(check, "query", adaptor.getQuery());
  CheckedTensor up = check.tensor("up_projection", adaptor.getUpProjection(), 2);
  int64_t heads = check.positive("heads", adaptor.getHeads());
  int64_t head = check.quotient(query, "heads", heads); // C1
  int64_t rows = rowsOfHead(check, up, heads);
  int64_t rotary =
      check.part("rotary_dim", adaptor.getRotaryDim(), head, "the size of a query's head");
  check.require(!check.ok() || head - rotary < rows, "'up_projection' to have more than " +
                                                         Twine(head - rotary) +
                                                         " rows a head, found " + Twine(rows));
  if (!check.ok())
    return failure();
  return check.infer(types, check.f32(query.withLast(heads * (up.last() + rotary))));
}

LogicalResult LatentAttentionOp::inferReturnTypes(MLIRContext *context,
                                                  std::optional<Location> location, Adaptor adaptor,
                                                  SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor query = checkOneSequence(check, "query", adaptor.getQuery());
  CheckedTensor cache = checkCache(check, adaptor.getCache(), adaptor.getBlockTable());
  int64_t heads = check.positive("heads", adaptor.getHeads());
  int64_t head = check.quotient(query, "heads", heads); // C1
  check.size(cache, 2, head, "the size of a query's head");
  int64_t latent =
      check.part("latent_dim", adaptor.getLatentDim(), head, "the size of a query's head");
  if (!check.ok())
    return failure();
  return check.infer(types, check.f32(query.withLast(heads * latent)));
}

LogicalResult ExpandValueOp::inferReturnTypes(MLIRContext *context,
                                              std::optional<Location> location, Adaptor adaptor,
                                              SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor latent = checkOneSequence(check, "latent", adaptor.getLatent());
  CheckedTensor up = check.tensor("up_projection", adaptor.getUpProjection(), 2);
  int64_t heads = check.positive("heads", adaptor.getHeads());
  int64_t head = check.quotient(latent, "heads", heads); // C1
  check.size(up, 1, head, "the latent's size");
  int64_t rows = rowsOfHead(check, up, heads);
  int64_t value = check.part("value_dim", adaptor.getValueDim(), rows, "the rows of a head");
  if (!check.ok())
    return failure();
  return check.infer(types, check.f32(latent.withLast(heads * value)));
}

LogicalResult LastTokenOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor input = checkOneSequence(check, "input", adaptor.getInput()); // C1
  return check.infer(types, check.f32({1, 1, input.last()}));
}
