// SPDX-License-Identifier: Apache-2.0
//
// The sums at the end of a training step's gradients.

#ifndef HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H
#define HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H

#include "passes/Schedule/ProgramBuilder.h"

namespace hadal::pipe {

/// Gradients that only this rank holds: adds the accumulators of the second half of micro-batches
/// to those of the first, then the second accumulators of a parameter (`NAME#mtp`) to its first:
/// DESIGN N1 and N5. Each sum is a launch of a component `accumulate_SHAPE`, made here. Those that
/// several hold: one pipe.reduce_scatter each, into the rank's shard; what was parked of their
/// first halves is added there. Counts: summed over all that hold the layer's router (N9).
llvm::LogicalResult addGradientSums(Components &components, const HolderTable &holders,
                                    int64_t rank, const RankLayout &layout,
                                    ProgramBuilder &builder);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H
