// SPDX-License-Identifier: Apache-2.0
//
// What the ranks do that MpiTest.cpp starts with mpirun: its own binary, started with the name of a
// part in HADAL_TEST_PART.

#ifndef HADAL_TEST_UNIT_RUNTIME_MPIRANKS_H
#define HADAL_TEST_UNIT_RUNTIME_MPIRANKS_H

#include <string>

namespace hadal::rt {

/// Plays a part; the exit code.
int playPart(const std::string &part);

} // namespace hadal::rt

#endif
