// SPDX-License-Identifier: Apache-2.0
//
// See StagePlan.h.

#include "passes/Partition/StagePlan.h"

#include "frontend/WeightNames.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace hadal {

StagePlan::StagePlan(std::vector<int64_t> layers) : counts(std::move(layers)) {
  for (int64_t stage = 0; stage < stages(); ++stage)
    stageOfLayer.insert(stageOfLayer.end(), static_cast<size_t>(counts[stage]), stage);
}

int64_t StagePlan::ofLayer(int64_t layer) const {
  return layer < static_cast<int64_t>(stageOfLayer.size()) ? stageOfLayer[layer] : last();
}

// --- costs ---

StageCosts stageCosts(const ModelSpec &spec, const Plan &plan) {
  // A looked-up row is read and written; a byte is weighed as a dozen FLOP.
  constexpr int64_t kFlopPerByte = 12;
  const int64_t tokens = plan.windowTokens(), head = 2 * spec.vocabSize * spec.hiddenSize;
  // Scores and values over the causal half of the window.
  const int64_t attention = spec.numAttentionHeads * (spec.qkHeadDim() + spec.vHeadDim) * tokens;
  StageCosts costs;
  costs.first = 8 * kFlopPerByte * spec.hiddenSize;
  costs.last = head;
  costs.layers.assign(static_cast<size_t>(spec.numHiddenLayers), attention);
  for (const ParameterInfo &info : parameters(spec)) {
    if (!info.decay || info.layer < 0) // matrices are what a token is multiplied with
      continue;
    int64_t active =
        info.experts ? info.elements() / info.experts * spec.numExpertsPerToken : info.elements();
    (spec.isMtp(info.layer) ? costs.last : costs.layers[info.layer]) += 2 * active;
  }
  costs.last += spec.numNextnPredictLayers * (head + attention);
  return costs;
}

// --- balance ---

namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// Splits of layers i.. over stages s.., in units that make sums of squares exact.
class Balance {
public:
  Balance(const StageCosts &costs, int64_t stages)
      : stages(stages), count(static_cast<int64_t>(costs.layers.size())), prefix{0} {
    double total = static_cast<double>(costs.first) + static_cast<double>(costs.last);
    for (int64_t cost : costs.layers)
      total += static_cast<double>(cost);
    auto units = [&](int64_t cost) {
      return static_cast<int64_t>(static_cast<double>(cost) / std::max(total, 1.0) * kUnits);
    };
    first = units(costs.first);
    last = units(costs.last);
    for (int64_t cost : costs.layers)
      prefix.push_back(prefix.back() + units(cost));
  }

  std::vector<int64_t> run() {
    findLimit();
    fill();
    std::vector<int64_t> split;
    for (int64_t stage = 0, layer = 0; stage < stages; ++stage) {
      split.push_back(chosen[index(stage, layer)]);
      layer += split.back();
    }
    return split;
  }

private:
  static constexpr double kUnits = 1 << 30;

  int64_t costOf(int64_t stage, int64_t from, int64_t to) const {
    return prefix[to] - prefix[from] + (stage == 0 ? first : 0) + (stage + 1 == stages ? last : 0);
  }
  /// Layers that a stage has at least, if it may start at `from`.
  int64_t least(int64_t stage) const { return stage == 0 || stage + 1 == stages ? 0 : 1; }

  /// Whether no stage need be dearer than `most`. Stages are filled from the front; that one may
  /// end up with fewer stages than there are does not matter: a stage can always be cut.
  bool fits(int64_t most) const {
    int64_t stage = 0, cost = first;
    if (first > most)
      return false;
    for (int64_t layer = 0; layer < count; ++layer) {
      int64_t one = prefix[layer + 1] - prefix[layer];
      if (one > most)
        return false;
      if (cost + one > most) {
        ++stage;
        cost = 0;
      }
      cost += one;
    }
    if (cost + last > most) {
      ++stage;
      cost = 0;
    }
    return stage < stages && cost + last <= most;
  }

  /// The least cost of the dearest stage.
  void findLimit() {
    int64_t low = 0;
    limit = first + prefix.back() + last;
    while (low < limit) {
      int64_t middle = low + (limit - low) / 2;
      if (fits(middle))
        limit = middle;
      else
        low = middle + 1;
    }
  }

  size_t index(int64_t stage, int64_t layer) const {
    return static_cast<size_t>(stage * (count + 1) + layer);
  }

  /// The least sum of squares of each state under the limit, from the last stage on.
  void fill() {
    const size_t states = static_cast<size_t>(stages * (count + 1));
    std::vector<int64_t> best(states, kNever);
    chosen.assign(states, 0);
    for (int64_t stage = stages - 1; stage >= 0; --stage)
      for (int64_t layer = 0; layer <= count; ++layer) {
        bool isLast = stage + 1 == stages;
        int64_t from = isLast ? count - layer : least(stage);
        for (int64_t take = from; layer + take <= count; ++take) {
          int64_t cost = costOf(stage, layer, layer + take);
          if (cost > limit)
            break;
          int64_t rest = isLast ? 0 : best[index(stage + 1, layer + take)];
          if (rest == kNever || cost * cost + rest > best[index(stage, layer)])
            continue;
          best[index(stage, layer)] = cost * cost + rest;
          chosen[index(stage, layer)] = take;
        }
      }
  }

  const int64_t stages, count;
  int64_t first = 0, last = 0, limit = 0;
  std::vector<int64_t> prefix;
  std::vector<int64_t> chosen; ///< layers that a stage takes, by state
};

} // namespace

std::vector<int64_t> balanceStages(const StageCosts &costs, int64_t stages) {
  return Balance(costs, stages).run();
}

StagePlan stagesOf(const ModelSpec &spec, const Plan &plan) {
  if (!plan.stages.empty())
    return StagePlan(plan.stages);
  return StagePlan(balanceStages(stageCosts(spec, plan), plan.stageCount()));
}

} // namespace hadal
