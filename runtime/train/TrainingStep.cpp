// SPDX-License-Identifier: Apache-2.0
//
// See TrainingStep.h.

#include "runtime/train/TrainingStep.h"

#include "runtime/support/Error.h"
#include "runtime/train/TrainingState.h"
#include "runtime/transport/Collectives.h"
#include "runtime/transport/Fault.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

namespace hadal::rt {

static bool endsWith(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// The f64 scalars named PREFIX N SUFFIX (N a layer or a depth), by N.
static std::map<std::int64_t, double> byNumber(const Outputs &outputs, const std::string &prefix,
                                               const std::string &suffix) {
  std::map<std::int64_t, double> values;
  for (auto at = outputs.lower_bound(prefix);
       at != outputs.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at) {
    const std::string rest = at->first.substr(prefix.size());
    if (!endsWith(rest, suffix))
      continue;
    const std::string number = rest.substr(0, rest.size() - suffix.size());
    if (number.find_first_not_of("0123456789") == std::string::npos && !number.empty())
      values[std::stoll(number)] = *at->second.as<double>();
  }
  return values;
}

void Losses::add(const Outputs &outputs, const std::string &suffix) {
  auto found = outputs.find("main_loss" + suffix);
  if (found == outputs.end())
    throw RunError("no rank has main_loss" + suffix);
  main += *found->second.as<double>();
  for (const auto &[layer, value] : byNumber(outputs, "balance_loss.", suffix))
    balance += value;
  for (const auto &[depth, value] : byNumber(outputs, "mtp_loss.", suffix))
    if (depth >= 1 && depth <= std::int64_t(mtp.size()))
      mtp[std::size_t(depth) - 1] += value;
}

void Losses::finish(std::int64_t microBatches, double mtpWeight) {
  main /= double(microBatches);
  balance /= double(microBatches);
  double sum = 0;
  for (double &loss : mtp)
    sum += loss /= double(microBatches);
  total = main + balance + (mtp.empty() ? 0 : mtpWeight / double(mtp.size()) * sum);
}

std::vector<std::pair<std::string, std::vector<std::int64_t>>> readCounts(const Outputs &outputs) {
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> counts;
  for (const auto &[layer, output] : numbered(outputs, "counts.")) {
    const auto *values = output->as<std::int64_t>();
    counts.emplace_back("model.layers." + std::to_string(layer) + ".mlp",
                        std::vector<std::int64_t>(values, values + output->elements()));
  }
  return counts;
}

void setPlaceScalars(Executor &program, const Layout &layout) {
  program.setScalar("first_expert", double(layout.firstExpert(layout.bundle().model().experts())));
}

double broadcastDouble(const RankLinks &links, double value) {
  if (links.transport)
    broadcast(*links.transport, everyone(*links.transport), kMainChannel, 0, &value, sizeof value);
  return value;
}

TrainingStep::TrainingStep(Store &store, ThreadPool &pool, const RankLinks &links)
    : gradients(store, pool, "gradients", links), update(store, pool, "update", links),
      store(store), bundle(store.bundle()), links(links), layout(bundle, links.rank()),
      outputs(gradients, bundle, links,
              {{"main_loss."}, {"balance_loss."}, {"mtp_loss."}, {"counts.", false}}) {
  setPlaceScalars(gradients, layout);
}

void TrainingStep::setPace(const Executor::Pace &pace) {
  paced = true;
  gradients.setPace(pace);
  update.setPace(pace);
}

std::int32_t *TrainingStep::tokens() {
  return gradients.has("tokens") ? gradients.view("tokens").as<std::int32_t>() : nullptr;
}

void TrainingStep::readTokens(
    const std::function<void(std::int64_t row, std::int32_t *out)> &read) {
  std::int32_t *out = tokens();
  if (!out)
    return;
  const bundle::Training &training = bundle.training();
  const std::int64_t sequences = training.sequences(), columns = training.tokens() + 1;
  for (std::int64_t m = 0; m < training.micro_batches(); ++m)
    for (std::int64_t b = 0; b < sequences; ++b, out += columns)
      read((m * training.data_parallel() + layout.place().replica) * sequences + b, out);
}

Losses TrainingStep::computeGradients(std::int64_t step, StepMetrics *metrics) {
  const bundle::Training &training = bundle.training();
  const double weight = valueAt(bundle.mtpWeightPhases(), step);
  const std::int64_t depths = bundle.model().mtp_depth(), microBatches = training.micro_batches(),
                     all = microBatches * training.data_parallel();
  const double share = 1.0 / (double(microBatches) * double(training.data_parallel()));
  gradients.setScalar("seed.main", share);
  gradients.setScalar("seed.balance", share);
  gradients.setScalar("seed.mtp", depths ? weight / double(depths) * share : 0);
  gradients.run(step);

  // One f64 a micro-batch, replica and layer, added in that order.
  Losses losses;
  losses.mtp.assign(std::size_t(depths), 0);
  const std::vector<Outputs> byReplica = outputs.collect();
  if (!byReplica.empty()) {
    for (std::int64_t m = 0; m < microBatches; ++m)
      for (const Outputs &replica : byReplica)
        losses.add(replica, "." + std::to_string(m));
    losses.finish(all, weight);
    if (metrics)
      metrics->expertCounts = readCounts(byReplica[0]);
  }
  losses.total = broadcastDouble(links, losses.total);
  return losses;
}

/// Whether firstNonFinite found the first value in a gradient.
static bool isGradient(const std::string &found) { return found.rfind("gradient of ", 0) == 0; }

void TrainingStep::requireFinite(std::int64_t step, const std::string &what, double value) {
  if (paced || std::isfinite(value))
    return;
  std::string tensor = firstNonFinite(store, layout);
  if (links.transport) {
    if (!tensor.empty())
      tensor += " (rank " + std::to_string(links.rank()) + ")";
    // Of all ranks the first parameter, or else the first gradient.
    for (const Bytes &bytes : gather(*links.transport, everyone(*links.transport), kMainChannel, 0,
                                     tensor.data(), tensor.size())) {
      const std::string other(bytes.begin(), bytes.end());
      if (tensor.empty() || (isGradient(tensor) && !other.empty() && !isGradient(other)))
        tensor = other;
    }
    // Rank 0 says what is wrong; the others hear of it here.
    if (links.rank() != 0)
      broadcastDouble(links, value);
  }
  throw RunError(
      "step " + std::to_string(step) + ": " + what + " is " +
      (std::isnan(value) ? "NaN" : "infinite") +
      (tensor.empty() ? "; all parameters and gradients are finite" : "; first tensor: " + tensor));
}

StepMetrics TrainingStep::run(std::int64_t step) {
  auto start = std::chrono::steady_clock::now();
  StepMetrics metrics;
  faultAt(links.rank(), step, "gradients");
  const Losses losses = computeGradients(step, &metrics);
  requireFinite(step, "the loss", losses.total);
  metrics.step = step;
  metrics.loss = losses.total;
  metrics.mainLoss = losses.main;
  metrics.balanceLoss = losses.balance;
  metrics.mtpLosses = losses.mtp;
  metrics.learningRate = learningRate(bundle.learningRatePhases(), step);

  const bundle::Training &training = bundle.training();
  update.setScalar("learning_rate", metrics.learningRate);
  update.setScalar("correction1", 1 - std::pow(training.beta1(), double(step)));
  update.setScalar("correction2", 1 - std::pow(training.beta2(), double(step)));
  update.setScalar("bias_speed", valueAt(bundle.biasSpeedPhases(), step));
  faultAt(links.rank(), step, "update");
  update.run(step);
  metrics.gradientNorm = update.scalar("gradient_norm");
  requireFinite(step, "the gradient norm", metrics.gradientNorm);

  metrics.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  metrics.tokensPerSecond =
      double(bundle.rowsPerStep()) * double(training.tokens()) / std::max(metrics.seconds, 1e-9);
  return metrics;
}

} // namespace hadal::rt
