// SPDX-License-Identifier: Apache-2.0
//
// See StepWaits.h.

#include "runtime/train/StepWaits.h"

#include "runtime/program/Timeline.h"

#include <algorithm>
#include <numeric>

namespace hadal::rt {

using bundle::Opcode;

StepWaits::StepWaits(const bundle::Bundle &table, const StepSpans &spans)
    : table(table), spans(spans), grid(*table.training()) {
  for (std::size_t rank = 0; rank < spans.size(); ++rank) {
    const std::vector<StepSpan> &own = spans[rank];
    times.emplace_back(own.size(), -1);
    // All ranks have their meetings in the order of their programs, whatever the streams.
    std::vector<std::size_t> order(own.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return std::pair(own[a].program, own[a].instruction) <
             std::pair(own[b].program, own[b].instruction);
    });
    for (std::size_t index : order)
      visit(int(rank), index);
  }
  meetInPairs();
  for (const auto &[group, members] : groups)
    for (std::size_t round = 0;; ++round) {
      Meeting meeting;
      for (const auto &[rank, places] : members)
        if (round < places.size())
          meeting.push_back(places[round]);
      if (meeting.empty())
        break;
      settle(meeting);
    }
  for (std::size_t rank = 0; rank < spans.size(); ++rank)
    for (std::size_t i = 0; i < spans[rank].size(); ++i)
      if (std::int64_t &time = times[rank][i]; time < 0 || time >= spans[rank][i].end)
        time = spans[rank][i].start;
}

/// Ranks that meet at a collective or exchange; none at other instructions.
std::vector<int> StepWaits::whoMeets(const bundle::Instruction &instruction, int rank) const {
  switch (instruction.opcode()) {
  case Opcode::exchange_counts:
  case Opcode::scatter_rows:
  case Opcode::gather_rows:
    return grid.expertGroup(rank);
  case Opcode::reduce_scatter:
  case Opcode::all_gather:
  case Opcode::all_reduce:
    return grid.members(*table.groups()->Get(std::uint32_t(instruction.group())), rank);
  case Opcode::total_squares: {
    std::vector<int> all(std::size_t(grid.ranks()));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  default:
    return {};
  }
}

void StepWaits::visit(int rank, std::size_t index) {
  const StepSpan &span = spans[std::size_t(rank)][index];
  const auto role = std::uint32_t(grid.place(rank).pipelineRank);
  const bundle::Instruction &instruction = instructionOf(table, role, span);
  if (!isTransfer(instruction.opcode())) {
    if (std::vector<int> who = whoMeets(instruction, rank); who.size() > 1)
      groups[{std::move(who), span.program}][rank].push_back({rank, index});
    return;
  }
  for (const bundle::Instruction *transfer :
       transfersOf(programOf(table, role, span.program), span.instruction)) {
    const int there = grid.rankOf(transfer->peer(), grid.place(rank).replica);
    if (transfer->opcode() == Opcode::send)
      ways[{rank, there}].first.push_back({rank, index});
    else
      ways[{there, rank}].second.push_back({rank, index});
  }
}

void StepWaits::settle(const Meeting &meeting) {
  std::int64_t last = 0;
  for (const Place &place : meeting)
    last = std::max(last, spans[std::size_t(place.rank)][place.index].start);
  for (const Place &place : meeting) {
    std::int64_t &time = times[std::size_t(place.rank)][place.index];
    time = time < 0 ? last : std::min(time, last);
  }
}

void StepWaits::meetInPairs() {
  for (const auto &[way, ends] : ways)
    for (std::size_t i = 0; i < std::min(ends.first.size(), ends.second.size()); ++i)
      settle({ends.first[i], ends.second[i]});
}

} // namespace hadal::rt
