// SPDX-License-Identifier: Apache-2.0
//
// What training carries from step to step: parameters, AdamW moments, data position. Made anew,
// taken from a checkpoint, put into one.

#ifndef HADAL_RUNTIME_TRAIN_TRAININGSTATE_H
#define HADAL_RUNTIME_TRAIN_TRAININGSTATE_H

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/program/Parameters.h"

#include <string>

namespace hadal::rt {

/// Fills all parameters with initial values from the plan's seed.
void initializeParameters(Store &store, ThreadPool &pool);

/// What a checkpoint after `step` holds; `rowsUsed` is the data position. Points into the store.
CheckpointContent checkpointContent(Store &store, std::int64_t step, std::int64_t rowsUsed);

/// Takes parameters and moments from a checkpoint. Throws InputError when it belongs to another
/// model or plan, or lacks something.
void restore(Store &store, ThreadPool &pool, const FoundCheckpoint &found);
/// The data position a checkpoint carries.
std::int64_t rowsUsed(const FoundCheckpoint &found);

/// Where the first value is that is NaN or infinite, parameters first, then gradients ("gradient of
/// lm_head.weight: NaN at element 7, 12 of 4096 not finite"); empty when all are finite.
std::string firstNonFinite(Store &store);

} // namespace hadal::rt

#endif
