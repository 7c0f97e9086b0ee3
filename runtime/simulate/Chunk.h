// SPDX-License-Identifier: Apache-2.0
//
// What a rank computes at a time, with the time: what drawings and traces of schedules show.

#ifndef HADAL_RUNTIME_SIMULATE_CHUNK_H
#define HADAL_RUNTIME_SIMULATE_CHUNK_H

#include <string>
#include <vector>

namespace hadal::rt {

/// A part of one micro-batch on one stage: F forward, B backward with both gradients, I backward
/// with the input gradient only, W the weight gradient that I left.
struct ChunkPart {
  char kind = 'F';
  int direction = 0; ///< or half, in dualpipev
  int microBatch = 0;

  /// As orders write it: "F0.3".
  std::string text() const {
    return kind + std::to_string(direction) + "." + std::to_string(microBatch);
  }
  bool operator==(const ChunkPart &other) const {
    return kind == other.kind && direction == other.direction && microBatch == other.microBatch;
  }
  bool operator!=(const ChunkPart &other) const { return !(*this == other); }
  bool operator<(const ChunkPart &other) const {
    if (kind != other.kind)
      return kind < other.kind;
    return direction != other.direction ? direction < other.direction
                                        : microBatch < other.microBatch;
  }
};

/// One part, or the two of an overlapped pair, the forward one first.
struct TimedChunk {
  int rank = 0;
  double start = 0, end = 0;
  std::vector<ChunkPart> parts;
};

} // namespace hadal::rt

#endif
