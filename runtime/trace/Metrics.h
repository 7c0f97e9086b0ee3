// SPDX-License-Identifier: Apache-2.0
//
// The figures of training steps, as JSON lines that read back exactly.

#ifndef HADAL_RUNTIME_TRACE_METRICS_H
#define HADAL_RUNTIME_TRACE_METRICS_H

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace hadal::rt {

/// One optimizer step. Losses are means over micro-batches and replicas.
struct StepMetrics {
  std::int64_t step = 0;
  double loss = 0, mainLoss = 0, balanceLoss = 0;
  std::vector<double> mtpLosses;
  double gradientNorm = 0; // before clipping
  double learningRate = 0;
  /// By MLP prefix ("model.layers.1.mlp"), in layer order.
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> expertCounts;
  double tokensPerSecond = 0, seconds = 0;

  /// The largest expert load of any layer divided by the mean load; 0 without experts.
  double largestLoad() const;
};

/// One line of JSON without the newline; numbers with as many digits as bring them back.
std::string toJsonLine(const StepMetrics &metrics);
std::string validationLine(std::int64_t step, double loss);

/// Appends lines to a file (cut back to lines up to `step` first, so a resumed run leaves no step
/// twice); writes nothing when the path is empty. Throws InputError when the file cannot be opened.
class MetricsFile {
public:
  MetricsFile(const std::string &path, std::int64_t step);
  ~MetricsFile();
  MetricsFile(const MetricsFile &) = delete;
  MetricsFile &operator=(const MetricsFile &) = delete;
  void write(const std::string &line);

private:
  std::FILE *file = nullptr;
  std::string name;
};

} // namespace hadal::rt

#endif
