// SPDX-License-Identifier: Apache-2.0
//
// Finds the rank that is silent or stuck, and ranks that wait for each other, from what all of them
// told and when. No clock, no threads: `now` is in seconds of the caller's choice.

#ifndef HADAL_RUNTIME_TRANSPORT_JUDGE_H
#define HADAL_RUNTIME_TRANSPORT_JUDGE_H

#include "runtime/transport/ControlPlane.h"

#include <optional>
#include <vector>

namespace hadal::rt {

class Judge {
public:
  Judge(int ranks, const ControlOptions &options)
      : options(options), seen(static_cast<std::size_t>(ranks)) {}

  /// A heartbeat of a rank came.
  void heard(int rank, RankSnapshot snapshot, double now);
  /// A rank said goodbye. It still has to give signs of life.
  void finished(int rank) { at(rank).done = true; }
  bool allFinished() const;
  /// A signal asked to stop: less patience from now on.
  void hurry() { hurried = true; }

  /// The failure that shows, if any. To be called several times a second; a pause of more (this
  /// process was stopped itself) is taken off everyone's account.
  std::optional<Failure> verdict(double now);
  /// The same for silence alone.
  std::optional<Failure> silent(double now);
  /// A failure of `rank` with what is known of it.
  Failure failureOf(int rank, Failure::Kind kind, std::string what, double now) const;

private:
  struct Seen {
    bool ever = false, done = false;
    double heard = 0, changed = 0;
    RankSnapshot last;
    std::vector<double> streamChanged;
  };
  Seen &at(int rank) { return seen[std::size_t(rank)]; }
  const Seen &at(int rank) const { return seen[std::size_t(rank)]; }
  void forgivePause(double now);
  std::optional<Failure> silence(double now) const;
  std::optional<Failure> stuck(double now) const;
  std::optional<Failure> stuckStream(double now) const;
  std::optional<Failure> deadlock(double now) const;
  std::string circle() const;

  const ControlOptions options;
  std::vector<Seen> seen;
  bool hurried = false;
  double lastVerdict = -1;
};

} // namespace hadal::rt

#endif
