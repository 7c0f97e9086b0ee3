// SPDX-License-Identifier: Apache-2.0
//
// What a plan must fulfil beyond its form: combinations, the model it is for, and what this version
// can do. Places are JSON paths; lines are found again in the plan's text.

#include "frontend/Plan.h"

#include <algorithm>
#include <numeric>

namespace hadal {

namespace {

/// Makes errors whose line is that of the value at the path (of the closest object above it, where
/// the plan left it out).
class Refusal {
public:
  explicit Refusal(const Plan &plan) : plan(plan) {}

  InputError operator()(const std::vector<std::string> &path, std::string found,
                        std::string allowed) const {
    InputError error{plan.file, 0, "", std::move(found), std::move(allowed)};
    for (const std::string &key : path)
      error.place += (error.place.empty() ? "" : ".") + key;
    Checked<JsonValue> tree = parseJson(plan.text, plan.file);
    const JsonValue *value = tree ? &*tree : nullptr;
    for (size_t i = 0; value && i <= path.size(); ++i) {
      error.line = value->line;
      value = i < path.size() ? value->member(path[i]) : nullptr;
    }
    return error;
  }

private:
  const Plan &plan;
};

std::string number(int64_t x) { return std::to_string(x); }

/// Each stage has at least one of the embedding, a layer, and the last part (final norm, MTP,
/// head).
std::optional<InputError> checkStages(const Plan &plan, const ModelSpec &spec,
                                      const Refusal &refuse) {
  const int64_t stages = plan.stageCount(), units = spec.numHiddenLayers + 2;
  const int64_t perRank = stages / plan.pipelineRanks;
  if (stages > units)
    return refuse({"pipeline", "ranks"}, number(plan.pipelineRanks),
                  "at most " + number(units / perRank) + ": " +
                      (perRank > 1 ? "two stages a rank, and " : "") +
                      "each stage has at least one of embedding, layer (" +
                      number(spec.numHiddenLayers) + " in all), last part");
  if (plan.stages.empty())
    return std::nullopt;
  if (static_cast<int64_t>(plan.stages.size()) != stages)
    return refuse({"pipeline", "stages"}, "a list of " + number(plan.stages.size()),
                  "one number per stage, " + number(stages));
  int64_t sum = std::accumulate(plan.stages.begin(), plan.stages.end(), int64_t(0));
  if (sum != spec.numHiddenLayers)
    return refuse({"pipeline", "stages"}, number(sum) + " layers in all",
                  "numbers that add up to num_hidden_layers, " + number(spec.numHiddenLayers));
  for (int64_t stage = 1; stage + 1 < stages; ++stage)
    if (plan.stages[stage] == 0)
      return refuse({"pipeline", "stages"}, "0 layers on stage " + number(stage),
                    "at least one, except on the first stage (embedding) and the last one (last "
                    "part)");
  return std::nullopt;
}

std::optional<InputError> checkSchedule(const Plan &plan, const Refusal &refuse) {
  bool dual = plan.schedule == ScheduleKind::DualPipe;
  if (dual && plan.pipelineRanks % 2)
    return refuse({"pipeline", "ranks"}, number(plan.pipelineRanks),
                  "an even number with the schedule dualpipe");
  if (!dual && plan.schedule != ScheduleKind::DualPipeV)
    return std::nullopt;
  for (const Phase<int64_t> &phase : plan.microBatches)
    if (phase.value < 2 * plan.pipelineRanks || (dual && phase.value % 2))
      return refuse({"pipeline", "micro_batches"}, number(phase.value),
                    std::string(dual ? "an even number" : "a number") + " of at least 2 x ranks, " +
                        number(2 * plan.pipelineRanks) + ", with the schedule " +
                        name(plan.schedule));
  return std::nullopt;
}

constexpr int64_t kMaxRanks = 1 << 20; ///< in all

std::optional<InputError> checkParallel(const Plan &plan, const ModelSpec &spec,
                                        const Refusal &refuse) {
  if (plan.pipelineRanks * plan.dataParallel > kMaxRanks)
    return refuse({"data_parallel"},
                  number(plan.dataParallel) + " x " + number(plan.pipelineRanks) +
                      " pipeline ranks",
                  "at most " + number(kMaxRanks) + " ranks in all");
  if (plan.dataParallel % plan.expertParallel)
    return refuse({"expert_parallel"}, number(plan.expertParallel),
                  "a divisor of data_parallel, " + number(plan.dataParallel));
  if (plan.expertParallel > 1 && !spec.hasMoe())
    return refuse({"expert_parallel"}, number(plan.expertParallel),
                  "1: the model has no routed experts");
  if (spec.hasMoe() && spec.numRoutedExperts % plan.expertParallel)
    return refuse({"expert_parallel"}, number(plan.expertParallel),
                  "a divisor of n_routed_experts, " + number(spec.numRoutedExperts));
  return std::nullopt;
}

std::optional<InputError> checkWindow(const Plan &plan, const ModelSpec &spec,
                                      const Refusal &refuse) {
  for (const Phase<int64_t> &phase : plan.tokens) {
    if (phase.value > spec.maxPositionEmbeddings)
      return refuse({"micro_batch", "tokens"}, number(phase.value),
                    "at most max_position_embeddings, " + number(spec.maxPositionEmbeddings));
    if (spec.numNextnPredictLayers >= phase.value)
      return refuse({"micro_batch", "tokens"}, number(phase.value),
                    "more than num_nextn_predict_layers, " + number(spec.numNextnPredictLayers));
  }
  // Rows of routed tokens, of all members of a group, are numbered with 32 bits.
  int64_t perToken = std::max(spec.numExpertsPerToken, int64_t(1)) * plan.expertParallel;
  for (const Phase<int64_t> &phase : plan.tokens)
    if (plan.sequences * phase.value > INT32_MAX / perToken)
      return refuse({"micro_batch", "sequences"},
                    number(plan.sequences) + " x " + number(phase.value) + " tokens",
                    "at most " + number(INT32_MAX / perToken) + " tokens in one micro-batch");
  return std::nullopt;
}

} // namespace

std::optional<InputError> checkPlan(const Plan &plan, const ModelSpec &spec) {
  Refusal refuse(plan);
  if (auto error = checkWindow(plan, spec, refuse))
    return error;
  if (auto error = checkParallel(plan, spec, refuse))
    return error;
  if (auto error = checkSchedule(plan, refuse))
    return error;
  return checkStages(plan, spec, refuse);
}

std::optional<InputError> checkSupported(const Plan &plan, Purpose purpose) {
  Refusal refuse(plan);
  struct Field {
    std::vector<std::string> path;
    Precision value;
  };
  for (const Field &field :
       {Field{{"precision"}, plan.precision}, Field{{"cache"}, plan.cache},
        Field{{"dispatch"}, plan.dispatch}, Field{{"optimizer", "adamw", "moments"}, plan.moments}})
    if (purpose == Purpose::Compile && field.value != Precision::F32)
      return refuse(field.path, quoteJson(name(field.value)),
                    "\"f32\" (supported: f32; others with --dry-run)");
  if (plan.microBatches.size() > 1)
    return refuse({"pipeline", "micro_batches"},
                  "a list of " + number(plan.microBatches.size()) + " phases",
                  "a number (supported: one micro-batch count for the whole training)");
  if (plan.tokens.size() > 1)
    return refuse({"micro_batch", "tokens"}, "a list of " + number(plan.tokens.size()) + " phases",
                  "a number (supported: one window length for the whole training)");
  return std::nullopt;
}

Checked<Plan> usablePlan(const std::string &text, const std::string &file, const ModelSpec &spec,
                         Purpose purpose) {
  Checked<Plan> plan = parsePlan(text, file, spec);
  if (!plan)
    return plan;
  if (std::optional<InputError> error = checkSupported(*plan, purpose))
    return *error;
  if (std::optional<InputError> error = checkPlan(*plan, spec))
    return *error;
  return plan;
}

Checked<Plan> loadPlan(const std::string &path, const ModelSpec &spec, Purpose purpose) {
  Checked<std::string> text = readTextFile(path);
  if (!text)
    return text.error();
  return usablePlan(*text, path, spec, purpose);
}

Checked<Plan> defaultPlan(const ModelSpec &spec) {
  int64_t tokens = std::min<int64_t>(4096, spec.maxPositionEmbeddings);
  std::string text = "{\"micro_batch\": {\"sequences\": 1, \"tokens\": " + number(tokens) +
                     "},\n \"optimizer\": {\"learning_rate\": [{\"shape\": \"constant\", "
                     "\"steps\": 1, \"to\": 2.2e-4}]}}\n";
  return usablePlan(text, "default plan", spec);
}

} // namespace hadal
