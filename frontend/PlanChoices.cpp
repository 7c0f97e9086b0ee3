// SPDX-License-Identifier: Apache-2.0
//
// The printable names of a plan's settings.

#include "frontend/Plan.h"

namespace hadal {

namespace {

template <typename T, typename Print>
std::string printPhases(const Phases<T> &phases, Print print) {
  std::string out;
  for (const Phase<T> &phase : phases) {
    out += (out.empty() ? "" : ", then ") + print(phase.value);
    if (phase.steps)
      out += " for " + std::to_string(phase.steps) + " steps";
  }
  return out;
}

std::string printRates(const std::vector<RatePhase> &phases) {
  std::string out;
  for (const RatePhase &phase : phases)
    out += (out.empty() ? "" : ", then ") + std::string(name(phase.shape)) + " to " +
           printNumber(phase.to) + " in " + std::to_string(phase.steps) + " steps";
  return out.empty() ? "none" : out;
}

template <typename T> std::string joined(const std::vector<T> &values) {
  std::string out;
  for (T value : values)
    out += (out.empty() ? "" : ", ") + std::string(name(value));
  return out.empty() ? "none" : out;
}

std::string printStages(const Plan &plan) {
  std::string out;
  for (int64_t layers : plan.stages)
    out += (out.empty() ? "" : ", ") + std::to_string(layers);
  return out.empty() ? "balanced by cost" : out;
}

} // namespace

const char *name(ScheduleKind kind) {
  switch (kind) {
  case ScheduleKind::OneF1B:
    return "1f1b";
  case ScheduleKind::Zb1p:
    return "zb1p";
  case ScheduleKind::DualPipe:
    return "dualpipe";
  case ScheduleKind::DualPipeV:
    return "dualpipev";
  }
  return "";
}

const char *name(OverlapKind kind) {
  switch (kind) {
  case OverlapKind::None:
    return "none";
  case OverlapKind::Paper:
    return "paper";
  case OverlapKind::Searched:
    return "searched";
  }
  return "";
}

const char *name(Precision precision) {
  switch (precision) {
  case Precision::F32:
    return "f32";
  case Precision::BF16:
    return "bf16";
  case Precision::FP8:
    return "fp8";
  }
  return "";
}

const char *name(RateShape shape) {
  switch (shape) {
  case RateShape::Linear:
    return "linear";
  case RateShape::Constant:
    return "constant";
  case RateShape::Cosine:
    return "cosine";
  }
  return "";
}

const char *name(Recompute what) {
  switch (what) {
  case Recompute::Norms:
    return "norms";
  case Recompute::MlaUp:
    return "mla_up";
  case Recompute::Swiglu:
    return "swiglu";
  }
  return "";
}

const char *name(Program program) {
  switch (program) {
  case Program::Train:
    return "train";
  case Program::Generate:
    return "generate";
  case Program::Evaluate:
    return "evaluate";
  }
  return "";
}

std::vector<std::pair<std::string, std::string>> namedChoices(const Plan &plan) {
  auto count = [](int64_t x) { return std::to_string(x); };
  auto number = [](double x) { return printNumber(x); };
  return {
      {"micro_batch.sequences", count(plan.sequences)},
      {"micro_batch.tokens", printPhases(plan.tokens, count)},
      {"pipeline.ranks", count(plan.pipelineRanks)},
      {"pipeline.schedule", name(plan.schedule)},
      {"pipeline.micro_batches", printPhases(plan.microBatches, count)},
      {"pipeline.overlap", name(plan.overlap)},
      {"pipeline.stages", printStages(plan)},
      {"data_parallel", count(plan.dataParallel)},
      {"expert_parallel", count(plan.expertParallel)},
      {"precision", name(plan.precision)},
      {"cache", name(plan.cache)},
      {"dispatch", name(plan.dispatch)},
      {"recompute", joined(plan.recompute)},
      {"optimizer.adamw.betas", number(plan.beta1) + ", " + number(plan.beta2)},
      {"optimizer.adamw.eps", number(plan.adamEps)},
      {"optimizer.adamw.weight_decay", number(plan.weightDecay)},
      {"optimizer.adamw.moments", name(plan.moments)},
      {"optimizer.clip_norm", plan.clipNorm == 0 ? "off" : number(plan.clipNorm)},
      {"optimizer.learning_rate", printRates(plan.learningRate)},
      {"router.bias_update_speed", printPhases(plan.biasUpdateSpeed, number)},
      {"router.sequence_balance_alpha", number(plan.sequenceBalanceAlpha)},
      {"mtp.weight", printPhases(plan.mtpWeight, number)},
      {"seed", count(plan.seed)},
      {"initializer_range", number(plan.initializerRange)},
      {"programs", joined(plan.programs)},
  };
}

} // namespace hadal
