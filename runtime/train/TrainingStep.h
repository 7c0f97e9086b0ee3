// SPDX-License-Identifier: Apache-2.0
//
// One optimizer step on one rank: program "gradients", losses and counts read back, program
// "update".

#ifndef HADAL_RUNTIME_TRAIN_TRAININGSTEP_H
#define HADAL_RUNTIME_TRAIN_TRAININGSTEP_H

#include "runtime/program/Executor.h"
#include "runtime/trace/Metrics.h"

namespace hadal::rt {

/// The losses of a program's buffers, reduced as DeepSeek-V3's report adds them: loss = main +
/// balance + MTP weight / depths * sum of the MTP losses; each a mean over micro-batches.
struct Losses {
  double total = 0, main = 0, balance = 0;
  std::vector<double> mtp; // by depth

  void computeTotal(double mtpWeight);
};

/// Counts per MoE layer in layer order, from the buffers "counts.LAYER".
std::vector<std::pair<std::string, std::vector<std::int64_t>>> readCounts(const Executor &program);

class TrainingStep {
public:
  TrainingStep(Store &store, ThreadPool &pool);

  /// Rows x (T + 1) ids of one step go here before run().
  std::int32_t *tokens() { return gradients.view("tokens").as<std::int32_t>(); }

  /// Forward, backward and gradients of step `step` (counted from 1), no update.
  Losses computeGradients(std::int64_t step);
  /// computeGradients, then the update. Throws RunError, before the update where it can, when a
  /// loss or the gradient norm is not finite, naming the step and the tensor.
  StepMetrics run(std::int64_t step);

  double flops() const { return gradients.flops() + update.flops(); }
  Executor gradients, update;

private:
  void requireFinite(std::int64_t step, const std::string &what, double value);

  Store &store;
  const Bundle &bundle;
};

} // namespace hadal::rt

#endif
