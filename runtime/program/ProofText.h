// SPDX-License-Identifier: Apache-2.0
//
// What was proved of a bundle, and the memory its ranks need, as tables for a terminal.

#ifndef HADAL_RUNTIME_PROGRAM_PROOFTEXT_H
#define HADAL_RUNTIME_PROGRAM_PROOFTEXT_H

#include "runtime/program/Validate.h"

#include <ostream>

namespace hadal::rt {

void printProof(const Validation &validation, std::ostream &out);

/// A line for each pipeline rank with what training needs (else all its programs) under balanced
/// routing, and one for the worst case where it is another. Nothing for a bundle without programs.
void printMemory(const bundle::Bundle &table, std::ostream &out);

} // namespace hadal::rt

#endif
