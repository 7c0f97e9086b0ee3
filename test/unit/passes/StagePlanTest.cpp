// SPDX-License-Identifier: Apache-2.0
//
// Layers onto stages: known models, and every small split against brute force.

#include "passes/Partition/StagePlan.h"
#include "test/unit/frontend/TestInputs.h"

#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>

using namespace hadal;
using hadal::test::examplePath;
using hadal::test::loadedSpec;

namespace {

using Split = std::vector<int64_t>;

/// Costs of the stages of a split.
std::vector<int64_t> costsOf(const StageCosts &costs, const Split &split) {
  std::vector<int64_t> sums;
  size_t layer = 0;
  for (int64_t count : split) {
    auto first = costs.layers.begin() + static_cast<int64_t>(layer);
    sums.push_back(std::accumulate(first, first + count, int64_t(0)));
    layer += static_cast<size_t>(count);
  }
  sums.front() += costs.first;
  sums.back() += costs.last;
  return sums;
}

int64_t squaresOf(const std::vector<int64_t> &sums) {
  return std::inner_product(sums.begin(), sums.end(), sums.begin(), int64_t(0));
}

/// What is to be smallest: the dearest stage, the sum of squares, then the layers in front.
std::tuple<int64_t, int64_t, Split> rank(const StageCosts &costs, const Split &split) {
  std::vector<int64_t> sums = costsOf(costs, split);
  return {*std::max_element(sums.begin(), sums.end()), squaresOf(sums), split};
}

/// Costs of ranks that have the stages s and S - 1 - s.
std::vector<int64_t> rankCostsOf(const StageCosts &costs, const Split &split) {
  std::vector<int64_t> sums = costsOf(costs, split), ranks;
  for (size_t front = 0; 2 * front < sums.size(); ++front)
    ranks.push_back(sums[front] + sums[sums.size() - 1 - front]);
  return ranks;
}

/// Of those whose dearest rank is cheap enough: layers without a partner, squares of ranks and of
/// stages, then layers from the outer stages inwards.
std::tuple<int64_t, int64_t, int64_t, Split> rankOfPairs(const StageCosts &costs,
                                                         const Split &split) {
  int64_t alone = 0;
  Split order;
  for (size_t front = 0, back = split.size() - 1; front < back; ++front, --back) {
    alone += std::abs(split[front] - split[back] - (front ? 0 : costs.lastLayers));
    order.insert(order.end(), {split[front], split[back]});
  }
  return {alone, squaresOf(rankCostsOf(costs, split)), squaresOf(costsOf(costs, split)), order};
}

/// Visits all splits in which each stage has at least one of embedding, layer, last part.
void forEachSplit(int64_t layers, int64_t stages, Split &split,
                  const std::function<void(const Split &)> &visit) {
  int64_t stage = static_cast<int64_t>(split.size());
  if (stage == stages) {
    if (layers == 0)
      visit(split);
    return;
  }
  for (int64_t count = stage == 0 || stage + 1 == stages ? 0 : 1; count <= layers; ++count) {
    split.push_back(count);
    forEachSplit(layers - count, stages, split, visit);
    split.pop_back();
  }
}

/// Costs of a few layers, powers of two in all, so that nothing is rounded.
StageCosts randomCosts(std::mt19937 &random) {
  auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  StageCosts costs;
  int64_t most = draw(0, 3) ? 8 : 1; // equal costs too
  costs.layers.resize(static_cast<size_t>(draw(1, 8)));
  for (int64_t &cost : costs.layers)
    cost = draw(1, most);
  costs.first = draw(0, 2);
  costs.last = draw(0, 12);
  costs.lastLayers = draw(0, 2);
  int64_t total = std::accumulate(costs.layers.begin(), costs.layers.end(), costs.first);
  int64_t whole = 1;
  while (whole < total + costs.last)
    whole *= 2;
  costs.last = whole - total;
  return costs;
}

TEST(StagePlan, BestOfAllSplits) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 400; ++trial) {
    StageCosts costs = randomCosts(random);
    int64_t layers = static_cast<int64_t>(costs.layers.size());
    int64_t stages = std::uniform_int_distribution<int64_t>(1, layers + 2)(random);
    Split best, split;
    forEachSplit(layers, stages, split, [&](const Split &one) {
      if (best.empty() || rank(costs, one) < rank(costs, best))
        best = one;
    });
    EXPECT_EQ(balanceStages(costs, stages), best) << layers << " over " << stages;
  }
}

TEST(StagePlan, BestOfAllPairsOfStages) {
  std::mt19937 random(6);
  for (int trial = 0; trial < 400; ++trial) {
    StageCosts costs = randomCosts(random);
    int64_t layers = static_cast<int64_t>(costs.layers.size());
    int64_t stages = 2 * std::uniform_int_distribution<int64_t>(1, (layers + 2) / 2)(random);
    int64_t least = std::numeric_limits<int64_t>::max();
    auto dearest = [&](const Split &one) {
      std::vector<int64_t> ranks = rankCostsOf(costs, one);
      return *std::max_element(ranks.begin(), ranks.end());
    };
    Split best, split;
    forEachSplit(layers, stages, split,
                 [&](const Split &one) { least = std::min(least, dearest(one)); });
    forEachSplit(layers, stages, split, [&](const Split &one) {
      if (100 * dearest(one) > 100 * least + 3 * least)
        return;
      if (best.empty() || rankOfPairs(costs, one) < rankOfPairs(costs, best))
        best = one;
    });
    EXPECT_EQ(balanceRanks(costs, stages), best) << layers << " over " << stages;
  }
}

TEST(StagePlan, DeepSeekV3Over16) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<Plan> plan = loadPlan(examplePath("deepseek-v3/plan.json"), spec, Purpose::DryRun);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  StagePlan stages = stagesOf(spec, *plan);
  ASSERT_EQ(stages.stages(), 16);
  // Head, MTP layer and its head weigh nearly as much as four layers, and are on the rank that has
  // stage 0, too. Three layers on both of its stages, with MTP's.
  Split split(16, 4);
  split.front() = 3;
  split.back() = 2;
  EXPECT_EQ(stages.layersOf(), split);
  EXPECT_EQ(stages.ofLayer(2), 0);
  EXPECT_EQ(stages.ofLayer(3), 1);
  EXPECT_EQ(stages.ofLayer(58), 14);
  EXPECT_EQ(stages.ofLayer(60), 15);
  EXPECT_EQ(stages.ofLayer(61), 15); // MTP
}

/// A stage a rank: the last one alone bears head and MTP.
TEST(StagePlan, DeepSeekV3OneStageARank) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<Plan> plan = loadPlan(examplePath("deepseek-v3/plan.json"), spec, Purpose::DryRun);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  for (ScheduleKind schedule : {ScheduleKind::OneF1B, ScheduleKind::Zb1p}) {
    plan->schedule = schedule;
    Split split(16, 4);
    split.back() = 1;
    EXPECT_EQ(stagesOf(spec, *plan).layersOf(), split);
  }
}

/// Head and MTP's head as multiples of a layer: what the components of a dry run count for 4096
/// tokens is 45.5e12 FLOP for both heads, 17.3e12 for a layer, 2.5e12 for MTP's projection.
TEST(StagePlan, CostsAreThoseOfComponents) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<Plan> plan = loadPlan(examplePath("deepseek-v3/plan.json"), spec, Purpose::DryRun);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  StageCosts costs = stageCosts(spec, *plan);
  EXPECT_NEAR(4096e-12 * static_cast<double>(costs.layers[0]), 17.26, 0.1);
  EXPECT_NEAR(4096e-12 * static_cast<double>(costs.layers[60]), 17.31, 0.1);
  EXPECT_NEAR(4096e-12 * static_cast<double>(costs.last), 65.4, 0.3);
  EXPECT_EQ(costs.lastLayers, 1);
}

TEST(StagePlan, AsThePlanSays) {
  ModelSpec spec = test::validSpec({{"num_hidden_layers", "5"}});
  auto planOf = [&](const char *pipeline) {
    Checked<Plan> plan = usablePlan(test::planText({{"pipeline", pipeline}}), "plan.json", spec);
    EXPECT_TRUE(bool(plan)) << (plan ? "" : plan.error().message());
    return *plan;
  };
  EXPECT_EQ(stagesOf(spec, planOf("{\"ranks\": 3, \"stages\": [1, 4, 0]}")).layersOf(),
            (Split{1, 4, 0}));
  EXPECT_EQ(stagesOf(spec, planOf("{}")).layersOf(), Split{5});
  // As many stages as units: embedding, each layer, last part.
  EXPECT_EQ(stagesOf(spec, planOf("{\"ranks\": 7}")).layersOf(), (Split{0, 1, 1, 1, 1, 1, 0}));
  EXPECT_EQ(stagesOf(spec, planOf("{\"ranks\": 2, \"schedule\": \"dualpipev\", "
                                  "\"micro_batches\": 4}"))
                .stages(),
            4);
}

} // namespace
