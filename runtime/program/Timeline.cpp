// SPDX-License-Identifier: Apache-2.0
//
// See Timeline.h.

#include "runtime/program/Timeline.h"

#include "runtime/program/TableText.h"

#include <algorithm>

namespace hadal::rt {

bool isTransfer(bundle::Opcode opcode) {
  return opcode == bundle::Opcode::send || opcode == bundle::Opcode::receive;
}

Timeline::Timeline(const bundle::Program &program)
    : streamCount(std::max(1u, sizeOf(program.streams()))), lists(streamCount) {
  const std::uint32_t count = sizeOf(program.instructions());
  moments.reserve(count);
  clocks.reserve(std::size_t(count) * streamCount);
  using Clock = std::vector<std::uint32_t>;
  // By stream: what is known to have ended at its end so far, its places, its last batch.
  std::vector<Clock> now(streamCount, Clock(streamCount, 0)), events(program.events());
  std::vector<std::uint32_t> places(streamCount, 0);
  std::vector<std::int64_t> batches(streamCount, -1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    const std::uint32_t stream = instruction.stream();
    Clock &known = now[stream];
    if (instruction.opcode() == bundle::Opcode::wait) {
      const Clock &recorded = events[instruction.event()];
      for (std::size_t s = 0; s < recorded.size(); ++s)
        known[s] = std::max(known[s], recorded[s]);
    }
    const std::int64_t batch = isTransfer(instruction.opcode()) ? instruction.batch() : -1;
    if (batch < 0 || batch != batches[stream])
      known[stream] = places[stream]++;
    batches[stream] = batch;
    lists[stream].push_back(i);
    moments.push_back({stream, places[stream]});
    clocks.insert(clocks.end(), known.begin(), known.end());
    if (instruction.opcode() == bundle::Opcode::record) {
      events[instruction.event()] = known;
      events[instruction.event()][stream] = places[stream];
    }
  }
}

} // namespace hadal::rt
