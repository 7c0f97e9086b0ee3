// SPDX-License-Identifier: Apache-2.0
//
// Training on one rank: data, steps, metrics, validation, checkpoints, signals.

#ifndef HADAL_RUNTIME_TRAIN_TRAINER_H
#define HADAL_RUNTIME_TRAIN_TRAINER_H

#include <cstdint>
#include <string>

namespace hadal::rt {

struct TrainOptions {
  std::string bundle, data, checkpoint;
  std::int64_t steps = 0; // the step to stop at, counted from the start of training
  bool resume = false;    // go on from the newest checkpoint
  std::string weights;    // initial weights; empty: from the seed
  std::string validation; // file; empty: what the data hold out
  double validationFraction = 0.05;
  std::int64_t validationEvery = 100, checkpointEvery = 500;
  std::int64_t keep = 0; // checkpoints to keep; 0: all
  std::string metrics;   // JSONL file; empty: none
  int threads = 1;
  std::string resumeCommand; // printed when a signal stops the run
};

/// Trains; messages and progress go to stderr. Throws InputError (refused) or RunError (failed). A
/// SIGINT or SIGTERM finishes the step, saves and returns.
void train(const TrainOptions &options);

} // namespace hadal::rt

#endif
