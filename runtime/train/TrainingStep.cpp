// SPDX-License-Identifier: Apache-2.0
//
// See TrainingStep.h.

#include "runtime/train/TrainingStep.h"

#include "runtime/support/Error.h"
#include "runtime/train/TrainingState.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

namespace hadal::rt {

void Losses::computeTotal(double mtpWeight) {
  double sum = 0;
  for (double loss : mtp)
    sum += loss;
  total = main + balance + (mtp.empty() ? 0 : mtpWeight / double(mtp.size()) * sum);
}

std::vector<std::pair<std::string, std::vector<std::int64_t>>> readCounts(const Executor &program) {
  std::map<std::int64_t, std::vector<std::int64_t>> byLayer;
  for (const auto &[layer, view] : program.viewsWithPrefix("counts."))
    byLayer[std::stoll(layer)].assign(view.as<std::int64_t>(),
                                      view.as<std::int64_t>() + view.elements);
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> counts;
  for (auto &[layer, values] : byLayer)
    counts.emplace_back("model.layers." + std::to_string(layer) + ".mlp", std::move(values));
  return counts;
}

TrainingStep::TrainingStep(Store &store, ThreadPool &pool)
    : gradients(store, pool, "gradients"), update(store, pool, "update"), store(store),
      bundle(store.bundle()) {}

/// The f64 scalars named PREFIX.N.M (N a layer or a depth), as [micro-batch][N].
static std::map<std::int64_t, std::map<std::int64_t, double>>
byMicroBatch(const Executor &program, const std::string &prefix) {
  std::map<std::int64_t, std::map<std::int64_t, double>> values;
  for (const auto &[rest, view] : program.viewsWithPrefix(prefix)) {
    std::size_t dot = rest.find('.');
    if (dot == std::string::npos)
      throw RunError("buffer " + prefix + rest + " is not named by layer and micro-batch");
    values[std::stoll(rest.substr(dot + 1))][std::stoll(rest.substr(0, dot))] = *view.as<double>();
  }
  return values;
}

Losses TrainingStep::computeGradients(std::int64_t step) {
  const bundle::Training &training = bundle.training();
  const double weight = valueAt(bundle.mtpWeightPhases(), step);
  const std::int64_t depths = bundle.model().mtp_depth(), microBatches = training.micro_batches();
  const double share = 1.0 / (double(microBatches) * double(training.data_parallel()));
  gradients.setScalar("seed.main", share);
  gradients.setScalar("seed.balance", share);
  gradients.setScalar("seed.mtp", depths ? weight / double(depths) * share : 0);
  gradients.run();

  // One f64 a micro-batch and layer, added in that order.
  Losses losses;
  auto balance = byMicroBatch(gradients, "balance_loss."),
       mtp = byMicroBatch(gradients, "mtp_loss.");
  losses.mtp.assign(std::size_t(depths), 0);
  for (std::int64_t m = 0; m < microBatches; ++m) {
    losses.main += gradients.scalar("main_loss." + std::to_string(m));
    for (const auto &[layer, value] : balance[m])
      losses.balance += value;
    for (const auto &[depth, value] : mtp[m])
      if (depth >= 1 && depth <= depths)
        losses.mtp[std::size_t(depth) - 1] += value;
  }
  losses.main /= double(microBatches);
  losses.balance /= double(microBatches);
  for (double &loss : losses.mtp)
    loss /= double(microBatches);
  losses.computeTotal(weight);
  return losses;
}

void TrainingStep::requireFinite(std::int64_t step, const std::string &what, double value) {
  if (std::isfinite(value))
    return;
  std::string message = "step " + std::to_string(step) + ": " + what + " is " +
                        (std::isnan(value) ? "NaN" : "infinite");
  std::string tensor = firstNonFinite(store);
  throw RunError(message + (tensor.empty() ? "; all parameters and gradients are finite"
                                           : "; first tensor: " + tensor));
}

StepMetrics TrainingStep::run(std::int64_t step) {
  auto start = std::chrono::steady_clock::now();
  Losses losses = computeGradients(step);
  requireFinite(step, "the loss", losses.total);
  StepMetrics metrics;
  metrics.step = step;
  metrics.loss = losses.total;
  metrics.mainLoss = losses.main;
  metrics.balanceLoss = losses.balance;
  metrics.mtpLosses = losses.mtp;
  metrics.expertCounts = readCounts(gradients);
  metrics.learningRate = learningRate(bundle.learningRatePhases(), step);

  const bundle::Training &training = bundle.training();
  update.setScalar("learning_rate", metrics.learningRate);
  update.setScalar("correction1", 1 - std::pow(training.beta1(), double(step)));
  update.setScalar("correction2", 1 - std::pow(training.beta2(), double(step)));
  update.setScalar("bias_speed", valueAt(bundle.biasSpeedPhases(), step));
  update.run();
  metrics.gradientNorm = update.scalar("gradient_norm");
  requireFinite(step, "the gradient norm", metrics.gradientNorm);

  metrics.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  metrics.tokensPerSecond =
      double(bundle.rowsPerStep()) * double(training.tokens()) / std::max(metrics.seconds, 1e-9);
  return metrics;
}

} // namespace hadal::rt
