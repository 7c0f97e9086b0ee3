// SPDX-License-Identifier: Apache-2.0
//
// The control plane of ranks that are processes: TCP connections of all ranks with rank 0, the hub,
// served by a thread of each process.

#ifndef HADAL_RUNTIME_TRANSPORT_SOCKETCONTROL_H
#define HADAL_RUNTIME_TRANSPORT_SOCKETCONTROL_H

#include "runtime/transport/ControlPlane.h"

#include <memory>

namespace hadal::rt {

/// Rank 0's. `oneMachine`: listen on the loopback only. `address` is then for the other ranks.
/// Throws RunError when it cannot listen.
std::unique_ptr<ControlPlane> openHub(int size, bool oneMachine, const ControlOptions &options,
                                      std::string &address);
/// Another rank's: connects to the hub. Throws RunError when that fails.
std::unique_ptr<ControlPlane> joinHub(int rank, int size, const std::string &address,
                                      const ControlOptions &options);

} // namespace hadal::rt

#endif
