// SPDX-License-Identifier: Apache-2.0
//
// Two orders of placing are tried and the smaller result wins: by time with the smallest hole that
// fits, and by size with the lowest place that is free during the interval (tight, but quadratic:
// only for moderate counts).

#include "passes/Memory/Offsets.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/MathExtras.h"

#include <map>
#include <numeric>

using namespace hadal;
using llvm::ArrayRef;
using llvm::SmallVector;

namespace {

constexpr size_t kQuadraticLimit = 8192;

int64_t roomOf(const Interval &interval, int64_t gap) {
  return llvm::alignTo(std::max<int64_t>(interval.bytes, 1) + gap, kBufferAlignment);
}

/// Indices by rising key; equal ones in their own order.
SmallVector<size_t> sortedBy(size_t count, llvm::function_ref<int64_t(size_t)> key) {
  SmallVector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order,
             [&](size_t a, size_t b) { return std::pair(key(a), a) < std::pair(key(b), b); });
  return order;
}

/// Holes by offset, joined with their neighbours.
class Holes {
public:
  int64_t take(int64_t bytes) {
    auto best = holes.end();
    for (auto hole = holes.begin(); hole != holes.end(); ++hole)
      if (hole->second >= bytes && (best == holes.end() || hole->second < best->second))
        best = hole;
    if (best == holes.end()) {
      // At the end: a hole there grows.
      auto last = holes.empty() ? holes.end() : std::prev(holes.end());
      int64_t offset = last != holes.end() && last->first + last->second == end ? last->first : end;
      if (offset < end)
        holes.erase(last);
      end = offset + bytes;
      return offset;
    }
    auto [offset, room] = *best;
    holes.erase(best);
    if (room > bytes)
      holes[offset + bytes] = room - bytes;
    return offset;
  }

  void give(int64_t offset, int64_t bytes) {
    auto next = holes.lower_bound(offset);
    if (next != holes.end() && offset + bytes == next->first) {
      bytes += next->second;
      next = holes.erase(next);
    }
    if (next != holes.begin() && std::prev(next)->first + std::prev(next)->second == offset)
      std::prev(next)->second += bytes;
    else
      holes[offset] = bytes;
  }

  int64_t end = 0;

private:
  std::map<int64_t, int64_t> holes;
};

int64_t placeByTime(ArrayRef<Interval> intervals, int64_t gap, SmallVector<int64_t> &offsets) {
  SmallVector<size_t> starts =
      sortedBy(intervals.size(), [&](size_t i) { return intervals[i].first; });
  SmallVector<size_t> ends =
      sortedBy(intervals.size(), [&](size_t i) { return intervals[i].last; });
  Holes holes;
  size_t ended = 0;
  for (size_t start : starts) {
    for (; intervals[ends[ended]].last < intervals[start].first; ++ended)
      holes.give(offsets[ends[ended]], roomOf(intervals[ends[ended]], gap));
    offsets[start] = holes.take(roomOf(intervals[start], gap));
  }
  return holes.end;
}

int64_t placeBySize(ArrayRef<Interval> intervals, int64_t gap, SmallVector<int64_t> &offsets) {
  SmallVector<size_t> order =
      sortedBy(intervals.size(), [&](size_t i) { return -intervals[i].bytes; });
  SmallVector<size_t> placed; // by offset
  int64_t end = 0;
  for (size_t index : order) {
    const Interval &interval = intervals[index];
    int64_t room = roomOf(interval, gap), at = 0;
    for (size_t other : placed) {
      if (intervals[other].last < interval.first || interval.last < intervals[other].first)
        continue;
      if (at + room <= offsets[other])
        break;
      at = std::max(at, offsets[other] + roomOf(intervals[other], gap));
    }
    offsets[index] = at;
    end = std::max(end, at + room);
    placed.insert(
        llvm::upper_bound(placed, at,
                          [&](int64_t offset, size_t other) { return offset < offsets[other]; }),
        index);
  }
  return end;
}

} // namespace

int64_t hadal::assignOffsets(llvm::MutableArrayRef<Interval> intervals, int64_t gap) {
  SmallVector<int64_t> offsets(intervals.size()), other(intervals.size());
  int64_t bytes = placeByTime(intervals, gap, offsets);
  if (intervals.size() <= kQuadraticLimit)
    if (int64_t tight = placeBySize(intervals, gap, other); tight < bytes) {
      bytes = tight;
      offsets = std::move(other);
    }
  for (auto [interval, offset] : llvm::zip(intervals, offsets))
    interval.offset = offset;
  return bytes;
}

Peak hadal::peakOf(ArrayRef<Interval> intervals) {
  std::map<int64_t, int64_t> changes; // by step
  for (const Interval &interval : intervals) {
    changes[interval.first] += interval.bytes;
    changes[interval.last + 1] -= interval.bytes;
  }
  Peak peak;
  int64_t live = 0;
  for (auto [step, change] : changes)
    if ((live += change) > peak.bytes)
      peak = {step, live};
  return peak;
}
