// SPDX-License-Identifier: Apache-2.0
//
// Orders of schedules: what each rank computes and transfers, in the notation of pipe.schedule.
// Pure algorithms; the passes around them are in the files of the algorithms.

#ifndef HADAL_PASSES_SCHEDULE_ORDER_H
#define HADAL_PASSES_SCHEDULE_ORDER_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"

#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace hadal::pipe {

class ScheduleOp;

using RankOrder = std::vector<std::string>;
/// By rank.
using Order = std::vector<RankOrder>;

/// Writes the order of one rank. An op posts its receives, then everything posted is committed as
/// one batch, then the op computes and posts its sends. Chunks are counted per direction; direction
/// 1 flows from the last rank to the first.
class RankWriter {
public:
  RankWriter(int64_t rank, int64_t ranks) : rank(rank), ranks(ranks) {}

  void forward(int direction, bool receive = true, bool send = true);
  /// `full`: both gradients; otherwise the weight gradients wait for weights().
  void backward(int direction, bool full, bool receive = true, bool send = true);
  /// An overlapped pair.
  void pair(int forwardDirection, int backwardDirection, bool receiveForward = true);
  /// The weight gradients that wait longest.
  void weights();
  bool weightsWait() const { return !waiting.empty(); }
  void receiveForward(int direction);
  void sendForward(int direction);
  /// The order; commits what is posted still.
  RankOrder finish();

  void sendBackward(int direction);

private:
  void receiveBackward(int direction);
  void post(char way, char what, int direction, int64_t &chunk, int64_t peer);
  void commit();
  static std::string text(char what, int direction, int64_t chunk);

  int64_t rank, ranks;
  RankOrder order;
  std::vector<std::string> posted;
  std::deque<std::string> waiting;
  struct Counters {
    int64_t forwards = 0, backwards = 0, forwardsIn = 0, forwardsOut = 0, backwardsIn = 0,
            backwardsOut = 0;
  } counters[2];
};

/// The order of each algorithm for a size that it has (refuseSize).
Order order1F1B(int64_t ranks, int64_t microBatches);
Order orderZb1p(int64_t ranks, int64_t microBatches);
Order orderDualPipe(int64_t ranks, int64_t microBatches);
Order orderDualPipeV(int64_t ranks, int64_t microBatches);
/// Of the algorithm of that name.
Order orderOf(llvm::StringRef algorithm, int64_t ranks, int64_t microBatches);
/// Of a schedule that was expanded; else empty.
Order orderOf(ScheduleOp schedule);

/// The row of a rank with `behind` ranks behind it in 1F1B and what follows its rhythm;
/// `backward(i)` writes the backward part of micro-batch i.
void writeOneF1B(RankWriter &writer, int64_t behind, int64_t microBatches,
                 llvm::function_ref<void(int64_t)> backward);

/// The row of a rank in the eight steps that DualPipe and DualPipeV share. `half`: the rank's
/// distance from the end of its half of `halves` ranks; `chunks` a local phase; `swapped`: phase 0
/// is direction 1.
void writeDualPipe(RankWriter &writer, int64_t half, int64_t halves, int64_t chunks, bool swapped);

/// `F0.3` of an order.
struct OrderPart {
  char what; ///< F, B, I or W
  int64_t direction, chunk;
};
/// `>F0.3@1`.
struct OrderTransfer {
  bool send;
  OrderPart part;
  int64_t peer;
};
/// An entry of an order: one part or an overlapped pair, or else a batch.
struct OrderEntry {
  std::vector<OrderPart> parts;
  std::vector<OrderTransfer> batch;
};
/// Nothing where the text is no such entry.
std::optional<OrderEntry> parseEntry(llvm::StringRef text);

/// What a proof of an order found.
struct OrderCheck {
  std::string error;    ///< empty: the order is sound
  int64_t chunks = 0;   ///< of all ranks, a pair counted as two
  int64_t peakLive = 0; ///< most chunks that wait for their backward part on one rank
};
/// Each forward part before its backward part before its weight gradients, everything once; nothing
/// is computed before it has arrived or sent before it is computed; sends and receives match; no
/// rank waits for ever, even if a batch ends only when all its transfers have met their
/// counterparts.
OrderCheck validateOrder(const Order &order);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_ORDER_H
