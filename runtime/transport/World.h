// SPDX-License-Identifier: Apache-2.0
//
// A run over all ranks, from the launch to the exit code: transport, control plane, threads of
// local ranks, reports, the end of the process.

#ifndef HADAL_RUNTIME_TRANSPORT_WORLD_H
#define HADAL_RUNTIME_TRANSPORT_WORLD_H

#include "runtime/transport/ControlPlane.h"
#include "runtime/transport/Launch.h"
#include "runtime/transport/Transport.h"

#include <functional>

namespace hadal::rt {

/// What a rank runs with.
struct RankContext {
  int rank, size;
  Transport &transport;
  ControlPlane &control;
  Watch &watch;           // control's
  RankProgress &progress; // control's; stream 0 is the calling thread's
  int threads;            // for kernels
  const Launch &launch;
};

struct WorldOptions {
  /// The body looks at stopSignal() and ends by itself; else SIGINT and SIGTERM end the process.
  bool bodyStops = false;
  /// Kernel threads per rank; 0: threadsPerRank.
  int threads = 0;
  ControlOptions control = ControlOptions::fromEnvironment();
};

/// Brings the ranks together, has them agree on `identity` (the world's size is added), calls
/// `body` once per rank (local ranks: each on a thread of its own, several at a time), and returns
/// the exit code of the process: 0; 2 when a rank threw InputError or ranks disagree; 1 after any
/// other failure. Messages are written to stderr here. A failed rank of several processes, or one
/// with a thread that hangs, does not return: the process ends with that code.
int runWorld(const Launch &launch, const Identity &identity,
             const std::function<void(RankContext &)> &body, const WorldOptions &options = {});

/// SIGINT or SIGTERM once it was caught within runWorld with `bodyStops`; else 0.
int stopSignal();

} // namespace hadal::rt

#endif
