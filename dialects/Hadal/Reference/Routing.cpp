// SPDX-License-Identifier: Apache-2.0
//
// Rules of the router: scores, choice of experts, order of routed rows, counts, bias, balance loss.

#include "dialects/Hadal/Reference/Rules.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace hadal::reference {

/// The `count` largest of `values`, ascending by index; of equal values the lower index wins.
template <typename Real>
static std::vector<int64_t> largest(const std::vector<Real> &values, int64_t count) {
  std::vector<int64_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = int64_t(i);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return values[a] > values[b] || (values[a] == values[b] && a < b);
  });
  order.resize(size_t(count));
  std::sort(order.begin(), order.end());
  return order;
}

/// The experts of one token from its biased scores.
template <typename Real>
static std::vector<int64_t> choose(RouteOp op, const std::vector<Real> &biased) {
  int64_t groups = op.getGroups(), perGroup = int64_t(biased.size()) / groups;
  std::vector<Real> ranks;
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<Real> members(biased.begin() + g * perGroup, biased.begin() + (g + 1) * perGroup);
    std::sort(members.begin(), members.end(), std::greater<>());
    ranks.push_back(members[0] + (perGroup > 1 ? members[1] : Real(0)));
  }
  std::vector<Real> masked(biased.size(), -std::numeric_limits<Real>::infinity());
  for (int64_t g : largest(ranks, op.getKeptGroups()))
    std::copy_n(biased.begin() + g * perGroup, perGroup, masked.begin() + g * perGroup);
  return largest(masked, op.getTopK());
}

template <typename Real> static void interpret(Real, RouteOp op, Frame &frame) {
  auto scores = frame.rows<Real>(op.getLogits());
  auto bias = frame.read<Real>(op.getBias());
  auto experts = frame.zeroRows<int64_t>(op.getExperts());
  auto weights = frame.zeroRows<Real>(op.getWeights());
  for (Real &score : scores.data)
    score = 1 / (1 + std::exp(-score));
  Real epsilon = Real(op.getEpsilon().convertToDouble());
  Real factor = Real(op.getScalingFactor().convertToDouble());
  for (int64_t t = 0; t < scores.size(0); ++t) {
    std::vector<Real> biased;
    biased.reserve(size_t(scores.size(1)));
    for (int64_t e = 0; e < scores.size(1); ++e)
      biased.push_back(scores(t, e) + bias(e));
    std::vector<int64_t> chosen = choose(op, biased);
    Real sum = 0;
    for (int64_t e : chosen)
      sum += scores(t, e);
    for (auto [k, e] : llvm::enumerate(chosen)) {
      experts(t, k) = e;
      Real weight = op.getNormalize() ? scores(t, e) / (sum + epsilon) : scores(t, e);
      weights(t, k) = weight * factor;
    }
  }
  frame.set(op.getExperts(), experts);
  frame.set(op.getWeights(), weights);
  frame.set(op.getScores(), scores);
}

template <typename Real> static void interpret(Real, RouteGradientOp op, Frame &frame) {
  auto scores = frame.rows<Real>(op.getScores());
  auto experts = frame.rows<int64_t>(op.getExperts());
  if (!frame.checkIndices(op, "experts", experts, scores.size(1)))
    return;
  Array<Real> ofScores(scores.shape), ofWeights(experts.shape);
  if (op.getScoresGradient())
    ofScores = frame.rows<Real>(op.getScoresGradient());
  if (op.getWeightsGradient())
    ofWeights = frame.rows<Real>(op.getWeightsGradient());
  Real factor = Real(op.getScalingFactor().convertToDouble());
  for (int64_t t = 0; t < scores.size(0); ++t) {
    Real sum = Real(op.getEpsilon().convertToDouble()), dot = 0;
    for (int64_t k = 0; k < experts.size(1); ++k) {
      sum += scores(t, experts(t, k));
      dot += ofWeights(t, k) * scores(t, experts(t, k));
    }
    for (int64_t k = 0; k < experts.size(1); ++k) {
      Real g = ofWeights(t, k);
      ofScores(t, experts(t, k)) += op.getNormalize() ? factor * (g - dot / sum) / sum : factor * g;
    }
    for (int64_t e = 0; e < scores.size(1); ++e)
      ofScores(t, e) *= scores(t, e) * (1 - scores(t, e));
  }
  frame.set(op.getResult(), ofScores);
}

template <typename Real> static void interpret(Real, SortByExpertOp op, Frame &frame) {
  auto experts = frame.ids(op.getExperts());
  auto counts = frame.zeros<int64_t>(op.getCounts()),
       offsets = frame.zeros<int64_t>(op.getOffsets());
  auto source = frame.zeros<int64_t>(op.getSource()), slot = frame.zeros<int64_t>(op.getSlot());
  if (!frame.checkIndices(op, "experts", experts, counts.size(0)))
    return;
  int64_t row = 0;
  for (int64_t e = 0; e < counts.size(0); ++e) {
    for (int64_t flat = 0; flat < experts.elements(); ++flat) {
      if (experts.data[flat] != e)
        continue;
      source(row) = flat;
      slot.data[flat] = row++;
    }
    offsets(e + 1) = row;
    counts(e) = row - offsets(e);
  }
  frame.set(op.getCounts(), counts);
  frame.set(op.getOffsets(), offsets);
  frame.set(op.getSource(), source);
  frame.set(op.getSlot(), slot);
}

template <typename Real> static void interpret(Real, AccumulateCountsOp op, Frame &frame) {
  auto counts = frame.ids(op.getCounts()), total = frame.ids(op.getTotal());
  for (int64_t e = 0; e < total.elements(); ++e)
    total(e) += counts(e);
  frame.set(op.getResult(), total);
}

template <typename Real> static void interpret(Real, BiasUpdateOp op, Frame &frame) {
  auto bias = frame.read<Real>(op.getBias());
  auto counts = frame.ids(op.getCounts());
  double speed = frame.scalar<double>(op.getSpeed());
  int64_t total = 0, experts = counts.elements();
  for (int64_t count : counts.data)
    total += count;
  for (int64_t e = 0; e < experts; ++e) {
    int64_t below = total - experts * counts(e);
    bias(e) += Real(below > 0 ? speed : below < 0 ? -speed : 0.0);
  }
  frame.set(op.getResult(), bias);
}

/// f of one sequence: the share of its tokens that have each expert among their top_k scores.
template <typename Real>
static void balanceFractions(const Array<Real> &scores, int64_t b, int64_t topK,
                             Array<Real> &fractions) {
  int64_t tokens = scores.size(1), experts = scores.size(2);
  std::vector<int64_t> count(size_t(experts), 0);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<Real> row;
    row.reserve(size_t(experts));
    for (int64_t e = 0; e < experts; ++e)
      row.push_back(scores(b, t, e));
    for (int64_t e : largest(row, topK))
      ++count[e];
  }
  for (int64_t e = 0; e < experts; ++e)
    fractions(b, e) = Real(experts) * Real(count[e]) / (Real(topK) * Real(tokens));
}

/// sum_i f_i P_i of one sequence.
template <typename Real>
static double balanceOf(const Array<Real> &scores, int64_t b, const Array<Real> &fractions) {
  int64_t tokens = scores.size(1), experts = scores.size(2);
  double sum = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    double total = 0, weighted = 0;
    for (int64_t e = 0; e < experts; ++e) {
      total += scores(b, t, e);
      weighted += double(fractions(b, e)) * scores(b, t, e);
    }
    sum += weighted / total;
  }
  return sum / double(tokens);
}

/// The balance loss of each sequence; sets `fractions` of the op.
template <typename Real, typename OpTy> static Array<double> balanceRows(OpTy op, Frame &frame) {
  auto scores = frame.read<Real>(op.getScores());
  auto fractions = frame.zeros<Real>(op.getFractions());
  Array<double> rows({scores.size(0)});
  for (int64_t b = 0; b < scores.size(0); ++b) {
    balanceFractions(scores, b, op.getTopK(), fractions);
    rows(b) = op.getAlpha().convertToDouble() * balanceOf(scores, b, fractions);
  }
  frame.set(op.getFractions(), fractions);
  return rows;
}

template <typename Real> static void interpret(Real, SequenceBalanceOp op, Frame &frame) {
  Array<double> rows = balanceRows<Real>(op, frame);
  double sum = 0;
  for (double row : rows.data)
    sum += row;
  frame.set(op.getLoss(), Array<double>({}, sum / double(rows.elements())));
}

template <typename Real> static void interpret(Real, SequenceBalanceRowsOp op, Frame &frame) {
  frame.set(op.getRowLoss(), balanceRows<Real>(op, frame));
}

template <typename Real> static void interpret(Real, SequenceBalanceGradientOp op, Frame &frame) {
  auto scores = frame.read<Real>(op.getScores()), fractions = frame.read<Real>(op.getFractions());
  auto y = frame.zeros<Real>(op.getResult());
  int64_t batch = scores.size(0), tokens = scores.size(1), experts = scores.size(2);
  Real factor = frame.scalar<Real>(op.getSeed()) * Real(op.getAlpha().convertToDouble()) /
                Real(batch * tokens);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < tokens; ++t) {
      Real sum = 0, dot = 0;
      for (int64_t e = 0; e < experts; ++e) {
        sum += scores(b, t, e);
        dot += fractions(b, e) * scores(b, t, e);
      }
      for (int64_t e = 0; e < experts; ++e)
        y(b, t, e) = factor * (fractions(b, e) - dot / sum) / sum;
    }
  frame.set(op.getResult(), y);
}

void addRoutingRules(RuleTable &table) {
  table.add<RouteOp, RouteGradientOp, SortByExpertOp, AccumulateCountsOp, BiasUpdateOp,
            SequenceBalanceOp, SequenceBalanceRowsOp, SequenceBalanceGradientOp>();
}

} // namespace hadal::reference
