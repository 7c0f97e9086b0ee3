// SPDX-License-Identifier: Apache-2.0
//
// Comparison of what ranks must have alike.

#ifndef HADAL_RUNTIME_TRANSPORT_AGREEMENT_H
#define HADAL_RUNTIME_TRANSPORT_AGREEMENT_H

#include "runtime/transport/ControlPlane.h"

namespace hadal::rt {

/// Empty when all ranks gave the same; else what differs first, both values, and who gave which:
/// "ranks differ in bundle checksum: 12ab (ranks 0, 1, 3), 77ff (rank 2)".
std::string difference(const std::vector<Identity> &byRank);

} // namespace hadal::rt

#endif
