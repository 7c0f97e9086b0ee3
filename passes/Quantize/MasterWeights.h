// SPDX-License-Identifier: Apache-2.0
//
// Weights that products read in less than f32 have masters, which the optimizer updates.

#ifndef HADAL_PASSES_QUANTIZE_MASTERWEIGHTS_H
#define HADAL_PASSES_QUANTIZE_MASTERWEIGHTS_H

#include "dialects/Pipe/Pipe.h"

namespace hadal {

/// Suffix of a master's storage, which is one of the optimizer's.
constexpr llvm::StringLiteral kMaster = "#master";

/// Has the optimizer's launches of all programs update masters; returns how many there are. What a
/// rank updates of a weight (its shard, or all of it) is what it has a master of.
int64_t addMasterWeights(mlir::ModuleOp module);

/// Whether the instruction is the copy of a master into its weight.
bool isFromMaster(mlir::Operation *instruction);

} // namespace hadal

#endif // HADAL_PASSES_QUANTIZE_MASTERWEIGHTS_H
