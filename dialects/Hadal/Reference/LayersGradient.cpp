// SPDX-License-Identifier: Apache-2.0
//
// Rules of the gradients of products, RMSNorm, SwiGLU and embedding.

#include "dialects/Hadal/Reference/Rules.h"

#include <cmath>

using namespace mlir;

namespace hadal::reference {

template <typename Real> static void interpret(Real, WeightGradientOp op, Frame &frame) {
  auto g = frame.rows<Real>(op.getGradient()), x = frame.rows<Real>(op.getInput());
  auto y = frame.read<Real>(op.getAccumulator());
  for (int64_t o = 0; o < y.size(0); ++o)
    for (int64_t i = 0; i < y.size(1); ++i) {
      Real sum = 0;
      for (int64_t r = 0; r < x.size(0); ++r)
        sum += g(r, o) * x(r, i);
      y(o, i) += sum;
    }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, RmsNormGradientOp op, Frame &frame) {
  auto g = frame.rows<Real>(op.getGradient()), x = frame.rows<Real>(op.getInput());
  auto inverse = frame.read<Real>(op.getInverseRms()), w = frame.read<Real>(op.getWeight());
  auto y = frame.zeroRows<Real>(op.getResult());
  for (int64_t r = 0; r < x.size(0); ++r) {
    Real s = inverse.data[r], dot = 0;
    for (int64_t i = 0; i < x.size(1); ++i)
      dot += g(r, i) * w(i) * x(r, i);
    for (int64_t i = 0; i < x.size(1); ++i)
      y(r, i) = s * (g(r, i) * w(i)) - x(r, i) * (s * s * s) * dot / Real(x.size(1));
  }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, RmsNormWeightGradientOp op, Frame &frame) {
  auto g = frame.rows<Real>(op.getGradient()), x = frame.rows<Real>(op.getInput());
  auto inverse = frame.read<Real>(op.getInverseRms());
  auto y = frame.read<Real>(op.getAccumulator());
  for (int64_t i = 0; i < x.size(1); ++i) {
    Real sum = 0;
    for (int64_t r = 0; r < x.size(0); ++r)
      sum += g(r, i) * x(r, i) * inverse.data[r];
    y(i) += sum;
  }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, SwigluGradientOp op, Frame &frame) {
  auto g = frame.rows<Real>(op.getGradient());
  auto gate = frame.rows<Real>(op.getGate()), up = frame.rows<Real>(op.getUp());
  Array<Real> scale({g.size(0)}, Real(1)), scaleGradient({g.size(0)});
  if (op.getRowScale())
    scale = frame.read<Real>(op.getRowScale());
  auto gateGradient = frame.zeroRows<Real>(op.getGateGradient());
  auto upGradient = frame.zeroRows<Real>(op.getUpGradient());
  for (int64_t r = 0; r < g.size(0); ++r)
    for (int64_t i = 0; i < g.size(1); ++i) {
      Real x = gate(r, i), s = 1 / (1 + std::exp(-x)), scaled = g(r, i) * scale.data[r];
      gateGradient(r, i) = scaled * up(r, i) * s * (1 + x * (1 - s));
      upGradient(r, i) = scaled * x * s;
      scaleGradient.data[r] += g(r, i) * (x * s) * up(r, i);
    }
  frame.set(op.getGateGradient(), gateGradient);
  frame.set(op.getUpGradient(), upGradient);
  if (op.getScaleGradient())
    frame.set(op.getScaleGradient(), scaleGradient);
}

template <typename Real> static void interpret(Real, EmbeddingGradientOp op, Frame &frame) {
  auto ids = frame.ids(op.getIds());
  auto g = frame.read<Real>(op.getGradient());
  auto y = frame.read<Real>(op.getAccumulator());
  if (!frame.checkIndices(op, "ids", ids, y.size(0)))
    return;
  int64_t offset = op.getOffset();
  for (int64_t b = 0; b < g.size(0); ++b)
    for (int64_t t = 0; t < g.size(1); ++t)
      for (int64_t i = 0; i < g.size(2); ++i)
        y(ids(b, t + offset), i) += g(b, t, i);
  frame.set(op.getResult(), y);
}

void addLayerGradientRules(RuleTable &table) {
  table.add<WeightGradientOp, RmsNormGradientOp, RmsNormWeightGradientOp, SwigluGradientOp,
            EmbeddingGradientOp>();
}

} // namespace hadal::reference
