// SPDX-License-Identifier: Apache-2.0
//
// Proof of a bundle before anything of it runs, over the programs of all ranks:
//
// - each event is recorded once and waited for behind that;
// - forward parts end before their backward parts start, those before their weight gradients (which
//   may come first in a chunk where they take nothing from them), and every micro-batch has the
//   same parts;
// - sends meet receives of the same size, and collectives meet in one order on all their members;
// - no stream waits for ever, even where a send waits for its receive;
// - nothing is read before it is written, reused while somebody may use it, or used by two streams
//   that no event orders; buffers of counted rows are used between allocate and free only;
// - with every chunk of one unit (B of two), the largest bubble is not above the schedule's closed
//   form.
//
// No LLVM and no other part of the runtime: the compiler proves what it writes, too.

#ifndef HADAL_RUNTIME_PROGRAM_VALIDATE_H
#define HADAL_RUNTIME_PROGRAM_VALIDATE_H

#include "runtime/program/bundle_generated.h"

#include <optional>
#include <string>
#include <vector>

namespace hadal::rt {

struct BubbleProof {
  double measured = 0; ///< the largest over ranks, in units of a forward chunk
  double formula = 0;
  std::string text;      ///< the formula
  std::string condition; ///< empty, or what the formula takes and this size has not
};

/// What was proved of the programs of one name.
struct ProgramProof {
  std::string name;
  std::uint32_t ranks = 0;
  /// Over all ranks.
  std::uint64_t instructions = 0, uses = 0, phases = 0, transfers = 0, collectives = 0;
  std::optional<BubbleProof> bubble;
};

struct Validation {
  std::string error; ///< empty: all is proved
  std::vector<ProgramProof> programs;
};

/// Checks the table (verifyTable), then proves the above. Does not throw.
Validation validate(const bundle::Bundle &table);

} // namespace hadal::rt

#endif
