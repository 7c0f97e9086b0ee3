// SPDX-License-Identifier: Apache-2.0
//
// Events between the streams of a program: a wait where an instruction needs what another stream
// makes, or writes what another stream reads; nowhere else, and no event twice.

#ifndef HADAL_PASSES_SCHEDULE_STREAMORDER_H
#define HADAL_PASSES_SCHEDULE_STREAMORDER_H

#include "dialects/Pipe/Pipe.h"

#include <array>

namespace hadal::pipe {

class StreamOrder {
public:
  static constexpr unsigned kMost = 4; ///< streams

  /// `instructions` appends to the program.
  StreamOrder(mlir::OpBuilder &instructions, unsigned streams)
      : instructions(instructions), count(streams), done(streams), known(streams) {}

  /// Puts the waits before the next instruction (or batch of transfers) of `stream`.
  void before(unsigned stream, mlir::ValueRange reads, mlir::ValueRange writes);
  /// Notes that instruction; `last`: the op that a record may stand behind.
  void after(unsigned stream, mlir::Operation *last, mlir::ValueRange reads,
             mlir::ValueRange writes);
  /// Whether all that used the buffer so far has ended before the next instruction of `stream`.
  bool settled(unsigned stream, mlir::Value buffer) const;

  int64_t events = 0, waits = 0;

private:
  /// By stream: how many of its instructions.
  using Stamp = std::array<int64_t, kMost>;
  struct Done {
    mlir::Operation *op;
    Stamp known; ///< what of other streams had ended when it began
    int64_t event = -1;
  };
  struct Access {
    unsigned writer = 0;
    int64_t written = 0;
    Stamp read{};
  };

  void need(Stamp &needed, mlir::ValueRange buffers, bool write) const;
  void wait(unsigned stream, unsigned other, int64_t position);

  mlir::OpBuilder &instructions;
  unsigned count;
  std::vector<std::vector<Done>> done; ///< by stream
  std::vector<Stamp> known;            ///< by stream, of its next instruction
  llvm::DenseMap<mlir::Value, Access> accesses;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_STREAMORDER_H
