// SPDX-License-Identifier: Apache-2.0
//
// Orders of schedules: what each rank computes and transfers, in the form that hadal-compile
// --schedule-only writes, and their simulation.
//
// {"schedule": "dualpipe", "ranks": 8, "micro_batches": 20, "order": [["F0.0", ...], ...]}: for
// each rank, in order, chunks ("F0.3", "B1.2", "I1.2", "W1.2"; direction, then micro-batch within
// the direction), overlapped pairs ("F0.3+B1.2") and batches of transfers ("[>F0.3@1 <B1.2@1]":
// send to rank 1, receive from rank 1; what an I sends is called B).

#ifndef HADAL_RUNTIME_SIMULATE_ORDER_H
#define HADAL_RUNTIME_SIMULATE_ORDER_H

#include "runtime/simulate/Chunk.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hadal::rt {

class ChromeTrace;
struct Drawing;

struct OrderTransfer {
  bool send = false;
  ChunkPart part;
  int peer = 0;

  std::string text() const;
};

/// A chunk or a batch of transfers; one of the two is empty.
struct OrderStep {
  std::vector<ChunkPart> parts;
  std::vector<OrderTransfer> batch;

  std::string text() const;
};

struct Order {
  std::string file, schedule;
  int ranks = 0, microBatches = 0;
  std::vector<std::vector<OrderStep>> steps; ///< by rank

  bool hasPairs() const;
  bool trains() const; ///< has backward chunks
  /// Of each direction.
  int chunks() const { return schedule == "dualpipe" ? microBatches / 2 : microBatches; }
  /// The micro-batch of the whole step: direction 1 of dualpipe has the second half.
  int wholeMicroBatch(const ChunkPart &part) const;
};

/// Where an input of a part on a rank comes from: another rank, the rank itself (dualpipev turns
/// round on its last rank), or nowhere (-1: data, or the loss).
int sourceOf(const Order &order, const ChunkPart &part, int rank);

/// Reads and checks an order: every part once, forward before backward before weight gradients,
/// nothing computed before it has arrived or sent before it is computed, and between two ranks
/// sends and receives in the same order. Throws InputError.
Order loadOrder(const std::string &file);
Order parseOrder(const std::string &text, const std::string &file);

/// Durations of chunks. A full backward chunk takes I + W.
struct ChunkTimes {
  double F = 1, I = 1, W = 1;
  std::optional<double> pair;

  double of(const OrderStep &step) const;
};

/// Reads "F=1,I=1,W=1,pair=3"; pair may be left out where the order has no pairs. Throws InputError
/// that names the flag `flag`.
ChunkTimes parseTimes(const std::string &text, bool needPair, const std::string &flag);

struct OrderRun {
  struct Rank {
    double busy = 0, bubble = 0;
    int activations = 0; ///< most forward chunks that wait for their backward at once
    int deferred = 0;    ///< most weight gradients that wait at once
  };
  double makespan = 0;
  std::vector<Rank> ranks;
  std::vector<TimedChunk> chunks; ///< by rank, then by time
  /// Places in `chunks` of what was sent and what used it.
  std::vector<std::pair<std::size_t, std::size_t>> flows;

  double largestBubble() const;
};

/// Transfers take no time and hold nobody up who sends. Throws RunError when nothing goes on.
OrderRun simulateOrder(const Order &order, const ChunkTimes &times);

/// What the largest bubble is by the formula of the schedule, for times of any length; it is exact
/// where F = I = W.
struct ClosedForm {
  double bubble = 0;
  std::string formula;
  std::string holds; ///< empty, or the condition on the size that the formula needs and misses
};
/// None for orders that only run forward.
std::optional<ClosedForm> closedForm(const Order &order, const ChunkTimes &times);

/// Adds a process per rank, named with `label` behind ("rank 0 predicted"), to a trace.
void traceOrder(const OrderRun &run, const std::string &label, ChromeTrace &trace);

/// For drawText and drawSvg.
Drawing drawingOf(const Order &order, const OrderRun &run);

} // namespace hadal::rt

#endif
