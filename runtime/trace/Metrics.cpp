// SPDX-License-Identifier: Apache-2.0
//
// See Metrics.h.

#include "runtime/trace/Metrics.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace hadal::rt {

double StepMetrics::largestLoad() const {
  double largest = 0;
  for (const auto &[name, counts] : expertCounts) {
    double total = 0, most = 0;
    for (std::int64_t count : counts) {
      total += double(count);
      most = std::max(most, double(count));
    }
    if (total > 0)
      largest = std::max(largest, most * double(counts.size()) / total);
  }
  return largest;
}

// nlohmann prints a double with the fewest digits that read back to the same value.
std::string toJsonLine(const StepMetrics &metrics) {
  nlohmann::ordered_json line;
  line["step"] = metrics.step;
  line["loss"] = metrics.loss;
  line["main_loss"] = metrics.mainLoss;
  line["balance_loss"] = metrics.balanceLoss;
  line["mtp_losses"] = metrics.mtpLosses;
  line["gradient_norm"] = metrics.gradientNorm;
  line["learning_rate"] = metrics.learningRate;
  line["expert_counts"] = nlohmann::ordered_json::object();
  for (const auto &[name, counts] : metrics.expertCounts)
    line["expert_counts"][name] = counts;
  line["tokens_per_second"] = metrics.tokensPerSecond;
  line["seconds"] = metrics.seconds;
  return line.dump();
}

std::string validationLine(std::int64_t step, double loss) {
  nlohmann::ordered_json line;
  line["step"] = step;
  line["validation_loss"] = loss;
  return line.dump();
}

/// The lines of an earlier run up to and with `step`.
static std::string keptLines(const std::string &path, std::int64_t step) {
  std::ifstream old(path);
  std::string kept;
  for (std::string line; std::getline(old, line);) {
    auto parsed = nlohmann::json::parse(line, nullptr, false);
    if (parsed.is_discarded() && old.eof()) // cut off in the middle of a line
      break;
    if (!parsed.is_object() || !parsed.contains("step") || !parsed["step"].is_number_integer())
      throw InputError(path, "is there and holds no metrics; name another file for --metrics");
    if (parsed["step"].get<std::int64_t>() <= step)
      kept += line + "\n";
  }
  return kept;
}

MetricsFile::MetricsFile(const std::string &path, std::int64_t step) : name(path) {
  if (path.empty())
    return;
  std::string kept = step > 0 ? keptLines(path, step) : std::string();
  file = std::fopen(path.c_str(), "we");
  if (!file)
    throw InputError(path, std::string("cannot be written: ") + std::strerror(errno));
  std::fwrite(kept.data(), 1, kept.size(), file);
}

MetricsFile::~MetricsFile() {
  if (file)
    std::fclose(file);
}

void MetricsFile::write(const std::string &line) {
  if (!file)
    return;
  std::fprintf(file, "%s\n", line.c_str());
  if (std::fflush(file) != 0)
    throw RunError(name + ": cannot be written: " + std::strerror(errno));
}

} // namespace hadal::rt
