// SPDX-License-Identifier: Apache-2.0
//
// Places in one block of memory for intervals of time.

#ifndef HADAL_PASSES_MEMORY_OFFSETS_H
#define HADAL_PASSES_MEMORY_OFFSETS_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <vector>

namespace hadal {

/// Every buffer starts at a multiple of this many bytes.
constexpr int64_t kBufferAlignment = 64;

/// Bytes that are needed from step `first` to step `last`, both included.
struct Interval {
  int64_t bytes = 0, first = 0, last = 0;
  int64_t offset = 0; ///< the answer
};

/// Which of several intervals that share steps nevertheless follow each other: where several
/// streams run beside each other, `first` and `last` hold for all of them, and two buffers that the
/// same streams use may be apart though these overlap.
class Precedence {
public:
  explicit Precedence(unsigned streams) : streams(streams) {}

  /// Of the next interval, by stream: what has ended when it starts, and where it ends.
  void add(llvm::ArrayRef<int32_t> begins, llvm::ArrayRef<int32_t> ends);

  /// Whether interval a has ended before b starts.
  bool precedes(size_t a, size_t b) const {
    for (unsigned s = 0; s < streams; ++s)
      if (ends[a * streams + s] > begins[b * streams + s])
        return false;
    return true;
  }
  bool apart(size_t a, size_t b) const { return precedes(a, b) || precedes(b, a); }
  bool operator==(const Precedence &other) const {
    return streams == other.streams && begins == other.begins && ends == other.ends;
  }

private:
  unsigned streams;
  std::vector<int32_t> begins, ends;
};

/// How offsets are assigned: `alignment` of each, `gap` bytes apart.
struct Placing {
  int64_t gap = 0;
  int64_t alignment = kBufferAlignment;
  const Precedence *precedence = nullptr; ///< of the same intervals; null: steps decide
  int64_t live = 0;                       ///< with a precedence: bytes that are needed in any case
};

/// Gives every interval an offset so that no two that share a step overlap. Returns the bytes of
/// the whole. Depends on the intervals and their order only.
int64_t assignOffsets(llvm::MutableArrayRef<Interval> intervals, const Placing &placing = {});

/// The step at which the most bytes are needed (the first such), and how many.
struct Peak {
  int64_t step = 0, bytes = 0;
};
Peak peakOf(llvm::ArrayRef<Interval> intervals);

} // namespace hadal

#endif // HADAL_PASSES_MEMORY_OFFSETS_H
