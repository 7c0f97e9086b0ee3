// SPDX-License-Identifier: Apache-2.0
//
// Rules of rotary positions and of attention over full keys and values.

#include "dialects/Hadal/Reference/Rules.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace hadal::reference {

template <typename Real> static void interpret(Real, RopeOp op, Frame &frame) {
  auto y = frame.read<Real>(op.getInput());
  auto cos = frame.read<Real>(op.getCos()), sin = frame.read<Real>(op.getSin());
  int64_t start = op.getPosition() ? frame.scalar<int64_t>(op.getPosition()) : 0;
  int64_t heads = op.getHeads(), width = y.size(2) / heads, plain = width - op.getRotaryDim();
  for (int64_t end : {start, start + y.size(1) - 1})
    if (!frame.checkIndices(op, "positions", Array<int64_t>({1}, end), cos.size(0)))
      return;
  for (int64_t b = 0; b < y.size(0); ++b)
    for (int64_t t = 0; t < y.size(1); ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t j = 0; j < cos.size(1); ++j) {
          Real &first = y(b, t, h * width + plain + 2 * j);
          Real &second = y(b, t, h * width + plain + 2 * j + 1);
          Real c = cos(start + t, j), s = op.getInverse() ? -sin(start + t, j) : sin(start + t, j);
          Real turned = first * c - second * s;
          second = first * s + second * c;
          first = turned;
        }
  frame.set(op.getResult(), y);
}

namespace {
/// The operands of attention, taken apart: [B, T, H, ...] with n, r and v from the shapes.
template <typename Real> struct Heads {
  int64_t batch, tokens, heads, nope, rotary, value;
  Real scale;
  Array<Real> query, keyValue, keyRotary;

  template <typename OpTy>
  Heads(OpTy op, const Frame &frame)
      : query(frame.read<Real>(op.getQuery())), keyValue(frame.read<Real>(op.getKeyValue())),
        keyRotary(frame.read<Real>(op.getKeyRotary())) {
    batch = query.size(0);
    tokens = query.size(1);
    heads = op.getHeads();
    rotary = keyRotary.size(2);
    nope = query.size(2) / heads - rotary;
    value = keyValue.size(2) / heads - nope;
    scale = Real(op.getScale().convertToDouble());
  }

  /// Columns of the first element of head h.
  int64_t queryAt(int64_t h) const { return h * (nope + rotary); }
  int64_t keyAt(int64_t h) const { return h * (nope + value); }
  int64_t valueAt(int64_t h) const { return keyAt(h) + nope; }

  Real score(int64_t b, int64_t h, int64_t t, int64_t s) const {
    Real sum = 0;
    for (int64_t i = 0; i < nope; ++i)
      sum += query(b, t, queryAt(h) + i) * keyValue(b, s, keyAt(h) + i);
    for (int64_t i = 0; i < rotary; ++i)
      sum += query(b, t, queryAt(h) + nope + i) * keyRotary(b, s, i);
    return sum * scale;
  }
};
} // namespace

template <typename Real> static void interpret(Real, AttentionOp op, Frame &frame) {
  Heads<Real> a(op, frame);
  auto out = frame.zeros<Real>(op.getOutput()), logs = frame.zeros<Real>(op.getLogSumExp());
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t t = 0; t < a.tokens; ++t) {
        std::vector<Real> scores;
        for (int64_t s = 0; s <= t; ++s)
          scores.push_back(a.score(b, h, t, s));
        Real largest = *std::max_element(scores.begin(), scores.end()), sum = 0;
        for (Real score : scores)
          sum += std::exp(score - largest);
        logs(b, h, t) = largest + std::log(sum);
        for (int64_t s = 0; s <= t; ++s)
          for (int64_t i = 0; i < a.value; ++i)
            out(b, t, h * a.value + i) +=
                std::exp(scores[s] - logs(b, h, t)) * a.keyValue(b, s, a.valueAt(h) + i);
      }
  frame.set(op.getOutput(), out);
  frame.set(op.getLogSumExp(), logs);
}

/// Sets the gradients of query and keys and values; returns key_rotary's by head, [B, H, T, r].
template <typename Real, typename OpTy> static Array<Real> headGradients(OpTy op, Frame &frame) {
  Heads<Real> a(op, frame);
  auto gradient = frame.read<Real>(op.getGradient()), output = frame.read<Real>(op.getOutput());
  auto logs = frame.read<Real>(op.getLogSumExp());
  auto dQuery = frame.zeros<Real>(op.getQueryGradient());
  auto dKeyValue = frame.zeros<Real>(op.getKeyValueGradient());
  Array<Real> dKeyRotary({a.batch, a.heads, a.tokens, a.rotary});
  for (int64_t b = 0; b < a.batch; ++b)
    for (int64_t h = 0; h < a.heads; ++h)
      for (int64_t t = 0; t < a.tokens; ++t) {
        Real delta = 0;
        for (int64_t i = 0; i < a.value; ++i)
          delta += gradient(b, t, h * a.value + i) * output(b, t, h * a.value + i);
        for (int64_t s = 0; s <= t; ++s) {
          Real p = std::exp(a.score(b, h, t, s) - logs(b, h, t)), dp = 0;
          for (int64_t i = 0; i < a.value; ++i) {
            Real g = gradient(b, t, h * a.value + i);
            dp += g * a.keyValue(b, s, a.valueAt(h) + i);
            dKeyValue(b, s, a.valueAt(h) + i) += p * g;
          }
          Real ds = p * (dp - delta) * a.scale;
          for (int64_t i = 0; i < a.nope; ++i) {
            dQuery(b, t, a.queryAt(h) + i) += ds * a.keyValue(b, s, a.keyAt(h) + i);
            dKeyValue(b, s, a.keyAt(h) + i) += ds * a.query(b, t, a.queryAt(h) + i);
          }
          for (int64_t i = 0; i < a.rotary; ++i) {
            dQuery(b, t, a.queryAt(h) + a.nope + i) += ds * a.keyRotary(b, s, i);
            dKeyRotary(b, h, s, i) += ds * a.query(b, t, a.queryAt(h) + a.nope + i);
          }
        }
      }
  frame.set(op.getQueryGradient(), dQuery);
  frame.set(op.getKeyValueGradient(), dKeyValue);
  return dKeyRotary;
}

template <typename Real> static Array<Real> sumHeads(const Array<Real> &x) {
  Array<Real> sum({x.size(0), x.size(2), x.size(3)});
  for (int64_t b = 0; b < x.size(0); ++b)
    for (int64_t h = 0; h < x.size(1); ++h)
      for (int64_t t = 0; t < x.size(2); ++t)
        for (int64_t i = 0; i < x.size(3); ++i)
          sum(b, t, i) += x(b, h, t, i);
  return sum;
}

template <typename Real> static void interpret(Real, AttentionGradientOp op, Frame &frame) {
  frame.set(op.getKeyRotaryGradient(), sumHeads(headGradients<Real>(op, frame)));
}
template <typename Real> static void interpret(Real, AttentionGradientHeadsOp op, Frame &frame) {
  frame.set(op.getKeyRotaryGradients(), headGradients<Real>(op, frame));
}
template <typename Real> static void interpret(Real, SumHeadsOp op, Frame &frame) {
  frame.set(op.getResult(), sumHeads(frame.read<Real>(op.getInput())));
}

void addAttentionRules(RuleTable &table) {
  table.add<RopeOp, AttentionOp, AttentionGradientOp, AttentionGradientHeadsOp, SumHeadsOp>();
}

} // namespace hadal::reference
