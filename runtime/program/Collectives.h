// SPDX-License-Identifier: Apache-2.0
//
// What ranks compute together: sums in an order that the numeric contract fixes (never a library's,
// never one that depends on sizes or timing), shards of parameters, rows of tokens that move to the
// ranks of their experts. Members of a group call the same ones of a channel in the same order.

#ifndef HADAL_RUNTIME_PROGRAM_COLLECTIVES_H
#define HADAL_RUNTIME_PROGRAM_COLLECTIVES_H

#include "runtime/device/ThreadPool.h"
#include "runtime/program/Store.h"
#include "runtime/transport/Transport.h"

#include <cstdint>
#include <vector>

namespace hadal::rt {

/// A way to the members of groups. `pool` may be null: then the calling thread adds alone.
struct Lane {
  Transport &transport;
  int channel;
  Staging &staging;
  ThreadPool *pool = nullptr;
};

/// A part of a sum: accumulator `slot` of each of `ranks`, added in that order. Without ranks: this
/// rank's window number `slot` of what it has parked.
struct SumTerm {
  std::vector<int> ranks;
  std::uint32_t slot = 0;
};

/// A sum over ranks of which every member gets its window of `window` elements: place i the
/// elements from i * window on. The terms of a sum are added in order, then the sums.
struct ShardedSum {
  std::vector<int> members; // in the order of windows; all ranks of the terms are among them
  std::vector<std::vector<SumTerm>> sums;
  std::int64_t elements = 0, window = 0;
};

/// What a rank adds to a sum: by slot, accumulators of `elements` values, and parked windows.
struct Summands {
  std::vector<const float *> accumulators, parked;
};

/// `shard`: this rank's window, which may lie in an accumulator at its own place. Elements behind
/// the end stay as they are.
void reduceScatter(const Lane &lane, const ShardedSum &sum, const Summands &own, float *shard);

/// Every member's window of `window` elements of `width` bytes to all members.
void allGather(const Lane &lane, const std::vector<int> &members, void *whole,
               std::int64_t elements, std::int64_t window, std::int64_t width);

/// A rank's numbers in a sum in order: `count` of those that `rank` sends, from `offset` on.
struct OrderedPart {
  int rank;
  std::int64_t offset, count;
};

/// The sum of all ranks' numbers, the same everywhere: rank 0 adds `parts` (which only it needs) in
/// order, one number after the other.
double totalInOrder(const Lane &lane, const std::vector<double> &own,
                    const std::vector<OrderedPart> &parts);

/// Tokens and routed rows to and from each member, in the order of members. send: [2][members];
/// received: [2][members + 1], running sums over the members.
void exchangeCounts(const Lane &lane, const std::vector<int> &members, const std::int64_t *send,
                    std::int64_t *received);

/// One tensor whose rows move: `bytes` bytes a row.
struct RowsTensor {
  const unsigned char *from;
  unsigned char *to;
  std::int64_t bytes;
};

/// Where rows go: place i of what is sent belongs to the member whose range of `offsets` [members +
/// 1] holds i, and is row tokens[i] of the tensor; rows of member m arrive at received[m] and on.
struct RowsRoute {
  const std::int64_t *offsets;
  const std::int32_t *tokens;
  const std::int64_t *received;
};

void scatterRows(const Lane &lane, const std::vector<int> &members,
                 const std::vector<RowsTensor> &tensors, const RowsRoute &route);
/// The way back: received rows return to the places they were sent from.
void gatherRows(const Lane &lane, const std::vector<int> &members,
                const std::vector<RowsTensor> &tensors, const RowsRoute &route);

} // namespace hadal::rt

#endif
