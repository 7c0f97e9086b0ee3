// SPDX-License-Identifier: Apache-2.0
//
// The programs of a training step's gradients and of an evaluation, one a pipeline rank.

#ifndef HADAL_PASSES_SCHEDULE_EXPANDGRADIENTS_H
#define HADAL_PASSES_SCHEDULE_EXPANDGRADIENTS_H

#include "passes/Schedule/PairCosts.h"
#include "passes/Schedule/ProgramBuilder.h"

namespace hadal::pipe {

/// What an expansion made, for statistics.
struct Expanded {
  int64_t programs = 0, launches = 0, copies = 0, events = 0;
  void add(ProgramBuilder &builder) {
    ++programs;
    launches += builder.launches;
    copies += builder.copies;
    events += builder.events();
  }
};

/// What all programs of a module share.
struct Expansion {
  Components &components;
  const RankLayout &layout;
  Rates rates;
  Expanded made;
};

/// Each rank's chunks and transfers in the order that the schedule has.
llvm::LogicalResult expandGradients(Expansion &expansion, ScheduleOp schedule,
                                    mlir::func::FuncOp source, const Stages &stages,
                                    const HolderTable &holders);

/// One micro-batch through the stages of direction 0; on one rank all of the program.
llvm::LogicalResult expandForward(Expansion &expansion, mlir::func::FuncOp source,
                                  llvm::StringRef name, PhaseKind phase, const Stages &stages,
                                  int64_t ranks);

/// The optimizer's part: each rank what it holds, in shards where others hold it too.
llvm::LogicalResult expandUpdate(Expansion &expansion, mlir::func::FuncOp source,
                                 const HolderTable &holders);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_EXPANDGRADIENTS_H
