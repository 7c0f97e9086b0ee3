// SPDX-License-Identifier: Apache-2.0
//
// Rules of what moves rows to their experts and back, and of the grouped products.

#include "dialects/Hadal/Reference/Rules.h"

using namespace mlir;

namespace hadal::reference {

/// What a row holds that nobody may read: it makes everything that depends on it undefined too.
template <typename Real> static Real undefined() { return std::numeric_limits<Real>::quiet_NaN(); }

/// Whether the indices of an order of rows are below `limit`, and -1 (no row) only where some were
/// received; refuses if not.
template <typename OpTy>
static bool checkOrder(OpTy op, StringRef what, Array<int64_t> indices, int64_t limit,
                       Frame &frame) {
  if (shapeOf(op.getSlot().getType()).size() == 2)
    for (int64_t &index : indices.data)
      index = index == -1 ? 0 : index;
  return frame.checkIndices(op, what, indices, limit);
}

template <typename Real> static void interpret(Real, DispatchOp op, Frame &frame) {
  auto x = frame.rows<Real>(op.getInput());
  auto source = frame.ids(op.getSource());
  auto y = frame.zeros<Real>(op.getRows());
  int64_t topK = shapeOf(op.getSlot().getType()).back();
  if (!checkOrder(op, "source", source, x.size(0) * topK, frame))
    return;
  for (int64_t s = 0; s < y.size(0); ++s)
    for (int64_t i = 0; i < y.size(1); ++i)
      y(s, i) = source(s) < 0 ? undefined<Real>() : x(source(s) / topK, i);
  frame.set(op.getRows(), y);
}

template <typename Real> static void interpret(Real, CombineOp op, Frame &frame) {
  auto x = frame.read<Real>(op.getRows());
  auto slot = frame.rows<int64_t>(op.getSlot());
  auto y = frame.zeroRows<Real>(op.getResult());
  if (!checkOrder(op, "slot", slot, x.size(0), frame))
    return;
  for (int64_t t = 0; t < y.size(0); ++t)
    for (int64_t k = 0; k < slot.size(1); ++k)
      for (int64_t i = 0; slot(t, k) >= 0 && i < y.size(1); ++i)
        y(t, i) += x(slot(t, k), i);
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, DispatchWeightsOp op, Frame &frame) {
  auto weights = frame.read<Real>(op.getWeights());
  auto source = frame.ids(op.getSource());
  auto y = frame.zeros<Real>(op.getRowWeights());
  if (!checkOrder(op, "source", source, weights.elements(), frame))
    return;
  for (int64_t s = 0; s < y.size(0); ++s)
    y(s) = source(s) < 0 ? undefined<Real>() : weights.data[source(s)];
  frame.set(op.getRowWeights(), y);
}

template <typename Real> static void interpret(Real, CombineWeightsOp op, Frame &frame) {
  auto rowWeights = frame.read<Real>(op.getRowWeights());
  auto slot = frame.ids(op.getSlot());
  auto y = frame.zeros<Real>(op.getWeights());
  if (!checkOrder(op, "slot", slot, rowWeights.elements(), frame))
    return;
  for (int64_t i = 0; i < y.elements(); ++i)
    y.data[i] = slot.data[i] < 0 ? Real(0) : rowWeights(slot.data[i]);
  frame.set(op.getWeights(), y);
}

/// Whether offsets ascend from 0 to at most `rows`; refuses if not.
static bool checkOffsets(Operation *op, const Array<int64_t> &offsets, int64_t rows, Frame &frame) {
  for (int64_t e = 0; e + 1 < offsets.elements(); ++e)
    if (offsets(e) > offsets(e + 1)) {
      frame.refuse(op, "expected ascending offsets, found " + llvm::Twine(offsets(e)) + " before " +
                           llvm::Twine(offsets(e + 1)));
      return false;
    }
  return frame.checkIndices(op, "offsets", offsets, rows + 1);
}

template <typename Real> static void interpret(Real, GroupedLinearOp op, Frame &frame) {
  auto x = frame.read<Real>(op.getRows()), w = frame.read<Real>(op.getWeight());
  auto offsets = frame.ids(op.getOffsets());
  auto y = frame.zeros<Real>(op.getResult());
  if (!checkOffsets(op, offsets, x.size(0), frame))
    return;
  bool transpose = op.getTransposeWeight();
  for (int64_t e = 0; e < w.size(0); ++e)
    for (int64_t s = offsets(e); s < offsets(e + 1); ++s)
      for (int64_t o = 0; o < y.size(1); ++o) {
        Real sum = 0;
        for (int64_t i = 0; i < x.size(1); ++i)
          sum += x(s, i) * (transpose ? w(e, i, o) : w(e, o, i));
        y(s, o) = sum;
      }
  for (int64_t s = offsets(w.size(0)); s < y.size(0); ++s)
    for (int64_t o = 0; o < y.size(1); ++o)
      y(s, o) = undefined<Real>();
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, GroupedWeightGradientOp op, Frame &frame) {
  auto g = frame.read<Real>(op.getGradient()), x = frame.read<Real>(op.getRows());
  auto offsets = frame.ids(op.getOffsets());
  auto y = frame.read<Real>(op.getAccumulator());
  if (!checkOffsets(op, offsets, x.size(0), frame))
    return;
  for (int64_t e = 0; e < y.size(0); ++e)
    for (int64_t o = 0; o < y.size(1); ++o)
      for (int64_t i = 0; i < y.size(2); ++i) {
        Real sum = 0;
        for (int64_t s = offsets(e); s < offsets(e + 1); ++s)
          sum += g(s, o) * x(s, i);
        y(e, o, i) += sum;
      }
  frame.set(op.getResult(), y);
}

void addExpertRules(RuleTable &table) {
  table.add<DispatchOp, CombineOp, DispatchWeightsOp, CombineWeightsOp, GroupedLinearOp,
            GroupedWeightGradientOp>();
}

} // namespace hadal::reference
