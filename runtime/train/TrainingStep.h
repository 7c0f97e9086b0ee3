// SPDX-License-Identifier: Apache-2.0
//
// One optimizer step: program "gradients", losses and counts brought together at rank 0, program
// "update". On several ranks all of them call the same functions.

#ifndef HADAL_RUNTIME_TRAIN_TRAININGSTEP_H
#define HADAL_RUNTIME_TRAIN_TRAININGSTEP_H

#include "runtime/program/Executor.h"
#include "runtime/program/Layout.h"
#include "runtime/trace/Metrics.h"
#include "runtime/train/Outputs.h"

#include <functional>

namespace hadal::rt {

/// The losses of a step's or a batch's micro-batches, reduced as DeepSeek-V3's report adds them:
/// loss = main + balance + MTP weight / depths * sum of the MTP losses; each a mean over
/// micro-batches and replicas.
struct Losses {
  double total = 0, main = 0, balance = 0;
  std::vector<double> mtp; // by depth

  /// Adds one micro-batch of one replica: "main_loss", "mtp_loss.DEPTH" and "balance_loss.LAYER",
  /// each with `suffix` behind.
  void add(const Outputs &outputs, const std::string &suffix = {});
  void finish(std::int64_t microBatches, double mtpWeight);
};

/// Counts per MoE layer in layer order, from the outputs "counts.LAYER".
std::vector<std::pair<std::string, std::vector<std::int64_t>>> readCounts(const Outputs &outputs);

class TrainingStep {
public:
  TrainingStep(Store &store, ThreadPool &pool, const RankLinks &links = {});

  /// Where this rank's ids of one step go before run(), micro_batches x sequences rows of T + 1;
  /// null where it needs none.
  std::int32_t *tokens();
  /// Fills them: read(row, out) gives row `row` of the step's.
  void readTokens(const std::function<void(std::int64_t row, std::int32_t *out)> &read);

  /// Forward, backward and gradients of step `step` (counted from 1), no update. The losses are
  /// those of all ranks, at rank 0; elsewhere only the total is known. `metrics`: counts go there.
  Losses computeGradients(std::int64_t step, StepMetrics *metrics = nullptr);
  /// computeGradients, then the update. Throws RunError, before the update where it can, when a
  /// loss or the gradient norm is not finite, naming the step and the tensor.
  StepMetrics run(std::int64_t step);
  /// Throws RunError that names the first tensor of all ranks, where `value`, which all ranks have
  /// alike, is not finite.
  void requireFinite(std::int64_t step, const std::string &what, double value);

  /// Calls `pace` instead of kernels (see Executor). Nothing is computed then: no value is looked
  /// at.
  void setPace(const Executor::Pace &pace);

  double flops() const { return gradients.flops() + update.flops(); }
  Executor gradients, update;

private:
  Store &store;
  const Bundle &bundle;
  const RankLinks links;
  const Layout layout;
  OutputGather outputs;
  bool paced = false;
};

/// Sets what depends on a rank's place.
void setPlaceScalars(Executor &program, const Layout &layout);
/// Rank 0's value, on all ranks.
double broadcastDouble(const RankLinks &links, double value);

} // namespace hadal::rt

#endif
