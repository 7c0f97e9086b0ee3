// SPDX-License-Identifier: Apache-2.0
//
// Orders of schedules as JSON: what hadal-compile --schedule-only writes.

#ifndef HADAL_PASSES_SCHEDULE_EXPORTORDER_H
#define HADAL_PASSES_SCHEDULE_EXPORTORDER_H

#include "mlir/Support/LLVM.h"

namespace hadal::pipe {

/// Writes `{"schedule", "ranks", "micro_batches", "order"}`: for each rank the list of its chunks
/// and transfers, in the notation of pipe.schedule. Fails after one line on stderr for an algorithm
/// or a size that there is no order for.
llvm::LogicalResult exportOrder(llvm::StringRef algorithm, int64_t ranks, int64_t microBatches,
                                llvm::raw_ostream &os);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_EXPORTORDER_H
