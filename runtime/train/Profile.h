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

/// Adds the last run of a program.
void addTimes(const Executor &program, RankTimes &times);

class Profile {
public:
  /// Does nothing unless `on`.
  Profile(Rank &rank, TrainingStep &training, bool on);
  /// All ranks call it after a step. The table at rank 0, else "".
  std::string step(const StepMetrics &metrics) const;

private:
  std::vector<double> expertRows(const StepMetrics &metrics) const;

  Rank &rank;
  TrainingStep &training;
  bool on;
};

} // namespace hadal::rt

#endif
