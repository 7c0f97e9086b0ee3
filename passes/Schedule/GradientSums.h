// SPDX-License-Identifier: Apache-2.0
//
// The sums at the end of a training step's gradients.

#ifndef HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H
#define HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H

#include "passes/Schedule/ProgramBuilder.h"

namespace hadal::pipe {

/// Adds the accumulators of the second half to those of the first, then the second accumulators of
/// a parameter
/// (`NAME#mtp`) to its first: DESIGN N1 and N5. Each sum is a launch of a component
/// `accumulate_SHAPE`, made here.
llvm::LogicalResult addGradientSums(mlir::ModuleOp module, ProgramBuilder &builder);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_GRADIENTSUMS_H
