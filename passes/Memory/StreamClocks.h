// SPDX-License-Identifier: Apache-2.0
//
// What has ended when an instruction starts, in a program of several streams: within a stream list
// order, between streams only events (vector clocks).

#ifndef HADAL_PASSES_MEMORY_STREAMCLOCKS_H
#define HADAL_PASSES_MEMORY_STREAMCLOCKS_H

#include "dialects/Pipe/Pipe.h"

namespace hadal {

/// Instructions are known by their number in the program's list. Places on a stream count from 1;
/// the transfers of a batch start and end together and share one.
class StreamClocks {
public:
  explicit StreamClocks(pipe::ProgramOp program);

  unsigned streams() const { return streamCount; }
  size_t size() const { return instructions.size(); }
  unsigned streamOf(size_t instruction) const { return instructions[instruction].stream; }
  int32_t placeOf(size_t instruction) const { return instructions[instruction].place; }
  /// For each stream, up to which place everything has ended when the instruction starts.
  llvm::ArrayRef<int32_t> before(size_t instruction) const {
    return llvm::ArrayRef(clocks).slice(instruction * streamCount, streamCount);
  }
  /// The last instruction of `stream` that may start before all of `ends` (by stream: a place) has
  /// ended; -1: none.
  int64_t lastBeside(unsigned stream, llvm::ArrayRef<int32_t> ends) const;

private:
  struct Instruction {
    unsigned stream;
    int32_t place;
  };
  unsigned streamCount;
  llvm::SmallVector<Instruction> instructions;
  std::vector<int32_t> clocks;                          ///< by instruction, then stream
  llvm::SmallVector<llvm::SmallVector<uint32_t>> lists; ///< by stream: its instructions
};

} // namespace hadal

#endif // HADAL_PASSES_MEMORY_STREAMCLOCKS_H
