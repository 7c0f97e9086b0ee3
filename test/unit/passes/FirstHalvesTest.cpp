// SPDX-License-Identifier: Apache-2.0
//
// Where orders have added the first half of the micro-batches.

#include "passes/Schedule/FirstHalves.h"

#include "gtest/gtest.h"

using namespace hadal::pipe;

namespace {

RankLayout layoutOf(std::string algorithm, int64_t ranks, int64_t microBatches) {
  RankLayout layout;
  layout.algorithm = std::move(algorithm);
  layout.ranks = ranks;
  layout.microBatches = microBatches;
  layout.dataParallel = 2;
  return layout;
}

FirstHalves halvesOf(const char *algorithm, int64_t ranks, int64_t microBatches) {
  return {orderOf(algorithm, ranks, microBatches), layoutOf(algorithm, ranks, microBatches)};
}

std::string entryOf(const Order &order, const OrderPlace *place) {
  return place ? order[size_t(place->rank)][size_t(place->entry)] : "none";
}

/// Every stage of a schedule has the W of micro-batches 0 to ceil(M / 2) - 1 before the others.
TEST(FirstHalves, AreCompleteBehindTheLastWeightGradient) {
  for (std::string algorithm : {"1f1b", "zb1p", "dualpipev"})
    for (int64_t ranks = 1; ranks <= 6; ++ranks)
      for (int64_t batches = 2; batches <= 25; ++batches) {
        if (algorithm == "dualpipev" && batches < 2 * ranks)
          continue;
        const Order order = orderOf(algorithm, ranks, batches);
        const RankLayout layout = layoutOf(algorithm, ranks, batches);
        const FirstHalves halves(order, layout);
        for (int64_t stage = 0; stage < layout.stages(); ++stage) {
          const OrderPlace *place = halves.of(stage);
          ASSERT_TRUE(place) << algorithm << " " << ranks << " " << batches << " stage " << stage;
          const std::string number =
              std::to_string(stage < ranks ? 0 : 1) + "." + std::to_string((batches + 1) / 2 - 1);
          const std::string entry = entryOf(order, place);
          EXPECT_TRUE(entry.find("B" + number) != std::string::npos ||
                      entry.find("W" + number) != std::string::npos)
              << algorithm << " " << ranks << " " << batches << ": " << entry;
        }
      }
}

TEST(FirstHalves, EndInOrderOfTheirTimes) {
  // The last stage of 1F1B ends first; of ZB1P the first does, its weight gradients do not wait.
  const FirstHalves oneF1B = halvesOf("1f1b", 4, 8), zb1p = halvesOf("zb1p", 4, 8);
  for (int64_t stage = 0; stage < 3; ++stage) {
    EXPECT_GT(oneF1B.of(stage)->time, oneF1B.of(stage + 1)->time);
    EXPECT_LT(zb1p.of(stage)->time, zb1p.of(stage + 1)->time);
  }
  // F0.0 F0.1 F0.2 on the way down, then F and B in turn: B0.3 of the last rank ends at 15, and
  // goes up by 2 a rank.
  EXPECT_EQ(oneF1B.of(3)->time, 15);
  EXPECT_EQ(oneF1B.of(0)->time, 21);
}

TEST(FirstHalves, AreNoneWhereTheyAreNotApart) {
  EXPECT_FALSE(halvesOf("1f1b", 2, 1).of(0));     // one half only
  EXPECT_FALSE(halvesOf("dualpipe", 2, 4).of(0)); // on different ranks
  const RankLayout layout = layoutOf("1f1b", 1, 2);
  EXPECT_FALSE(FirstHalves({{"F0.0", "F0.1", "B0.1", "B0.0"}}, layout).of(0));
  EXPECT_FALSE(FirstHalves({{"F0.0", "F0.1", "I0.0", "I0.1", "W0.0+W0.1"}}, layout).of(0));
  EXPECT_FALSE(FirstHalves({{"F0.0", "F0.1", "I0.0", "B0.1"}}, layout).of(0));
  EXPECT_TRUE(FirstHalves({{"F0.0", "F0.1", "I0.0", "I0.1", "W0.0", "W0.1"}}, layout).of(0));
  // No order, and what is none.
  EXPECT_FALSE(FirstHalves({}, layout).of(0));
  EXPECT_FALSE(FirstHalves({{"F0.0", "G0.1"}}, layout).of(0));
  // Rank 1 waits for ever.
  EXPECT_FALSE(
      FirstHalves({{"B0.0", "B0.1"}, {"F0.0", "F0.1", "B0.0", "B0.1"}}, layoutOf("1f1b", 2, 2))
          .of(1));
}

} // namespace
