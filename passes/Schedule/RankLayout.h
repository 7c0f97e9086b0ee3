// SPDX-License-Identifier: Apache-2.0
//
// Which stage, direction and micro-batch a rank works on: the numbering of DESIGN 5 and 8.

#ifndef HADAL_PASSES_SCHEDULE_RANKLAYOUT_H
#define HADAL_PASSES_SCHEDULE_RANKLAYOUT_H

#include "dialects/Pipe/Pipe.h"

namespace hadal::pipe {

struct RankLayout {
  std::string algorithm = "1f1b", overlap = "none";
  int64_t ranks = 1, microBatches = 1, dataParallel = 1, expertParallel = 1;

  /// That of the module's schedule; without one, that of its plan; without a plan, one rank.
  static llvm::FailureOr<RankLayout> of(mlir::ModuleOp module);
  static RankLayout of(ScheduleOp schedule);

  bool mirrored() const { return algorithm == "dualpipe"; }
  bool folded() const { return algorithm == "dualpipev"; }
  /// One rank does everything: no collectives, no transfers.
  bool alone() const { return ranks * dataParallel == 1; }

  int64_t stages() const { return folded() ? 2 * ranks : ranks; }
  int64_t directions() const { return mirrored() || folded() ? 2 : 1; }
  /// Micro-batches of one direction.
  int64_t chunks() const { return mirrored() ? microBatches / 2 : microBatches; }
  int64_t stageOf(int64_t rank, int64_t direction) const;
  /// The rank that runs `stage` for the micro-batches of a half.
  int64_t rankOf(int64_t stage, int64_t half) const;
  int64_t microBatchOf(int64_t direction, int64_t chunk) const {
    return mirrored() ? direction * chunks() + chunk : chunk;
  }
  /// The first ceil(M / 2) micro-batches are half 0 (DESIGN N1).
  int64_t halfOf(int64_t microBatch) const { return microBatch >= (microBatches + 1) / 2; }
  int64_t halves() const { return microBatches > 1 ? 2 : 1; }
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_RANKLAYOUT_H
