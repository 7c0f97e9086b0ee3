// SPDX-License-Identifier: Apache-2.0
//
// What a bundle is, told before any launch.

#ifndef HADAL_RUNTIME_PROGRAM_INSPECT_H
#define HADAL_RUNTIME_PROGRAM_INSPECT_H

#include "runtime/program/Bundle.h"

#include <ostream>

namespace hadal::rt {

/// Parameters, FLOP a token, peak bytes of each program by use, every named choice, every tensor as
/// a checkpoint holds it.
void inspect(const Bundle &bundle, std::ostream &out);

/// The instructions of every program, one a line.
void inspectSchedule(const Bundle &bundle, std::ostream &out);

/// Bytes a program needs resident at once, by use.
struct ProgramBytes {
  std::uint64_t weights = 0, gradients = 0, optimizer = 0, state = 0, activations = 0, stash = 0,
                communication = 0, scratch = 0, total = 0;
};
/// `threads`: each has its scratch.
ProgramBytes programBytes(const Bundle &bundle, const bundle::Program &program, int threads);

/// Floating-point operations of one run of a program.
double programFlops(const Bundle &bundle, const bundle::Program &program);

} // namespace hadal::rt

#endif
