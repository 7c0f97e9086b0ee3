// SPDX-License-Identifier: Apache-2.0
//
// The paced device: kernels sleep for the time that the cost model gives them, and so do transfers,
// exchanges and sums, after they were done; streams, events, transport and memory are the real
// ones. So schedules can be compared on a machine with fewer cores than ranks. What is computed
// means nothing.

#ifndef HADAL_RUNTIME_TRAIN_PACED_H
#define HADAL_RUNTIME_TRAIN_PACED_H

#include "runtime/simulate/Program.h"
#include "runtime/train/TrainingStep.h"

#include <cstdint>

namespace hadal::rt {

/// Puts the programs of a rank of pipeline rank `role` at the pace of the simulated step. What
/// really is communicated comes on top of the modelled time (exchanges carry no rows, since none
/// are routed), so costs should be large against it.
void setPace(TrainingStep &training, const ProgramRun &simulated, std::uint32_t role);

} // namespace hadal::rt

#endif
