// SPDX-License-Identifier: Apache-2.0
//
// The ranks' second network, beside the tensors: agreement at the start, heartbeats, failures and
// an orderly end. Its thread works while all others of the rank are stuck.

#ifndef HADAL_RUNTIME_TRANSPORT_CONTROLPLANE_H
#define HADAL_RUNTIME_TRANSPORT_CONTROLPLANE_H

#include "runtime/transport/RankProgress.h"
#include "runtime/transport/Watch.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace hadal::rt {

/// What all ranks must have alike: names and values ("bundle checksum", "step to start at").
using Identity = std::vector<std::pair<std::string, std::string>>;

/// How patient a control plane is, in seconds, and what it does at the end.
struct ControlOptions {
  double heartbeat = 0.25;
  double silent = 4;     // no heartbeat
  double stuck = 6;      // computes without getting anything done
  double deadlock = 6.5; // all wait without getting anything done
  double connect = 8;    // until all ranks are there
  double grace = 1.5;    // from a report until the process ends, whatever its threads do
  double suspicious = 1; // no heartbeat for so long: a signal to stop is answered by a report
  /// Writes a report; default: stderr, in one piece.
  std::function<void(const std::string &)> report;
  /// Ends the process; default: _exit.
  std::function<void(int)> end;
};

/// One rank's part. All calls but fail() come from the rank's main thread.
class ControlPlane {
public:
  ControlPlane(int rank, int size) : myRank(rank), ranks(size) {}
  virtual ~ControlPlane() = default;
  ControlPlane(const ControlPlane &) = delete;
  ControlPlane &operator=(const ControlPlane &) = delete;

  int rank() const { return myRank; }
  int size() const { return ranks; }
  Watch &watch() { return myWatch; }
  RankProgress &progress() { return myProgress; }

  /// All ranks call it, with the same names in the same order, and it returns when all have given
  /// the same values. Else every rank ends with exit code 2, and one message names the ranks, what
  /// differs and both values: throws PeerError.
  virtual void agree(const Identity &identity) = 0;
  /// This rank failed by itself: reports it, tells the others, raises the watch. Any thread. Exit
  /// code 2 (an input was refused) is reported once for all ranks.
  virtual void fail(int exitCode, const std::string &message) = 0;
  /// This rank is done; returns when all are. Throws PeerError when one fails meanwhile.
  virtual void finish() = 0;
  /// A signal asked to stop: where a peer is silent, that is reported at once. Any thread.
  virtual void stopRequested(int signal) = 0;

protected:
  int myRank, ranks;
  Watch myWatch;
  RankProgress myProgress;
};

} // namespace hadal::rt

#endif
