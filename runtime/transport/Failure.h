// SPDX-License-Identifier: Apache-2.0
//
// How a run failed, as one rank tells another.

#ifndef HADAL_RUNTIME_TRANSPORT_FAILURE_H
#define HADAL_RUNTIME_TRANSPORT_FAILURE_H

#include "runtime/transport/RankProgress.h"

#include <string>

namespace hadal::rt {

/// An operating system's process, so that one that was stopped can be ended by a neighbour.
struct ProcessId {
  std::string machine; // empty: unknown
  int pid = 0;
  std::string started; // tells it from a later process of that number

  static ProcessId own();
  /// Kills it, if it runs on this machine still.
  void kill() const;
};

struct Failure {
  /// Failed: `rank` said so itself. Refused: an input, by `rank` or (rank -1) by all together.
  enum class Kind { Failed, Refused, Died, Silent, Stuck, Deadlock } kind = Kind::Failed;
  int rank = -1; // whose
  std::string what;
  /// What that rank did last, and how many seconds before; negative: never heard of, or of no use.
  RankSnapshot last;
  double before = -1;
  ProcessId process; // of that rank

  int exitCode() const { return kind == Kind::Refused ? 2 : 1; }
  /// The report of rank `reporter` of `ranks`, which does `own`. One line.
  std::string report(int reporter, int ranks, const RankSnapshot &own) const;

  std::string encode() const;
  /// Throws RunError on bytes that are none.
  static Failure decode(const std::string &bytes);
};

} // namespace hadal::rt

#endif
