// SPDX-License-Identifier: Apache-2.0
//
// Clocks of ranks on several machines, which are hours apart here.

#include "runtime/train/StepClocks.h"
#include "runtime/transport/LocalTransport.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

using namespace hadal::rt;

namespace {

constexpr std::int64_t kHour = 3600ll * 1000 * 1000 * 1000;

/// What rank 0 gets when rank r's clock is skews[r] ahead, on machines of those names.
std::vector<std::int64_t> offsets(const std::vector<std::int64_t> &skews,
                                  const std::vector<std::string> &machines) {
  LocalWorld world{int(skews.size())};
  std::vector<std::vector<std::int64_t>> found(skews.size());
  std::vector<std::thread> ranks;
  ranks.reserve(skews.size());
  for (std::size_t rank = 0; rank < skews.size(); ++rank)
    ranks.emplace_back([&, rank] {
      RankClock clock = RankClock::steady();
      clock.now = [steady = clock.now, skew = skews[rank]] { return steady() + skew; };
      clock.machine = machines[rank];
      found[rank] = clockOffsets(world.endpoint(int(rank)), clock);
    });
  for (std::thread &rank : ranks)
    rank.join();
  for (std::size_t rank = 1; rank < found.size(); ++rank)
    EXPECT_TRUE(found[rank].empty());
  return found[0];
}

TEST(StepClocks, OneMachineHasOneClock) {
  EXPECT_EQ(offsets({0, 0, 0}, {"a", "a", "a"}), (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(offsets({0}, {"a"}), (std::vector<std::int64_t>{0}));
}

TEST(StepClocks, OtherMachinesAreAsked) {
  const auto found =
      offsets({5 * kHour, 5 * kHour, 2 * kHour, 9 * kHour, 2 * kHour}, {"a", "a", "b", "c", "b"});
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0], 0);
  EXPECT_EQ(found[1], 0);
  // However long a message takes here, it takes no minute.
  const std::int64_t expected[] = {3 * kHour, -4 * kHour, 3 * kHour};
  for (int i = 0; i < 3; ++i)
    EXPECT_LT(std::llabs(found[std::size_t(i) + 2] - expected[i]), kHour / 60) << i;
}

TEST(StepClocks, TheSteadyClockHasAMachine) {
  const RankClock clock = RankClock::steady(), other = RankClock::steady();
  EXPECT_FALSE(clock.machine.empty());
  EXPECT_EQ(clock.machine, other.machine);
  EXPECT_LE(clock.now(), other.now());
}

} // namespace
