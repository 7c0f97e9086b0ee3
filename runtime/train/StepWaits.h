// SPDX-License-Identifier: Apache-2.0
//
// What of a measured transfer, exchange or collective was waiting for others. A span begins when a
// rank comes to the meeting; what takes place there begins when the last of them is there. Traces
// show the two apart, as simulated ones do.

#ifndef HADAL_RUNTIME_TRAIN_STEPWAITS_H
#define HADAL_RUNTIME_TRAIN_STEPWAITS_H

#include "runtime/train/StepTrace.h"

#include <map>
#include <utility>
#include <vector>

namespace hadal::rt {

class StepWaits {
public:
  StepWaits(const bundle::Bundle &table, const StepSpans &spans);

  /// When all were there, of span `index` of a rank; its start when it waits for nobody. A batch of
  /// transfers begins with the first of them that can.
  std::int64_t met(int rank, std::size_t index) const { return times[std::size_t(rank)][index]; }

private:
  struct Place {
    int rank;
    std::size_t index;
  };
  using Meeting = std::vector<Place>;

  void visit(int rank, std::size_t index);
  void settle(const Meeting &meeting);
  void meetInPairs();
  std::vector<int> whoMeets(const bundle::Instruction &instruction, int rank) const;

  const bundle::Bundle &table;
  const StepSpans &spans;
  const RankGrid grid;
  std::vector<std::vector<std::int64_t>> times; // by rank and span; -1: not known
  // Messages between two ranks meet in order, and so do the collectives of those who meet.
  std::map<std::pair<int, int>, std::pair<Meeting, Meeting>> ways; // sent, received
  using Group = std::pair<std::vector<int>, std::uint32_t>;        // who, program
  std::map<Group, std::map<int, Meeting>> groups;                  // by rank
};

} // namespace hadal::rt

#endif
