// SPDX-License-Identifier: Apache-2.0
//
// Where the time of a step went, on every rank: a table from what the streams did when.

#ifndef HADAL_RUNTIME_TRAIN_PROFILE_H
#define HADAL_RUNTIME_TRAIN_PROFILE_H

#include "runtime/train/Ranks.h"
#include "runtime/train/TrainingStep.h"

#include <string>
#include <vector>

namespace hadal::rt {

/// Seconds of one rank's step. busy: the compute stream works. What is left of `total` is waiting:
/// exposed communication where an exchange or collective of the rank goes on meanwhile, else bubble
/// (waiting for other pipeline ranks, their transfers included).
struct RankTimes {
  double total = 0, busy = 0, exposed = 0;

  double waiting() const { return total - busy; }
  double bubble() const { return waiting() - exposed; }
};

/// Bytes of one rank: the most that the runtime has had, the most that the bundle foretells for the
/// rows that came, and what it foretells for the worst case.
struct RankMemory {
  std::uint64_t peak = 0, foretold = 0, worst = 0;
};

/// Adds the last run of a program.
void addTimes(const Executor &program, RankTimes &times);

class Profile {
public:
  /// Does nothing unless `on`. `evaluates`: the rank keeps program evaluate, too.
  Profile(Rank &rank, TrainingStep &training, bool on, bool evaluates);
  /// All ranks call it after a step. The table at rank 0, else "".
  std::string step(const StepMetrics &metrics);

private:
  std::vector<double> expertRows(const StepMetrics &metrics) const;
  void measureMemory();

  Rank &rank;
  TrainingStep &training;
  bool on;
  std::vector<std::string> programs;
  RankMemory memory;
};

} // namespace hadal::rt

#endif
