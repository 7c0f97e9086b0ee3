// SPDX-License-Identifier: Apache-2.0
//
// Places of intervals: nothing that lives together overlaps, whatever the intervals are, and simple
// cases are tight.

#include "passes/Memory/Offsets.h"

#include "gtest/gtest.h"

#include <random>
#include <vector>

using namespace hadal;

namespace {

bool meet(const Interval &a, const Interval &b) { return a.first <= b.last && b.first <= a.last; }

void expectSound(const std::vector<Interval> &intervals, int64_t gap, int64_t bytes) {
  for (size_t i = 0; i < intervals.size(); ++i) {
    const Interval &a = intervals[i];
    ASSERT_EQ(a.offset % kBufferAlignment, 0);
    ASSERT_GE(a.offset, 0);
    ASSERT_LE(a.offset + a.bytes + gap, bytes);
    for (size_t j = 0; j < i; ++j) {
      const Interval &b = intervals[j];
      if (meet(a, b))
        ASSERT_TRUE(a.offset + a.bytes + gap <= b.offset || b.offset + b.bytes + gap <= a.offset)
            << "intervals " << i << " and " << j;
    }
  }
}

TEST(Offsets, NothingThatLivesTogetherOverlaps) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Interval> intervals(1 + random() % 60);
    int64_t gap = round % 3 ? 0 : int64_t(random() % 300);
    for (Interval &interval : intervals) {
      interval.bytes = int64_t(random() % 1000);
      interval.first = int64_t(random() % 40);
      interval.last = interval.first + int64_t(random() % 12);
    }
    int64_t bytes = assignOffsets(intervals, {gap});
    expectSound(intervals, gap, bytes);
    EXPECT_GE(bytes, peakOf(intervals).bytes);
  }
}

TEST(Offsets, ManyIntervalsAreSoundToo) {
  // Beyond the limit of the quadratic order.
  std::mt19937 random(11);
  std::vector<Interval> intervals(9000);
  for (size_t i = 0; i < intervals.size(); ++i)
    intervals[i] = {64 * int64_t(1 + random() % 20), int64_t(i), int64_t(i + random() % 30), 0};
  int64_t bytes = assignOffsets(intervals);
  for (size_t i = 0; i + 40 < intervals.size(); i += 17)
    expectSound({intervals.begin() + int64_t(i), intervals.begin() + int64_t(i) + 40}, 0, bytes);
  EXPECT_LE(bytes, 2 * peakOf(intervals).bytes);
}

TEST(Offsets, OneAfterTheOtherShareAPlace) {
  std::vector<Interval> intervals = {{100, 0, 1, 0}, {64, 2, 2, 0}, {128, 3, 9, 0}};
  EXPECT_EQ(assignOffsets(intervals), 128);
  for (const Interval &interval : intervals)
    EXPECT_EQ(interval.offset, 0);
}

TEST(Offsets, StacksAreTight) {
  // Forward parts make values that backward parts take in the opposite order, with short-lived ones
  // in between.
  std::vector<Interval> intervals;
  const int64_t depth = 20;
  for (int64_t i = 0; i < depth; ++i) {
    intervals.push_back({640, i, 2 * depth - 1 - i, 0});
    intervals.push_back({128, i, i + 1, 0});
  }
  int64_t bytes = assignOffsets(intervals);
  expectSound(intervals, 0, bytes);
  EXPECT_EQ(bytes, peakOf(intervals).bytes);
}

TEST(Offsets, Peak) {
  EXPECT_EQ(peakOf({}).bytes, 0);
  const Interval intervals[] = {{10, 0, 4, 0}, {20, 2, 3, 0}, {30, 3, 3, 0}, {40, 5, 6, 0}};
  EXPECT_EQ(peakOf(intervals).bytes, 60);
  EXPECT_EQ(peakOf(intervals).step, 3);
}

} // namespace
