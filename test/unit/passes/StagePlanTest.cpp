// SPDX-License-Identifier: Apache-2.0
//
// Layers onto stages: known models, and every small split against brute force.

#include "passes/Partition/StagePlan.h"
#include "test/unit/frontend/TestInputs.h"

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

/// What is to be smallest: the dearest stage, the sum of squares, then as many layers as can be in
/// front.
std::tuple<int64_t, int64_t, Split> rank(const StageCosts &costs, const Split &split) {
  std::vector<int64_t> sums = costsOf(costs, split);
  int64_t squares = 0;
  Split order;
  for (int64_t sum : sums)
    squares += sum * sum;
  for (int64_t count : split)
    order.push_back(-count);
  return {*std::max_element(sums.begin(), sums.end()), squares, order};
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

TEST(StagePlan, BestOfAllSplits) {
  std::mt19937 random(5);
  auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int trial = 0; trial < 400; ++trial) {
    StageCosts costs;
    int64_t most = draw(0, 3) ? 8 : 1; // equal costs too
    costs.layers.resize(static_cast<size_t>(draw(1, 8)));
    for (int64_t &cost : costs.layers)
      cost = draw(1, most);
    costs.first = draw(0, 2);
    costs.last = draw(0, 12);
    // Powers of two in all, so that nothing is rounded.
    int64_t total = std::accumulate(costs.layers.begin(), costs.layers.end(), costs.first);
    int64_t whole = 1;
    while (whole < total + costs.last)
      whole *= 2;
    costs.last = whole - total;
    int64_t layers = static_cast<int64_t>(costs.layers.size()), stages = draw(1, layers + 2);
    Split best, split;
    forEachSplit(layers, stages, split, [&](const Split &one) {
      if (best.empty() || rank(costs, one) < rank(costs, best))
        best = one;
    });
    EXPECT_EQ(balanceStages(costs, stages), best) << layers << " over " << stages;
  }
}

TEST(StagePlan, DeepSeekV3Over16) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<Plan> plan = loadPlan(examplePath("deepseek-v3/plan.json"), spec, Purpose::DryRun);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  StagePlan stages = stagesOf(spec, *plan);
  ASSERT_EQ(stages.stages(), 16);
  // Head, MTP layer and its head weigh nearly as much as four layers.
  Split split(15, 4);
  split.push_back(1);
  EXPECT_EQ(stages.layersOf(), split);
  EXPECT_EQ(stages.ofLayer(0), 0);
  EXPECT_EQ(stages.ofLayer(59), 14);
  EXPECT_EQ(stages.ofLayer(60), 15);
  EXPECT_EQ(stages.ofLayer(61), 15); // MTP
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
