// SPDX-License-Identifier: Apache-2.0
//
// See StagePlan.h: numbers of layers where a rank has two stages.

#include "passes/Partition/CostUnits.h"

#include <cstdlib>
#include <map>
#include <tuple>

namespace hadal {

namespace {

/// Splits from the outermost pair of stages inwards: `front` layers and `back` layers are taken.
class RankBalance {
public:
  RankBalance(const StageCosts &costs, int64_t stages)
      : units(costs), pairs(stages / 2), count(units.layers()), lastLayers(costs.lastLayers),
        bound(dearestOf(balanceStages(costs, stages))) {}

  std::vector<int64_t> run() {
    limit = leastDearest({0, 0, 0});
    limit += 3 * limit / 100;
    bound = limit;
    std::vector<int64_t> split(static_cast<size_t>(2 * pairs));
    Taken taken{0, 0, 0};
    for (; taken.pair < pairs;
         taken = behind(taken, split[taken.pair], backOf(split, taken.pair))) {
      const Choice &choice = best(taken);
      split[taken.pair] = choice.front;
      backOf(split, taken.pair) = choice.back;
    }
    return split;
  }

private:
  struct Taken {
    int64_t pair, front, back;
    bool operator<(const Taken &other) const {
      return std::tie(pair, front, back) < std::tie(other.pair, other.front, other.back);
    }
  };
  /// Layers alone, squared costs of ranks, squared costs of stages.
  using Score = std::tuple<int64_t, int64_t, int64_t>;
  struct Choice {
    Score score{kNever, 0, 0};
    int64_t front = 0, back = 0;
  };

  static int64_t &backOf(std::vector<int64_t> &split, int64_t pair) {
    return split[split.size() - 1 - static_cast<size_t>(pair)];
  }
  static Taken behind(const Taken &taken, int64_t front, int64_t back) {
    return {taken.pair + 1, taken.front + front, taken.back + back};
  }
  int64_t frontCost(const Taken &taken, int64_t layers) const {
    return units.of(taken.front, taken.front + layers) + (taken.pair == 0 ? units.first : 0);
  }
  int64_t backCost(const Taken &taken, int64_t layers) const {
    const int64_t end = count - taken.back;
    return units.of(end - layers, end) + (taken.pair == 0 ? units.last : 0);
  }

  /// The dearest rank of a split.
  int64_t dearestOf(std::vector<int64_t> split) const {
    int64_t dearest = 0;
    for (Taken taken{0, 0, 0}; taken.pair < pairs;) {
      const int64_t front = split[taken.pair], back = backOf(split, taken.pair);
      dearest = std::max(dearest, frontCost(taken, front) + backCost(taken, back));
      taken = behind(taken, front, back);
    }
    return dearest;
  }

  /// Calls `visit` with each way to go on that costs `bound` at most and leaves the pairs behind it
  /// no more than they can take.
  template <typename Visit> void forEach(const Taken &taken, const Visit &visit) const {
    const bool isInner = taken.pair + 1 == pairs;
    const int64_t left = count - taken.front - taken.back, least = taken.pair == 0 ? 0 : 1;
    const int64_t behindIt = pairs - 1 - taken.pair;
    for (int64_t front = least; front <= left; ++front) {
      const int64_t cost = frontCost(taken, front);
      if (cost > bound)
        return;
      for (int64_t back = std::max(least, isInner ? left - front : 0); front + back <= left;
           ++back) {
        const int64_t both = cost + backCost(taken, back);
        if (both > bound)
          break;
        if (left - front - back < 2 * behindIt)
          break;
        if (units.of(taken.front + front, count - taken.back - back) <= behindIt * bound)
          visit(front, back, both);
      }
    }
  }

  /// The least cost of the dearest rank from here on.
  int64_t leastDearest(const Taken &taken) {
    if (taken.pair == pairs)
      return 0;
    auto [found, isNew] = dearest.try_emplace(taken, kNever);
    if (!isNew)
      return found->second;
    int64_t least = kNever;
    forEach(taken, [&](int64_t front, int64_t back, int64_t cost) {
      if (cost < least)
        least = std::min(least, std::max(cost, leastDearest(behind(taken, front, back))));
    });
    return dearest[taken] = least;
  }

  /// The best way on from here within the limit.
  const Choice &best(const Taken &taken) {
    auto [found, isNew] = choices.try_emplace(taken);
    Choice &choice = found->second;
    if (!isNew)
      return choice;
    if (taken.pair == pairs) {
      choice.score = {0, 0, 0};
      return choice;
    }
    forEach(taken, [&](int64_t front, int64_t back, int64_t cost) {
      const auto [alone, ranks, stages] = best(behind(taken, front, back)).score;
      if (alone == kNever)
        return;
      const int64_t one = frontCost(taken, front), other = cost - one;
      const int64_t partners = back + (taken.pair == 0 ? lastLayers : 0);
      const Score score{alone + std::abs(front - partners), ranks + cost * cost,
                        stages + one * one + other * other};
      if (score < choice.score)
        choice = {score, front, back};
    });
    return choice;
  }

  const CostUnits units;
  const int64_t pairs, count, lastLayers;
  int64_t bound; ///< what a rank may cost, while one looks
  int64_t limit = 0;
  std::map<Taken, int64_t> dearest;
  std::map<Taken, Choice> choices;
};

} // namespace

std::vector<int64_t> balanceRanks(const StageCosts &costs, int64_t stages) {
  return RankBalance(costs, stages).run();
}

} // namespace hadal
