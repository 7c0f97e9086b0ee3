// SPDX-License-Identifier: Apache-2.0
//
// What the passes of the algorithms do, all alike.

#ifndef HADAL_PASSES_SCHEDULE_SCHEDULEPASS_H
#define HADAL_PASSES_SCHEDULE_SCHEDULEPASS_H

#include "dialects/Pipe/Pipe.h"

#include "mlir/IR/BuiltinOps.h"

namespace hadal {

/// Orders and proves the schedules of one algorithm. Adds to the statistics.
llvm::LogicalResult expandSchedules(mlir::ModuleOp module, llvm::StringRef algorithm,
                                    int64_t &chunks, int64_t &peak);

/// The pass of one algorithm; the end of its flag names it.
template <typename Base> struct SchedulePass : Base {
  void runOnOperation() override {
    llvm::StringRef algorithm = this->getArgument();
    algorithm.consume_front("pipe-schedule-");
    int64_t found = 0, most = 0;
    if (mlir::failed(expandSchedules(this->getOperation(), algorithm, found, most)))
      return this->signalPassFailure();
    this->chunks += found;
    this->peak.updateMax(most);
  }
};

} // namespace hadal

#endif // HADAL_PASSES_SCHEDULE_SCHEDULEPASS_H
