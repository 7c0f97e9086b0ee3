// SPDX-License-Identifier: Apache-2.0
//
// The part of verifyTable (Bundle.h) that is about one program.

#ifndef HADAL_RUNTIME_PROGRAM_VERIFYPROGRAM_H
#define HADAL_RUNTIME_PROGRAM_VERIFYPROGRAM_H

#include "runtime/program/bundle_generated.h"

#include <string>

namespace hadal::rt {

/// Checks buffers and instructions of a program whose components, groups and storages are sound.
/// Throws InputError naming `file` and the place.
void verifyProgram(const bundle::Bundle &table, const bundle::Program &program,
                   const std::string &file);

/// The number of ranks that take part in a group's collectives; its pipeline ranks are sound.
std::int64_t holdersOf(const bundle::Bundle &table, const bundle::Group &group);

} // namespace hadal::rt

#endif
