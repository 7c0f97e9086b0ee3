// SPDX-License-Identifier: Apache-2.0
//
// Orders of schedules: sound for every small size, as good as the closed formulas say, and the
// proof refuses what is not sound.

#include "passes/Schedule/Order.h"
#include "dialects/Pipe/Pipe.h"

#include "gtest/gtest.h"

#include <map>

using namespace hadal::pipe;

namespace {

/// Makespan with transfers that take no time: F, I and W take 1, B 2, a pair `pairTime`.
class Simulation {
public:
  Simulation(const Order &order, bool folded, int pairTime)
      : order(order), folded(folded), pairTime(pairTime) {}

  int run() {
    std::vector<size_t> at(order.size(), 0);
    std::vector<int> now(order.size(), 0);
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t rank = 0; rank < order.size(); ++rank)
        while (at[rank] < order[rank].size() && step(int(rank), order[rank][at[rank]], now[rank])) {
          ++at[rank];
          moved = true;
        }
    }
    for (size_t rank = 0; rank < order.size(); ++rank)
      EXPECT_EQ(at[rank], order[rank].size()) << "rank " << rank << " stands still";
    return *std::max_element(now.begin(), now.end());
  }

private:
  bool step(int rank, const std::string &entry, int &now) {
    if (entry[0] == '[')
      return true;
    std::vector<std::string> parts{entry};
    if (size_t plus = entry.find('+'); plus != std::string::npos)
      parts = {entry.substr(0, plus), entry.substr(plus + 1)};
    int start = now;
    for (const std::string &part : parts) {
      int need = 0;
      if (!ready(rank, part, need))
        return false;
      start = std::max(start, need);
    }
    now = start + (parts.size() == 2 ? pairTime : entry[0] == 'B' ? 2 : 1);
    for (const std::string &part : parts)
      ended[std::to_string(rank) + (part[0] == 'I' ? 'B' + part.substr(1) : part)] = now;
    return true;
  }

  /// When what the part needs has ended; false where it has not been computed yet.
  bool ready(int rank, const std::string &part, int &need) {
    if (part[0] == 'W')
      return true;
    bool up = part[1] == '1', forward = part[0] == 'F';
    int from = rank + (up == forward ? 1 : -1), last = int(order.size()) - 1;
    std::string key = (forward ? "F" : "B") + part.substr(1);
    if (from < 0 || from > last) {
      // The V turns round on the last rank; everywhere else this is where a direction starts, or
      // its loss.
      bool turns = folded && from > last;
      if (turns)
        key[1] = up ? '0' : '1';
      else if (!forward)
        key[0] = 'F';
      else
        return true;
      from = rank;
    }
    auto found = ended.find(std::to_string(from) + key);
    if (found == ended.end())
      return false;
    need = found->second;
    return true;
  }

  const Order &order;
  bool folded;
  int pairTime;
  std::map<std::string, int> ended;
};

int bubble(const Order &order, bool folded, int64_t perRank) {
  return Simulation(order, folded, /*pairTime=*/3).run() - int(perRank);
}

TEST(Order, OneF1BIsSoundAndAsGoodAsItsFormula) {
  for (int64_t ranks = 1; ranks <= 9; ++ranks)
    for (int64_t microBatches = 1; microBatches <= 20; ++microBatches) {
      Order order = order1F1B(ranks, microBatches);
      OrderCheck check = validateOrder(order);
      ASSERT_EQ(check.error, "") << ranks << " x " << microBatches;
      EXPECT_EQ(check.chunks, 2 * ranks * microBatches);
      EXPECT_EQ(check.peakLive, std::min(ranks, microBatches));
      EXPECT_EQ(bubble(order, false, 3 * microBatches), 3 * (ranks - 1));
    }
}

TEST(Order, Zb1pIsSoundAndAsGoodAsItsFormula) {
  for (int64_t ranks = 1; ranks <= 9; ++ranks)
    for (int64_t microBatches = 1; microBatches <= 20; ++microBatches) {
      Order order = orderZb1p(ranks, microBatches);
      OrderCheck check = validateOrder(order);
      ASSERT_EQ(check.error, "") << ranks << " x " << microBatches;
      EXPECT_EQ(check.chunks, 3 * ranks * microBatches);
      EXPECT_EQ(check.peakLive, std::min(ranks, microBatches));
      if (microBatches >= ranks)
        EXPECT_EQ(bubble(order, false, 3 * microBatches), ranks - 1);
    }
}

TEST(Order, DualPipeIsSoundAndAsGoodAsItsFormula) {
  for (int64_t ranks = 2; ranks <= 16; ranks += 2)
    for (int64_t microBatches = 2 * ranks; microBatches <= 2 * ranks + 10; microBatches += 2) {
      Order order = orderDualPipe(ranks, microBatches);
      OrderCheck check = validateOrder(order);
      ASSERT_EQ(check.error, "") << ranks << " x " << microBatches;
      EXPECT_EQ(check.peakLive, ranks + 1);
      // (P/2 - 1)(F&B + B - 3 W)
      EXPECT_EQ(bubble(order, false, 3 * microBatches), 2 * (ranks / 2 - 1));
    }
}

TEST(Order, DualPipeVIsSoundAndAsGoodAsItsFormula) {
  for (int64_t ranks = 1; ranks <= 10; ++ranks)
    for (int64_t microBatches = 2 * ranks; microBatches <= 2 * ranks + 7; ++microBatches) {
      Order order = orderDualPipeV(ranks, microBatches);
      OrderCheck check = validateOrder(order);
      ASSERT_EQ(check.error, "") << ranks << " x " << microBatches;
      EXPECT_EQ(check.peakLive, 2 * ranks + 1);
      EXPECT_EQ(bubble(order, true, 6 * microBatches), 2 * (ranks - 1));
    }
}

TEST(Order, PublishedMakespans) {
  EXPECT_EQ(Simulation(orderDualPipe(8, 20), false, 3).run(), 66);
  EXPECT_EQ(Simulation(orderDualPipe(8, 20), false, 2).run(), 52);
  EXPECT_EQ(Simulation(orderDualPipe(16, 120), false, 3).run(), 374);
}

struct Unsound {
  Order order;
  const char *error;
};

TEST(Order, WhatIsNotSoundIsRefused) {
  const Unsound cases[] = {
      {{{"B0.0", "F0.0"}}, "rank 0: B0.0 comes before F0.0"},
      {{{"F0.0"}}, "rank 0: F0.0 has no backward part"},
      {{{"F0.0", "I0.0"}}, "rank 0: I0.0 has no weight gradients"},
      {{{"F0.0", "W0.0", "I0.0"}}, "rank 0: W0.0 comes before I0.0"},
      {{{"F0.0", "F0.0", "B0.0"}}, "rank 0: F0.0 comes twice"},
      {{{"F0.0", "B0.0", "I0.0", "W0.0"}}, "rank 0: I0.0 comes twice"},
      {{{"[>F0.0@1]", "F0.0", "B0.0"}, {"[<F0.0@0]"}},
       "rank 0: F0.0 is sent before it is computed"},
      {{{"F0.0", "[>F0.0@1]", "B0.0"}, {"F0.0", "[<F0.0@0]", "B0.0"}},
       "rank 1: F0.0 comes before F0.0 is received"},
      {{{"F0.0", "[>F0.0@2]", "B0.0"}}, "rank 0: >F0.0@2 names no other rank"},
      {{{"F0.0", "[>F0.0@0]", "B0.0"}}, "rank 0: >F0.0@0 names no other rank"},
      // Nobody takes it.
      {{{"F0.0", "[>F0.0@1]", "B0.0"}, {"F0.0", "B0.0"}}, "rank 0: waits for ever at [>F0.0@1]"},
      // Each waits for what the other sends later.
      {{{"F0.0", "[<F1.0@1]", "[>F0.0@1]", "F1.0", "B0.0", "B1.0"},
        {"F1.0", "[<F0.0@0]", "[>F1.0@0]", "F0.0", "B1.0", "B0.0"}},
       "rank 0: waits for ever at [<F1.0@1]"},
  };
  for (const Unsound &unsound : cases)
    EXPECT_EQ(validateOrder(unsound.order).error, unsound.error);
}

TEST(Order, SizesThatAnAlgorithmDoesNotHave) {
  EXPECT_EQ(refuseSize("1f1b", 5, 1), "");
  EXPECT_EQ(refuseSize("zb1p", 3, 7), "");
  EXPECT_NE(refuseSize("1f1b", 0, 1), "");
  EXPECT_NE(refuseSize("zb1p", 1, -1), "");
  EXPECT_EQ(refuseSize("dualpipe", 4, 8), "");
  EXPECT_NE(refuseSize("dualpipe", 3, 8), "");
  EXPECT_NE(refuseSize("dualpipe", 4, 9), "");
  EXPECT_NE(refuseSize("dualpipe", 4, 6), "");
  EXPECT_EQ(refuseSize("dualpipev", 3, 6), "");
  EXPECT_NE(refuseSize("dualpipev", 3, 5), "");
}

} // namespace
