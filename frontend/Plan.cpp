// SPDX-License-Identifier: Apache-2.0
//
// Reads a plan.json: types, ranges, defaults. What fits together is PlanChecks.cpp's business.

#include "frontend/Plan.h"

#include <algorithm>

namespace hadal {

namespace {

constexpr int64_t kMaxSteps = int64_t(1) << 50; ///< keeps sums of phases within 64 bits
constexpr IntegerRange kSteps{1, kMaxSteps};
constexpr IntegerRange kCount{1, 1 << 24};
constexpr IntegerRange kRanks{1, 1 << 20};
constexpr NumberRange kNotNegative{0, 1e9};

/// Reads the elements of a list of objects: `read` gets each with whether it is the last.
template <typename Read>
void readList(InputReport &report, const JsonValue &list, const std::string &path, Read read) {
  for (size_t i = 0; i < list.elements.size(); ++i) {
    ObjectReader entry(report, &list.elements[i], path + "[" + std::to_string(i) + "]");
    read(entry, i + 1 == list.elements.size());
    entry.refuseUnknown();
  }
}

/// A number, or a list of phases that all but the last have `steps`. `one` reads a number under a
/// key.
template <typename T, typename One>
Phases<T> readPhases(InputReport &report, ObjectReader &owner, const std::string &key,
                     std::optional<T> fallback, One one) {
  const JsonValue *found = owner.take(key);
  if (!found || found->kind != JsonValue::Kind::Array)
    return {{0, one(owner, key, fallback)}};
  Phases<T> out;
  if (found->elements.empty())
    owner.refuse(key, "an empty list", "a number, or a list of phases");
  readList(report, *found, owner.pathOf(key), [&](ObjectReader &entry, bool last) {
    Phase<T> phase;
    if (last && entry.has("steps")) {
      entry.take("steps");
      entry.refuse("steps", "steps in the last phase",
                   "no steps there: the last value holds for ever");
    } else if (!last) {
      phase.steps = entry.integer("steps", kSteps);
    }
    phase.value = one(entry, "value", std::optional<T>());
    out.push_back(phase);
  });
  if (out.empty())
    out.push_back({});
  return out;
}

Phases<int64_t> readCounts(InputReport &report, ObjectReader &owner, const std::string &key,
                           std::optional<int64_t> fallback) {
  return readPhases<int64_t>(
      report, owner, key, fallback,
      [](ObjectReader &from, const std::string &name, std::optional<int64_t> other) {
        return from.integer(name, kCount, other);
      });
}

Phases<double> readNumbers(InputReport &report, ObjectReader &owner, const std::string &key,
                           double fallback) {
  return readPhases<double>(
      report, owner, key, std::optional(fallback),
      [](ObjectReader &from, const std::string &name, std::optional<double> other) {
        return from.number(name, kNotNegative, other);
      });
}

void readMicroBatch(InputReport &report, ObjectReader &root, Plan &plan) {
  ObjectReader batch = root.object("micro_batch", /*required=*/true);
  plan.sequences = batch.integer("sequences", kCount);
  plan.tokens = readCounts(report, batch, "tokens", std::nullopt);
  batch.refuseUnknown();
}

void readLayout(InputReport &report, ObjectReader &root, Plan &plan) {
  ObjectReader pipeline = root.object("pipeline");
  plan.pipelineRanks = pipeline.integer("ranks", kRanks, 1);
  plan.schedule =
      ScheduleKind(pipeline.choice("schedule", {"1f1b", "zb1p", "dualpipe", "dualpipev"}, 0));
  plan.microBatches = readCounts(report, pipeline, "micro_batches", 1);
  plan.overlap = OverlapKind(pipeline.choice("overlap", {"none", "paper", "searched"}, 1));
  plan.stages = pipeline.integers("stages", {0, 1 << 20});
  if (pipeline.has("stages") && plan.stages.empty())
    pipeline.refuse("stages", pipeline.take("stages")->describe(),
                    "the number of layers on each stage");
  pipeline.refuseUnknown();
  plan.dataParallel = root.integer("data_parallel", kRanks, 1);
  plan.expertParallel = root.integer("expert_parallel", kRanks, 1);
}

void readPrecision(ObjectReader &root, Plan &plan) {
  auto read = [&](const char *key, Precision fallback) {
    return Precision(root.choice(key, {"f32", "bf16", "fp8"}, size_t(fallback)));
  };
  plan.precision = read("precision", Precision::F32);
  plan.cache = read("cache", plan.precision);
  plan.dispatch = read("dispatch", plan.precision);
  for (size_t what : root.choices("recompute", {"norms", "mla_up", "swiglu"}, {}))
    plan.recompute.push_back(Recompute(what));
}

/// The learning rate. `to` of a constant phase may be left out: it holds what the phase before
/// ended with.
void readLearningRate(InputReport &report, ObjectReader &optimizer, Plan &plan) {
  const JsonValue *list = optimizer.take("learning_rate");
  const std::string allowed = "a list of at least one phase, {\"shape\", \"steps\", \"to\"}";
  if (!list) {
    if (plan.has(Program::Train))
      optimizer.refuse("learning_rate", "nothing (the key is missing)", allowed);
    return;
  }
  if (list->kind != JsonValue::Kind::Array || list->elements.empty())
    return optimizer.refuse("learning_rate", list->describe(), allowed);
  double before = 0;
  readList(report, *list, optimizer.pathOf("learning_rate"), [&](ObjectReader &entry, bool) {
    RatePhase phase;
    phase.shape = RateShape(entry.choice("shape", {"linear", "constant", "cosine"}));
    phase.steps = entry.integer("steps", kSteps);
    bool hold = phase.shape == RateShape::Constant;
    phase.to = before =
        entry.number("to", kNotNegative, hold ? std::optional(before) : std::nullopt);
    plan.learningRate.push_back(phase);
  });
}

void readOptimizer(InputReport &report, ObjectReader &root, Plan &plan) {
  ObjectReader optimizer = root.object("optimizer");
  ObjectReader adamw = optimizer.object("adamw");
  std::vector<double> betas =
      adamw.numbers("betas", {0, 1, false, /*belowHigh=*/true}, 2, {0.9, 0.95});
  plan.beta1 = betas[0];
  plan.beta2 = betas[1];
  // Zero would divide 0 by 0 where an expert saw no token.
  plan.adamEps = adamw.number("eps", {0, 1, /*aboveLow=*/true}, 1e-8);
  plan.weightDecay = adamw.number("weight_decay", kNotNegative, 0.1);
  plan.moments = Precision(adamw.choice("moments", {"f32", "bf16"}, 0));
  adamw.refuseUnknown();
  plan.clipNorm = optimizer.number("clip_norm", kNotNegative, 1.0);
  readLearningRate(report, optimizer, plan);
  optimizer.refuseUnknown();
}

void readPrograms(ObjectReader &root, Plan &plan) {
  std::vector<size_t> wanted =
      root.choices("programs", {"train", "generate", "evaluate"}, {0, 1, 2});
  if (wanted.empty())
    root.refuse("programs", "an empty list",
                "at least one of \"train\", \"generate\", \"evaluate\"");
  std::sort(wanted.begin(), wanted.end());
  for (size_t program : wanted)
    plan.programs.push_back(Program(program));
}

} // namespace

bool Plan::has(Program program) const {
  return std::find(programs.begin(), programs.end(), program) != programs.end();
}

bool Plan::recomputes(Recompute what) const {
  return std::find(recompute.begin(), recompute.end(), what) != recompute.end();
}

Checked<Plan> parsePlan(const std::string &text, const std::string &file, const ModelSpec &spec) {
  Checked<JsonValue> tree = parseJson(text, file);
  if (!tree)
    return tree.error();
  InputReport report{file, std::nullopt, {}};
  ObjectReader root(report, &*tree, "");
  Plan plan;
  plan.file = file;
  plan.text = text;
  readPrograms(root, plan);
  readMicroBatch(report, root, plan);
  readLayout(report, root, plan);
  readPrecision(root, plan);
  readOptimizer(report, root, plan);
  ObjectReader router = root.object("router");
  plan.biasUpdateSpeed = readNumbers(report, router, "bias_update_speed", 0.001);
  plan.sequenceBalanceAlpha =
      router.number("sequence_balance_alpha", kNotNegative, spec.auxLossAlpha);
  router.refuseUnknown();
  ObjectReader mtp = root.object("mtp");
  plan.mtpWeight = readNumbers(report, mtp, "weight", 0.3);
  mtp.refuseUnknown();
  plan.seed = root.integer("seed", {0, INT64_MAX}, 0);
  plan.initializerRange = root.number("initializer_range", {0, 1e3}, spec.initializerRange);
  root.refuseUnknown();
  if (report.error)
    return *report.error;
  return plan;
}

} // namespace hadal
