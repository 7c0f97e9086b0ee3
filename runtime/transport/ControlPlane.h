// SPDX-License-Identifier: Apache-2.0
//
// The ranks' second network, beside the tensors: agreement at the start, heartbeats, failures and
// an orderly end. Its thread works while all others of the rank are stuck.

#ifndef HADAL_RUNTIME_TRANSPORT_CONTROLPLANE_H
#define HADAL_RUNTIME_TRANSPORT_CONTROLPLANE_H

#include "runtime/transport/Failure.h"
#include "runtime/transport/RankProgress.h"
#include "runtime/transport/Watch.h"

#include <atomic>
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
  /// Once a signal asked to stop, these hold: whoever cannot stop is reported while there is time.
  double silentWhenStopping = 1, stuckWhenStopping = 3;
  /// The signal that asked to stop, or 0.
  std::function<int()> signal;
  /// Whether the signal ends the process, by itself, when nothing has failed.
  bool signalEnds = false;
  /// Writes a report; default: stderr, in one piece.
  std::function<void(const std::string &)> report;
  /// Ends the process; default: _exit.
  std::function<void(int)> end;

  /// Defaults, with HADAL_STUCK_SECONDS for machines that are far slower than usual.
  static ControlOptions fromEnvironment();
};

/// One rank's part. All calls but fail() come from the rank's main thread.
class ControlPlane {
public:
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
  /// This rank ends without a word, as if it had been killed.
  virtual void vanish() = 0;
  /// After a failure, before the process ends: what was to be told is told (or time is up).
  virtual void settle() = 0;

  /// Whether a failure was reported here, and the exit code that follows from it.
  bool concluded() const { return code.load() != 0; }
  int exitCode() const { return code.load(); }

protected:
  ControlPlane(int rank, int size, const ControlOptions &options)
      : myRank(rank), ranks(size), options(options) {}
  /// The run has failed: reports it (where `speaks`) and raises the watch. The first call counts,
  /// and returns true.
  bool conclude(const Failure &failure, bool speaks);
  void write(const std::string &report) const;
  void end(int exitCode) const;

  const int myRank, ranks;
  const ControlOptions options;

private:
  std::atomic<int> code{0};
  Watch myWatch;
  RankProgress myProgress;
};

} // namespace hadal::rt

#endif
