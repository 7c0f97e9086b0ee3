// SPDX-License-Identifier: Apache-2.0
//
// Plans that must be understood, their defaults, and the phases of the learning rate.

#include "runtime/program/Phases.h"
#include "test/unit/frontend/TestInputs.h"

#include <cmath>

using namespace hadal;
using namespace hadal::test;

namespace {

Plan validPlan(const Fields &changes, const ModelSpec &spec) {
  Checked<Plan> plan = parsePlan(planText(changes), "plan.json", spec);
  EXPECT_TRUE(bool(plan)) << (plan ? "" : plan.error().message());
  return plan ? *plan : Plan();
}

std::vector<rt::RatePhase> phasesOf(const Plan &plan) {
  std::vector<rt::RatePhase> out;
  out.reserve(plan.learningRate.size());
  for (const RatePhase &phase : plan.learningRate)
    out.push_back({rt::RateShape(phase.shape), phase.steps, phase.to});
  return out;
}

TEST(Plan, Defaults) {
  Plan plan = validPlan({}, validSpec());
  EXPECT_EQ(plan.sequences, 2);
  EXPECT_EQ(plan.windowTokens(), 17);
  EXPECT_EQ(plan.microBatchCount(), 1);
  EXPECT_EQ(plan.pipelineRanks, 1);
  EXPECT_EQ(plan.schedule, ScheduleKind::OneF1B);
  EXPECT_EQ(plan.overlap, OverlapKind::Paper);
  EXPECT_TRUE(plan.stages.empty());
  EXPECT_EQ(plan.dataParallel, 1);
  EXPECT_EQ(plan.expertParallel, 1);
  EXPECT_EQ(plan.precision, Precision::F32);
  EXPECT_EQ(plan.cache, Precision::F32);
  EXPECT_EQ(plan.dispatch, Precision::F32);
  EXPECT_TRUE(plan.recompute.empty());
  EXPECT_EQ(plan.beta1, 0.9);
  EXPECT_EQ(plan.beta2, 0.95);
  EXPECT_EQ(plan.adamEps, 1e-8);
  EXPECT_EQ(plan.weightDecay, 0.1);
  EXPECT_EQ(plan.moments, Precision::F32);
  EXPECT_EQ(plan.clipNorm, 1.0);
  EXPECT_EQ(plan.biasUpdateSpeed.front().value, 0.001);
  EXPECT_EQ(plan.mtpWeight.front().value, 0.3);
  EXPECT_EQ(plan.seed, 0);
  EXPECT_EQ(plan.programs.size(), 3u);
  EXPECT_EQ(plan.sequenceBalanceAlpha, 0.001); // aux_loss_alpha of the config
  EXPECT_EQ(plan.initializerRange, 0.02);
  EXPECT_EQ(plan.text, planText());
}

TEST(Plan, DefaultsFollowPrecision) {
  EXPECT_EQ(validPlan({{"precision", "\"fp8\""}}, validSpec()).cache, Precision::FP8);
  EXPECT_EQ(validPlan({{"precision", "\"bf16\""}}, validSpec()).dispatch, Precision::BF16);
  EXPECT_EQ(validPlan({{"precision", "\"bf16\""}, {"cache", "\"fp8\""}}, validSpec()).cache,
            Precision::FP8);
}

TEST(Plan, ReadsThePublishedRun) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<std::string> text = readTextFile(examplePath("deepseek-v3/plan.json"));
  ASSERT_TRUE(bool(text));
  Checked<Plan> plan = parsePlan(*text, "plan.json", spec);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  EXPECT_EQ(checkPlan(*plan, spec), std::nullopt);
  EXPECT_EQ(plan->schedule, ScheduleKind::DualPipe);
  EXPECT_EQ(plan->learningRate.size(), 6u);
  EXPECT_EQ(plan->learningRate[1].to, 2.2e-4); // a constant phase holds what it starts with
  EXPECT_EQ(plan->learningRate[3].to, 2.2e-5);
  ASSERT_EQ(plan->biasUpdateSpeed.size(), 2u);
  EXPECT_EQ(plan->biasUpdateSpeed[0].steps, 227293);
  EXPECT_EQ(plan->biasUpdateSpeed[1].steps, 0);
  EXPECT_EQ(plan->biasUpdateSpeed[1].value, 0);
  EXPECT_EQ(plan->moments, Precision::BF16);
  EXPECT_EQ(plan->recompute.size(), 3u);
  EXPECT_EQ(plan->programs, std::vector<Program>{Program::Train});
  std::optional<InputError> refused = checkSupported(*plan);
  EXPECT_EQ(refused.value_or(InputError()).message(),
            "plan.json:4: precision: found \"fp8\"; allowed: \"f32\" (supported: f32; others with "
            "--dry-run)");
  Checked<Plan> dry = loadPlan(examplePath("deepseek-v3/plan.json"), spec, Purpose::DryRun);
  ASSERT_TRUE(bool(dry)) << dry.error().message();
  EXPECT_EQ(dry->stageCount(), 16);
}

TEST(Plan, ReadsEveryOraclePlan) {
  for (const char *name : {"dense", "groups", "mtp", "mtp-two-depths", "odd-sizes", "one-token",
                           "plain-query", "training", "yarn", "yarn-amplitude"}) {
    std::string folder = testPath(std::string("oracle/") + name);
    ModelSpec spec = loadedSpec(folder + "/config.json");
    Checked<Plan> plan = loadPlan(folder + "/plan.json", spec);
    ASSERT_TRUE(bool(plan)) << plan.error().message();
    EXPECT_EQ(plan->learningRate.size(), 3u);
  }
  ModelSpec spec = loadedSpec(examplePath("nano/config.json"));
  Checked<Plan> plan = loadPlan(examplePath("nano/plan.json"), spec);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  EXPECT_EQ(plan->sequenceBalanceAlpha, 1e-4);
}

TEST(Plan, DefaultPlanIsUsable) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  Checked<Plan> plan = defaultPlan(spec);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  EXPECT_EQ(plan->windowTokens(), 4096);
  EXPECT_TRUE(plan->has(Program::Train));
  Checked<Plan> again = usablePlan(plan->text, "again", spec);
  ASSERT_TRUE(bool(again));
  EXPECT_EQ(namedChoices(*again), namedChoices(*plan));
  EXPECT_EQ(defaultPlan(validSpec())->windowTokens(), 128);
}

TEST(Plan, GenerationNeedsNoLearningRate) {
  Plan plan =
      validPlan({{"optimizer", ""}, {"programs", "[\"evaluate\", \"generate\"]"}}, validSpec());
  EXPECT_TRUE(plan.learningRate.empty());
  EXPECT_EQ(plan.programs, (std::vector<Program>{Program::Generate, Program::Evaluate}));
}

TEST(Plan, StagesThatFit) {
  ModelSpec spec = validSpec();
  EXPECT_EQ(checkPlan(validPlan({{"pipeline", "{\"ranks\": 2, \"stages\": [1, 1]}"}}, spec), spec),
            std::nullopt);
}

TEST(Phases, LearningRateByHand) {
  ModelSpec spec = validSpec();
  Plan plan =
      validPlan({{"optimizer",
                  "{\"learning_rate\": [{\"shape\": \"linear\", \"steps\": 4, \"to\": 0.8}, "
                  "{\"shape\": \"constant\", \"steps\": 2}, {\"shape\": \"cosine\", \"steps\": 4, "
                  "\"to\": 0.2}, {\"shape\": \"linear\", \"steps\": 1, \"to\": 0.1}]}"}},
                spec);
  auto phases = phasesOf(plan);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 1), 0.2);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 4), 0.8);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 6), 0.8);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 7), 0.2 + 0.6 * (1 + std::sqrt(0.5)) / 2);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 8), 0.5);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 10), 0.2);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 11), 0.1);
  EXPECT_DOUBLE_EQ(rt::learningRate(phases, 100000), 0.1);
}

/// The reference run's log holds the learning rate of each step.
TEST(Phases, LearningRateOfTheReferenceRun) {
  ModelSpec spec = loadedSpec(testPath("oracle/training/config.json"));
  Checked<Plan> plan = loadPlan(testPath("oracle/training/plan.json"), spec);
  ASSERT_TRUE(bool(plan));
  Checked<std::string> text = readTextFile(testPath("oracle/training/log.json"));
  ASSERT_TRUE(bool(text));
  Checked<JsonValue> log = parseJson(*text, "log.json");
  ASSERT_TRUE(bool(log));
  const JsonValue *steps = log->kind == JsonValue::Kind::Array ? &*log : &log->elements.front();
  ASSERT_GE(steps->elements.size(), 10u);
  for (const JsonValue &entry : steps->elements) {
    double expected = entry.member("learning_rate")->number;
    EXPECT_NEAR(rt::learningRate(phasesOf(*plan), entry.member("step")->integer), expected,
                1e-15 + 1e-14 * expected);
  }
}

TEST(Phases, Values) {
  std::vector<rt::ValuePhase> phases = {{3, 0.3}, {2, 0.2}, {0, 0.1}};
  EXPECT_EQ(rt::valueAt(phases, 1), 0.3);
  EXPECT_EQ(rt::valueAt(phases, 3), 0.3);
  EXPECT_EQ(rt::valueAt(phases, 4), 0.2);
  EXPECT_EQ(rt::valueAt(phases, 6), 0.1);
  EXPECT_EQ(rt::valueAt(phases, 1 << 30), 0.1);
  EXPECT_EQ(rt::valueAt({}, 1), 0);
}

} // namespace
