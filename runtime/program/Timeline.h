// SPDX-License-Identifier: Apache-2.0
//
// The order that a program's streams and events give to its instructions, whatever time they take.

#ifndef HADAL_RUNTIME_PROGRAM_TIMELINE_H
#define HADAL_RUNTIME_PROGRAM_TIMELINE_H

#include "runtime/program/bundle_generated.h"

#include <vector>

namespace hadal::rt {

bool isTransfer(bundle::Opcode opcode);

/// Vector clocks. Places on a stream count from 1; the transfers of a batch start and end together
/// and share one. The program's indices are sound (verifyTable).
class Timeline {
public:
  explicit Timeline(const bundle::Program &program);

  std::uint32_t streams() const { return streamCount; }
  std::uint32_t streamOf(std::uint32_t instruction) const { return moments[instruction].stream; }
  std::uint32_t placeOf(std::uint32_t instruction) const { return moments[instruction].place; }
  /// Up to which place all of `stream` has ended when the instruction starts.
  std::uint32_t endedBefore(std::uint32_t instruction, std::uint32_t stream) const {
    return clocks[std::size_t(instruction) * streamCount + stream];
  }
  /// Whether the first has ended when the second starts.
  bool precedes(std::uint32_t first, std::uint32_t second) const {
    return placeOf(first) <= endedBefore(second, streamOf(first));
  }
  /// The instructions of a stream in order.
  const std::vector<std::uint32_t> &listOf(std::uint32_t stream) const { return lists[stream]; }

private:
  struct Moment {
    std::uint32_t stream, place;
  };
  std::uint32_t streamCount;
  std::vector<Moment> moments;
  std::vector<std::uint32_t> clocks; // by instruction, then stream
  std::vector<std::vector<std::uint32_t>> lists;
};

} // namespace hadal::rt

#endif
