// SPDX-License-Identifier: Apache-2.0
//
// Rules of the cross entropy.

#include "dialects/Hadal/Reference/Rules.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace hadal::reference {

/// The loss of each row; sets `log_sum_exp` of the op. Nothing where a target is refused.
template <typename Real, typename OpTy>
static Array<double> crossEntropyRows(OpTy op, Frame &frame) {
  auto logits = frame.read<Real>(op.getLogits());
  auto ids = frame.ids(op.getIds());
  auto logs = frame.zeros<Real>(op.getLogSumExp());
  Array<double> losses(logs.shape);
  if (!frame.checkIndices(op, "ids", ids, logits.size(2)))
    return {};
  int64_t offset = op.getOffset();
  for (int64_t b = 0; b < logits.size(0); ++b)
    for (int64_t t = 0; t < logits.size(1); ++t) {
      Real largest = logits(b, t, 0), sum = 0;
      for (int64_t v = 0; v < logits.size(2); ++v)
        largest = std::max(largest, logits(b, t, v));
      for (int64_t v = 0; v < logits.size(2); ++v)
        sum += std::exp(logits(b, t, v) - largest);
      logs(b, t) = largest + std::log(sum);
      losses(b, t) = double(logs(b, t)) - double(logits(b, t, ids(b, t + offset)));
    }
  frame.set(op.getLogSumExp(), logs);
  return losses;
}

/// The sum in order, over a divisor.
static Array<double> mean(const Array<double> &rows, int64_t divisor) {
  double sum = 0;
  for (double row : rows.data)
    sum += row;
  return Array<double>({}, sum / double(divisor));
}

template <typename Real> static void interpret(Real, CrossEntropyOp op, Frame &frame) {
  Array<double> rows = crossEntropyRows<Real>(op, frame);
  if (!frame.refused())
    frame.set(op.getLoss(), mean(rows, op.getDivisor()));
}

template <typename Real> static void interpret(Real, CrossEntropyRowsOp op, Frame &frame) {
  Array<double> rows = crossEntropyRows<Real>(op, frame);
  if (!frame.refused())
    frame.set(op.getRowLoss(), rows);
}

template <typename Real> static void interpret(Real, ReduceLossOp op, Frame &frame) {
  frame.set(op.getLoss(), mean(frame.read<double>(op.getRowLoss()), op.getDivisor()));
}

template <typename Real> static void interpret(Real, CrossEntropyGradientOp op, Frame &frame) {
  auto y = frame.read<Real>(op.getLogits());
  auto logs = frame.read<Real>(op.getLogSumExp());
  auto ids = frame.ids(op.getIds());
  if (!frame.checkIndices(op, "ids", ids, y.size(2)))
    return;
  Real factor = frame.scalar<Real>(op.getSeed()) / Real(op.getDivisor());
  int64_t offset = op.getOffset();
  for (int64_t b = 0; b < y.size(0); ++b)
    for (int64_t t = 0; t < y.size(1); ++t)
      for (int64_t v = 0; v < y.size(2); ++v)
        y(b, t, v) =
            factor * (std::exp(y(b, t, v) - logs(b, t)) - Real(ids(b, t + offset) == v ? 1 : 0));
  frame.set(op.getResult(), y);
}

void addLossRules(RuleTable &table) {
  table.add<CrossEntropyOp, CrossEntropyRowsOp, ReduceLossOp, CrossEntropyGradientOp>();
}

} // namespace hadal::reference
