// SPDX-License-Identifier: Apache-2.0
//
// Places in one block of memory for intervals of time.

#ifndef HADAL_PASSES_MEMORY_OFFSETS_H
#define HADAL_PASSES_MEMORY_OFFSETS_H

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>

namespace hadal {

/// Every buffer starts at a multiple of this many bytes.
constexpr int64_t kBufferAlignment = 64;

/// Bytes that are needed from step `first` to step `last`, both included.
struct Interval {
  int64_t bytes = 0, first = 0, last = 0;
  int64_t offset = 0; ///< the answer
};

/// Gives every interval an offset so that no two that share a step overlap, `gap` bytes apart.
/// Returns the bytes of the whole. Depends on the intervals and their order only.
int64_t assignOffsets(llvm::MutableArrayRef<Interval> intervals, int64_t gap = 0);

/// The step at which the most bytes are needed (the first such), and how many.
struct Peak {
  int64_t step = 0, bytes = 0;
};
Peak peakOf(llvm::ArrayRef<Interval> intervals);

} // namespace hadal

#endif // HADAL_PASSES_MEMORY_OFFSETS_H
