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
constexpr size_t kQuadraticLimitOfStreams = 32768;

int64_t roomOf(const Interval &interval, const Placing &placing) {
  return llvm::alignTo(std::max<int64_t>(interval.bytes, 1) + placing.gap,
                       uint64_t(placing.alignment));
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

int64_t placeByTime(ArrayRef<Interval> intervals, const Placing &placing,
                    SmallVector<int64_t> &offsets) {
  SmallVector<size_t> starts =
      sortedBy(intervals.size(), [&](size_t i) { return intervals[i].first; });
  SmallVector<size_t> ends =
      sortedBy(intervals.size(), [&](size_t i) { return intervals[i].last; });
  Holes holes;
  size_t ended = 0;
  for (size_t start : starts) {
    for (; intervals[ends[ended]].last < intervals[start].first; ++ended)
      holes.give(offsets[ends[ended]], roomOf(intervals[ends[ended]], placing));
    offsets[start] = holes.take(roomOf(intervals[start], placing));
  }
  return holes.end;
}

/// By time with several streams: what is free depends on who asks, so the buffers in use are looked
/// through from the lowest on.
int64_t placeByStreams(ArrayRef<Interval> intervals, const Placing &placing,
                       SmallVector<int64_t> &offsets) {
  SmallVector<size_t> order =
      sortedBy(intervals.size(), [&](size_t i) { return intervals[i].first; });
  SmallVector<size_t> used; // by offset
  int64_t end = 0;
  for (size_t index : order) {
    llvm::erase_if(used,
                   [&](size_t other) { return intervals[other].last < intervals[index].first; });
    int64_t room = roomOf(intervals[index], placing), at = 0, best = -1, bestRoom = 0;
    for (size_t other : used) {
      if (placing.precedence->apart(index, other))
        continue;
      int64_t hole = offsets[other] - at;
      if (hole >= room && (best < 0 || hole < bestRoom))
        std::tie(best, bestRoom) = std::pair(at, hole);
      at = std::max(at, offsets[other] + roomOf(intervals[other], placing));
    }
    // Behind the last one the arena grows, unless it is large enough already.
    if (best < 0 || (end - at >= room && end - at < bestRoom))
      best = at;
    offsets[index] = best;
    end = std::max(end, best + room);
    used.insert(
        llvm::upper_bound(used, best,
                          [&](int64_t offset, size_t other) { return offset < offsets[other]; }),
        index);
  }
  return end;
}

/// Placed intervals by offset, for questions about a stretch of time: on each level steps are cut
/// into pieces twice as long as on the level below, and a piece lists what touches it.
class PlacedIntervals {
public:
  PlacedIntervals(ArrayRef<Interval> intervals, ArrayRef<int64_t> offsets)
      : intervals(intervals), offsets(offsets) {
    int64_t steps = 1;
    for (const Interval &interval : intervals)
      steps = std::max(steps, interval.last + 1);
    for (int64_t width = kShortest; levels.empty() || levels.back().size() > 1; width *= 2)
      levels.emplace_back(size_t(llvm::divideCeil(steps, width)));
  }

  struct Entry {
    int32_t first, last;
    uint32_t index;
  };
  /// All that share a step with an interval, and others, by offset.
  ArrayRef<Entry> beside(const Interval &interval) const {
    for (size_t level = 0;; ++level)
      if (auto [first, last] = piecesOf(interval, level); first == last)
        return levels[level][first];
  }

  void add(size_t index) {
    auto lower = [&](int64_t offset, const Entry &other) { return offset < offsets[other.index]; };
    const Entry entry{int32_t(intervals[index].first), int32_t(intervals[index].last),
                      uint32_t(index)};
    for (size_t level = 0; level < levels.size(); ++level)
      for (auto [piece, last] = piecesOf(intervals[index], level); piece <= last; ++piece) {
        auto &list = levels[level][piece];
        list.insert(llvm::upper_bound(list, offsets[index], lower), entry);
      }
  }

private:
  static constexpr int64_t kShortest = 64;
  static std::pair<size_t, size_t> piecesOf(const Interval &interval, size_t level) {
    return {size_t(interval.first / kShortest) >> level,
            size_t(interval.last / kShortest) >> level};
  }

  ArrayRef<Interval> intervals;
  ArrayRef<int64_t> offsets;
  std::vector<std::vector<std::vector<Entry>>> levels; ///< by piece
};

int64_t placeBySize(ArrayRef<Interval> intervals, const Placing &placing,
                    SmallVector<int64_t> &offsets) {
  SmallVector<size_t> order =
      sortedBy(intervals.size(), [&](size_t i) { return -intervals[i].bytes; });
  PlacedIntervals placed(intervals, offsets);
  int64_t end = 0;
  for (size_t index : order) {
    const Interval &interval = intervals[index];
    int64_t room = roomOf(interval, placing), at = 0;
    for (auto [first, last, other] : placed.beside(interval)) {
      if (last < interval.first || interval.last < first ||
          (placing.precedence && placing.precedence->apart(index, other)))
        continue;
      if (at + room <= offsets[other])
        break;
      at = std::max(at, offsets[other] + roomOf(intervals[other], placing));
    }
    offsets[index] = at;
    end = std::max(end, at + room);
    placed.add(index);
  }
  return end;
}

} // namespace

void Precedence::add(ArrayRef<int32_t> begin, ArrayRef<int32_t> end) {
  llvm::append_range(begins, begin);
  llvm::append_range(ends, end);
}

/// With several streams by time first: where that comes close to what lives together in list order,
/// nothing else is tried.
static int64_t placeOfStreams(ArrayRef<Interval> intervals, const Placing &placing,
                              SmallVector<int64_t> &offsets) {
  SmallVector<int64_t> other(intervals.size());
  int64_t bytes = placeByStreams(intervals, placing, offsets);
  if (bytes <= placing.live + placing.live / 256 || intervals.size() > kQuadraticLimitOfStreams)
    return bytes;
  if (int64_t tight = placeBySize(intervals, placing, other); tight < bytes) {
    bytes = tight;
    offsets = std::move(other);
  }
  return bytes;
}

int64_t hadal::assignOffsets(llvm::MutableArrayRef<Interval> intervals, const Placing &placing) {
  SmallVector<int64_t> offsets(intervals.size()), other(intervals.size());
  int64_t bytes = 0;
  if (placing.precedence) {
    bytes = placeOfStreams(intervals, placing, offsets);
  } else {
    bytes = placeByTime(intervals, placing, offsets);
    if (intervals.size() <= kQuadraticLimit)
      if (int64_t tight = placeBySize(intervals, placing, other); tight < bytes) {
        bytes = tight;
        offsets = std::move(other);
      }
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
  for (auto [step, change] : changes) {
    live += change;
    if (live > peak.bytes)
      peak = {step, live};
  }
  return peak;
}
