// SPDX-License-Identifier: Apache-2.0
//
// See StagePlan.h: numbers of layers where a rank has one stage.

#include "passes/Partition/CostUnits.h"

namespace hadal {

namespace {

/// Splits of layers i.. over stages s...
class StageBalance {
public:
  StageBalance(const StageCosts &costs, int64_t stages)
      : units(costs), stages(stages), count(units.layers()) {}

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
  int64_t costOf(int64_t stage, int64_t from, int64_t to) const {
    return units.of(from, to) + (stage == 0 ? units.first : 0) +
           (stage + 1 == stages ? units.last : 0);
  }
  /// Layers that a stage has at least, if it may start at `from`.
  int64_t least(int64_t stage) const { return stage == 0 || stage + 1 == stages ? 0 : 1; }

  /// Whether no stage need be dearer than `most`. Stages are filled from the front; that one may
  /// end up with fewer stages than there are does not matter: a stage can always be cut.
  bool fits(int64_t most) const {
    int64_t stage = 0, cost = units.first;
    if (cost > most)
      return false;
    for (int64_t layer = 0; layer < count; ++layer) {
      int64_t one = units.of(layer, layer + 1);
      if (one > most)
        return false;
      if (cost + one > most) {
        ++stage;
        cost = 0;
      }
      cost += one;
    }
    if (cost + units.last > most) {
      ++stage;
      cost = 0;
    }
    return stage < stages && cost + units.last <= most;
  }

  /// The least cost of the dearest stage.
  void findLimit() {
    int64_t low = 0;
    limit = units.total();
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
          if (rest == kNever || cost * cost + rest >= best[index(stage, layer)])
            continue;
          best[index(stage, layer)] = cost * cost + rest;
          chosen[index(stage, layer)] = take;
        }
      }
  }

  const CostUnits units;
  const int64_t stages, count;
  int64_t limit = 0;
  std::vector<int64_t> chosen; ///< layers that a stage takes, by state
};

} // namespace

std::vector<int64_t> balanceStages(const StageCosts &costs, int64_t stages) {
  return StageBalance(costs, stages).run();
}

} // namespace hadal
