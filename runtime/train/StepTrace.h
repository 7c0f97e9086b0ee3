// SPDX-License-Identifier: Apache-2.0
//
// What all ranks did when in a training step, brought together at rank 0: a trace for Perfetto, and
// a profile of measured times that the simulator reads as costs.

#ifndef HADAL_RUNTIME_TRAIN_STEPTRACE_H
#define HADAL_RUNTIME_TRAIN_STEPTRACE_H

#include "runtime/simulate/Program.h"
#include "runtime/train/TrainingStep.h"

#include <string>
#include <vector>

namespace hadal::rt {

/// An instruction of a step; nanoseconds of the steady clock, once gathered that of rank 0's
/// machine.
struct StepSpan {
  std::uint32_t program, stream, instruction, unused; ///< program: 0 gradients, 1 update
  std::int64_t start, end;
};
/// By rank, each in the order of streams and time.
using StepSpans = std::vector<std::vector<StepSpan>>;

/// Switches on that steps keep their spans.
void keepSpans(TrainingStep &training);
/// All ranks call it after a step that kept its spans; rank 0 gets those of all ranks, the others
/// nothing.
StepSpans gatherSpans(const RankLinks &links, const TrainingStep &training);

/// The instruction that a span is of.
const bundle::Instruction &instructionOf(const bundle::Bundle &table, std::uint32_t role,
                                         const StepSpan &span);
/// Transfers of the batch that begins at instruction `index`.
std::vector<const bundle::Instruction *> transfersOf(const bundle::Program &program,
                                                     std::uint32_t index);
/// The programs of a training step of pipeline rank `role`: gradients, update.
const bundle::Program &programOf(const bundle::Bundle &table, std::uint32_t role,
                                 std::uint32_t number);

/// Writes a trace with one track per rank and stream and arrows from send to receive; `predicted`
/// (may be null) stands beside it. Throws InputError when the file cannot be written.
void writeStepTrace(const std::string &path, const bundle::Bundle &table, const StepSpans &spans,
                    const ProgramRun *predicted);

} // namespace hadal::rt

#endif
