// SPDX-License-Identifier: Apache-2.0
//
// Orders of schedules as JSON: what hadal-compile --schedule-only and hadal-translate
// --export-schedule write.

#ifndef HADAL_PASSES_SCHEDULE_EXPORTORDER_H
#define HADAL_PASSES_SCHEDULE_EXPORTORDER_H

#include "mlir/IR/BuiltinOps.h"

namespace hadal::pipe {

/// Writes `{"schedule", "ranks", "micro_batches", "order"}`: for each rank the list of its chunks
/// and transfers, in the notation of pipe.schedule. Fails after one line on stderr for an algorithm
/// or a size that there is no order for.
llvm::LogicalResult exportOrder(llvm::StringRef algorithm, int64_t ranks, int64_t microBatches,
                                llvm::raw_ostream &os);

/// The same for a module at any stage: the order of its pipe.schedule where it has one, else that
/// of the schedule its plan names. Fails after a diagnostic for a module with neither.
llvm::LogicalResult exportOrder(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_EXPORTORDER_H
