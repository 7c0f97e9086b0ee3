// SPDX-License-Identifier: Apache-2.0
//
// Rules of the decode form of attention: the latent cache, attention over it with keys and values
// projected up, and its absorbed form.

#include "dialects/Hadal/Reference/Rules.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace hadal::reference {

namespace {
/// The latent cache, addressed by position.
template <typename Real> struct Cache {
  Array<Real> cache;
  Array<int64_t> table;

  Cache(Value cache, Value table, const Frame &frame)
      : cache(frame.read<Real>(cache)), table(frame.ids(table)) {}

  int64_t capacity() const { return table.size(0) * kCacheBlock; }
  Real &at(int64_t position, int64_t i) {
    return cache(table(position / kCacheBlock), position % kCacheBlock, i);
  }
  /// Whether positions [first, last] lie in the cache; refuses if not.
  bool check(Operation *op, int64_t first, int64_t last, Frame &frame) const {
    Array<int64_t> ends({2});
    ends.data = {first, last};
    return frame.checkIndices(op, "block_table", table, cache.size(0)) &&
           (last < first || frame.checkIndices(op, "positions", ends, capacity()));
  }
};
} // namespace

template <typename Real> static void interpret(Real, CacheAppendOp op, Frame &frame) {
  auto latent = frame.read<Real>(op.getLatent()), rotary = frame.read<Real>(op.getKeyRotary());
  Cache<Real> cache(op.getCache(), op.getBlockTable(), frame);
  int64_t position = frame.scalar<int64_t>(op.getPosition()), c = latent.size(2);
  int64_t count = std::min(latent.size(1), frame.scalar<int64_t>(op.getValid()));
  if (!cache.check(op, position, position + count - 1, frame))
    return;
  for (int64_t t = 0; t < count; ++t) {
    for (int64_t i = 0; i < c; ++i)
      cache.at(position + t, i) = latent(0, t, i);
    for (int64_t i = 0; i < rotary.size(2); ++i)
      cache.at(position + t, c + i) = rotary(0, t, i);
  }
  frame.set(op.getResult(), cache.cache);
}

/// Softmax of scores, in place.
template <typename Real> static void softmax(std::vector<Real> &scores) {
  Real largest = *std::max_element(scores.begin(), scores.end()), sum = 0;
  for (Real score : scores)
    sum += std::exp(score - largest);
  for (Real &score : scores)
    score = std::exp(score - largest) / sum;
}

/// Row `row` of a matrix [.., c] times the latent of a position.
template <typename Real>
static Real project(const Array<Real> &matrix, int64_t row, Cache<Real> &cache, int64_t position) {
  Real sum = 0;
  for (int64_t i = 0; i < matrix.size(1); ++i)
    sum += matrix(row, i) * cache.at(position, i);
  return sum;
}

template <typename Real> static void interpret(Real, CachedAttentionOp op, Frame &frame) {
  auto query = frame.read<Real>(op.getQuery()), up = frame.read<Real>(op.getUpProjection());
  Cache<Real> cache(op.getCache(), op.getBlockTable(), frame);
  auto out = frame.zeros<Real>(op.getOutput());
  int64_t position = frame.scalar<int64_t>(op.getPosition()), tokens = query.size(1);
  if (!cache.check(op, position, position + tokens - 1, frame))
    return;
  int64_t heads = op.getHeads(), rotary = op.getRotaryDim(), nope = query.size(2) / heads - rotary;
  int64_t width = up.size(0) / heads, value = width - nope, c = up.size(1);
  Real scale = Real(op.getScale().convertToDouble());
  for (int64_t h = 0; h < heads; ++h) {
    Array<Real> keyValue({position + tokens, width}); // [k | v] of every position
    for (int64_t s = 0; s < position + tokens; ++s)
      for (int64_t i = 0; i < width; ++i)
        keyValue(s, i) = project(up, h * width + i, cache, s);
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<Real> scores(size_t(position + t + 1));
      for (int64_t s = 0; s <= position + t; ++s) {
        for (int64_t i = 0; i < nope; ++i)
          scores[s] += query(0, t, h * (nope + rotary) + i) * keyValue(s, i);
        for (int64_t i = 0; i < rotary; ++i)
          scores[s] += query(0, t, h * (nope + rotary) + nope + i) * cache.at(s, c + i);
        scores[s] *= scale;
      }
      softmax(scores);
      for (int64_t s = 0; s <= position + t; ++s)
        for (int64_t i = 0; i < value; ++i)
          out(0, t, h * value + i) += scores[s] * keyValue(s, nope + i);
    }
  }
  frame.set(op.getOutput(), out);
}

template <typename Real> static void interpret(Real, AbsorbQueryOp op, Frame &frame) {
  auto query = frame.rows<Real>(op.getQuery()), up = frame.read<Real>(op.getUpProjection());
  auto y = frame.zeroRows<Real>(op.getResult());
  int64_t heads = op.getHeads(), rotary = op.getRotaryDim(), nope = query.size(1) / heads - rotary;
  int64_t width = up.size(0) / heads, c = up.size(1);
  for (int64_t t = 0; t < query.size(0); ++t)
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < c; ++i)
        for (int64_t j = 0; j < nope; ++j)
          y(t, h * (c + rotary) + i) += up(h * width + j, i) * query(t, h * (nope + rotary) + j);
      for (int64_t i = 0; i < rotary; ++i)
        y(t, h * (c + rotary) + c + i) = query(t, h * (nope + rotary) + nope + i);
    }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, LatentAttentionOp op, Frame &frame) {
  auto query = frame.read<Real>(op.getQuery());
  Cache<Real> cache(op.getCache(), op.getBlockTable(), frame);
  auto out = frame.zeros<Real>(op.getOutput());
  int64_t position = frame.scalar<int64_t>(op.getPosition()), tokens = query.size(1);
  if (!cache.check(op, position, position + tokens - 1, frame))
    return;
  int64_t heads = op.getHeads(), width = query.size(2) / heads, c = op.getLatentDim();
  Real scale = Real(op.getScale().convertToDouble());
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<Real> scores(size_t(position + t + 1));
      for (int64_t s = 0; s <= position + t; ++s) {
        for (int64_t i = 0; i < width; ++i)
          scores[s] += query(0, t, h * width + i) * cache.at(s, i);
        scores[s] *= scale;
      }
      softmax(scores);
      for (int64_t s = 0; s <= position + t; ++s)
        for (int64_t i = 0; i < c; ++i)
          out(0, t, h * c + i) += scores[s] * cache.at(s, i);
    }
  frame.set(op.getOutput(), out);
}

template <typename Real> static void interpret(Real, ExpandValueOp op, Frame &frame) {
  auto latent = frame.rows<Real>(op.getLatent()), up = frame.read<Real>(op.getUpProjection());
  auto y = frame.zeroRows<Real>(op.getResult());
  int64_t heads = op.getHeads(), value = op.getValueDim(), c = up.size(1);
  int64_t width = up.size(0) / heads, nope = width - value;
  for (int64_t t = 0; t < latent.size(0); ++t)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < value; ++i)
        for (int64_t j = 0; j < c; ++j)
          y(t, h * value + i) += up(h * width + nope + i, j) * latent(t, h * c + j);
  frame.set(op.getResult(), y);
}

void addCacheRules(RuleTable &table) {
  table.add<CacheAppendOp, CachedAttentionOp, AbsorbQueryOp, LatentAttentionOp, ExpandValueOp>();
}

} // namespace hadal::reference
