// SPDX-License-Identifier: Apache-2.0
//
// hadal-run inspect --memory: which buffers are alive when most memory is in use.

#ifndef HADAL_RUNTIME_PROGRAM_MEMORYLISTING_H
#define HADAL_RUNTIME_PROGRAM_MEMORYLISTING_H

#include "runtime/program/bundle_generated.h"

#include <ostream>

namespace hadal::rt {

/// For each pipeline rank: the instruction of its program of the gradients (of its first program,
/// where it has none) at which its buffers take most in list order, under balanced routing, and
/// what is alive there, the largest first, by the operand of the component that first has it.
void listMemory(const bundle::Bundle &table, std::ostream &out);

} // namespace hadal::rt

#endif
