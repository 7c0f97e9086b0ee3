// SPDX-License-Identifier: Apache-2.0
//
// What training carries from step to step: parameters, AdamW moments, data position. Made anew,
// taken from a checkpoint, put into one; each rank what its layout says it holds.

#ifndef HADAL_RUNTIME_TRAIN_TRAININGSTATE_H
#define HADAL_RUNTIME_TRAIN_TRAININGSTATE_H

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/program/Parameters.h"

#include <string>

namespace hadal::rt {

/// Fills the rank's parameters with initial values from the plan's seed.
void initializeParameters(Store &store, ThreadPool &pool, const Layout &layout);

/// This rank's share of a checkpoint after `step`; `rowsUsed` is the data position. Points into the
/// store.
CheckpointContent checkpointContent(Store &store, const Layout &layout, std::int64_t step,
                                    std::int64_t rowsUsed);

/// Takes the rank's parameters and moments from a checkpoint, whatever layout wrote it. Throws
/// InputError when it belongs to another model, or to a plan whose numbers mean something else (see
/// comparePlans), or lacks something.
void restore(Store &store, ThreadPool &pool, const Layout &layout, const FoundCheckpoint &found);
/// The data position a checkpoint carries.
std::int64_t rowsUsed(const FoundCheckpoint &found);

/// Whether training may go on from a checkpoint of one plan under another: empty if so, else where
/// they differ ("seed: 1 in the checkpoint, 2 in the bundle"). They may differ in pipeline.ranks,
/// pipeline.schedule, pipeline.overlap, pipeline.stages, data_parallel, expert_parallel, recompute
/// and programs; and in micro_batch.sequences and pipeline.micro_batches as long as a step has as
/// many rows (micro-batches x replicas x sequences). Both texts are plan.json files.
std::string comparePlans(const std::string &checkpoint, const std::string &bundle);

/// Where the first value of this rank is that is NaN or infinite, parameters first, then gradients
/// ("gradient of lm_head.weight: NaN at element 7, 12 of 4096 not finite"); empty when all are
/// finite.
std::string firstNonFinite(Store &store, const Layout &layout);

} // namespace hadal::rt

#endif
