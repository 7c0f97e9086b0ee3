// SPDX-License-Identifier: Apache-2.0
//
// Training: data, steps, metrics, validation, checkpoints, signals, on one rank or many.

#ifndef HADAL_RUNTIME_TRAIN_TRAINER_H
#define HADAL_RUNTIME_TRAIN_TRAINER_H

#include "runtime/transport/Launch.h"

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
  std::int64_t keep = 0;     // checkpoints to keep; 0: all
  std::string metrics;       // JSONL file; empty: none
  int threads = 0;           // of a rank; 0: its share of the cores
  bool profile = false;      // a table of where the time went after every step
  std::string trace;         // file for a trace of the last step; empty: none
  std::string costs;         // costs for the simulator: the trace's predicted set, the paced device
  bool paced = false;        // kernels sleep; no validation, no checkpoints
  std::string resumeCommand; // printed when a signal stops the run
  Launch launch;
};

/// Trains; messages and progress go to stderr. Returns the exit code, 0, 1 (failed) or 2 (refused);
/// may throw InputError before ranks start. A SIGINT or SIGTERM finishes the step, saves and
/// returns 0.
int train(const TrainOptions &options);

} // namespace hadal::rt

#endif
