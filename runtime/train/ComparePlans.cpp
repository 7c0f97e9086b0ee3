// SPDX-License-Identifier: Apache-2.0
//
// See comparePlans in TrainingState.h.

#include "runtime/train/TrainingState.h"

namespace hadal::rt {

using nlohmann::json;

static const char kRows[] = "rows of a step (micro_batches x data_parallel x sequences)";

/// A value that may be missing, as the integer it stands for.
static std::int64_t integerAt(const json &plan, const json::json_pointer &path,
                              std::int64_t fallback) {
  return plan.contains(path) && plan[path].is_number_integer() ? plan[path].get<std::int64_t>()
                                                               : fallback;
}

/// The plan without what only lays it out over ranks. Rows of a step take the place of what makes
/// them up; where micro-batches change during training, by phase.
static json withoutLayout(json plan) {
  if (!plan.is_object())
    return plan;
  using namespace nlohmann::literals;
  const std::int64_t rows = integerAt(plan, "/micro_batch/sequences"_json_pointer, 1) *
                            integerAt(plan, "/data_parallel"_json_pointer, 1);
  json microBatches = 1;
  if (plan.contains("/pipeline/micro_batches"_json_pointer))
    microBatches = plan["/pipeline/micro_batches"_json_pointer];
  if (microBatches.is_number_integer())
    plan[kRows] = microBatches.get<std::int64_t>() * rows;
  else {
    for (json &phase : microBatches)
      if (phase.is_object() && phase.contains("value") && phase["value"].is_number_integer())
        phase["value"] = phase["value"].get<std::int64_t>() * rows;
    plan[kRows] = microBatches;
  }
  for (const char *key : {"pipeline", "data_parallel", "expert_parallel", "recompute", "programs"})
    plan.erase(key);
  if (plan.contains("micro_batch") && plan["micro_batch"].is_object())
    plan["micro_batch"].erase("sequences");
  return plan;
}

/// The first place where two values differ; `path` is theirs.
static std::string firstDifference(const json &a, const json &b, const std::string &path) {
  if (a == b)
    return {};
  if (!a.is_object() || !b.is_object())
    return path + ": " + a.dump() + " in the checkpoint, " + b.dump() + " in the bundle";
  const std::string before = path.empty() ? path : path + ".";
  for (const auto &[key, value] : a.items()) {
    if (!b.contains(key))
      return before + key + ": " + value.dump() + " in the checkpoint, left out in the bundle";
    if (std::string found = firstDifference(value, b[key], before + key); !found.empty())
      return found;
  }
  for (const auto &[key, value] : b.items())
    if (!a.contains(key))
      return before + key + ": left out in the checkpoint, " + value.dump() + " in the bundle";
  return {};
}

std::string comparePlans(const std::string &checkpoint, const std::string &bundle) {
  const json ours = json::parse(bundle, nullptr, false),
             theirs = json::parse(checkpoint, nullptr, false);
  if (ours.is_discarded() || theirs.is_discarded())
    return checkpoint == bundle ? std::string() : "one of them is not JSON";
  return firstDifference(withoutLayout(theirs), withoutLayout(ours), "");
}

} // namespace hadal::rt
