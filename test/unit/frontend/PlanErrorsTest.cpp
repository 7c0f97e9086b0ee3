// SPDX-License-Identifier: Apache-2.0
//
// Plans that must be refused: for what they say, for what does not fit together, and for what this
// version lacks.

#include "test/unit/frontend/TestInputs.h"

using namespace hadal;
using namespace hadal::test;

namespace {

struct Case {
  Fields changes;
  const char *message; ///< behind "p.json:LINE: "
};

std::string behindPlace(const std::string &message) {
  EXPECT_EQ(message.substr(0, 7), "p.json:") << message;
  size_t place = message.find(": ");
  return place == message.npos ? message : message.substr(place + 2);
}

/// `parsed` cases fail in parsePlan, the others in usablePlan.
void expectRefusals(const std::vector<Case> &cases, const ModelSpec &spec = validSpec()) {
  for (const Case &one : cases) {
    Checked<Plan> plan = parsePlan(planText(one.changes), "p.json", spec);
    EXPECT_EQ(plan ? "accepted" : behindPlace(plan.error().message()), one.message);
  }
}

void expectUnusable(const std::vector<Case> &cases, const ModelSpec &spec = validSpec()) {
  for (const Case &one : cases) {
    EXPECT_TRUE(bool(parsePlan(planText(one.changes), "p.json", spec))) << one.message;
    Checked<Plan> plan = usablePlan(planText(one.changes), "p.json", spec);
    EXPECT_EQ(plan ? "accepted" : behindPlace(plan.error().message()), one.message);
  }
}

void expectImpossible(const std::vector<Case> &cases, const ModelSpec &spec) {
  for (const Case &one : cases) {
    Checked<Plan> plan = parsePlan(planText(one.changes), "p.json", spec);
    ASSERT_TRUE(bool(plan)) << plan.error().message();
    std::optional<InputError> error = checkPlan(*plan, spec);
    EXPECT_EQ(error ? behindPlace(error->message()) : "accepted", one.message);
  }
}

std::string rates(const char *list) { return std::string("{\"learning_rate\": ") + list + "}"; }

TEST(PlanErrors, MissingAndUnknownKeys) {
  expectRefusals({
      {{{"micro_batch", ""}},
       "micro_batch: found nothing (the key is missing); allowed: an object"},
      {{{"micro_batch", "{\"tokens\": 4}"}},
       "micro_batch.sequences: found nothing (the key is missing); allowed: an integer from 1 to "
       "16777216"},
      {{{"micro_batch", "{\"sequences\": 4}"}},
       "micro_batch.tokens: found nothing (the key is missing); allowed: an integer from 1 to "
       "16777216"},
      {{{"optimizer", ""}},
       "optimizer.learning_rate: found nothing (the key is missing); allowed: a list of at least "
       "one phase, {\"shape\", "
       "\"steps\", \"to\"}"},
      {{{"tensor_parallel", "2"}},
       "tensor_parallel: found an unknown key; allowed: the keys \"cache\", \"data_parallel\", "
       "\"dispatch\", "
       "\"expert_parallel\", \"initializer_range\", \"micro_batch\", \"mtp\", \"optimizer\", "
       "\"pipeline\", \"precision\", "
       "\"programs\", \"recompute\", \"router\", \"seed\""},
      {{{"router", "{\"speed\": 1}"}},
       "router.speed: found an unknown key; allowed: the keys \"bias_update_speed\", "
       "\"sequence_balance_alpha\""},
      {{{"optimizer", rates("[{\"shape\": \"linear\", \"steps\": 1, \"to\": 1, \"from\": 0}]")}},
       "optimizer.learning_rate[0].from: found an unknown key; allowed: the keys \"shape\", "
       "\"steps\", \"to\""},
  });
  Checked<Plan> plan = parsePlan("{\"seed\": 1,\n \"seed\": 2}", "p.json", validSpec());
  ASSERT_FALSE(bool(plan));
  EXPECT_EQ(plan.error().message(),
            "p.json:2: seed: found the key \"seed\" a second time; allowed: each key once");
}

TEST(PlanErrors, TypesAndRanges) {
  expectRefusals({
      {{{"micro_batch", "[1, 2]"}}, "micro_batch: found a list of 2; allowed: an object"},
      {{{"micro_batch", "{\"sequences\": 0, \"tokens\": 4}"}},
       "micro_batch.sequences: found 0; allowed: an integer from 1 to 16777216"},
      {{{"micro_batch", "{\"sequences\": 1.5, \"tokens\": 4}"}},
       "micro_batch.sequences: found 1.5; allowed: an integer from 1 to 16777216"},
      {{{"micro_batch", "{\"sequences\": \"1\", \"tokens\": 4}"}},
       "micro_batch.sequences: found \"1\" (a string); allowed: an integer from 1 to 16777216"},
      {{{"data_parallel", "0"}}, "data_parallel: found 0; allowed: an integer from 1 to 1048576"},
      {{{"pipeline", "{\"schedule\": \"gpipe\"}"}},
       "pipeline.schedule: found \"gpipe\" (a string); allowed: \"1f1b\", \"zb1p\", \"dualpipe\", "
       "\"dualpipev\""},
      {{{"pipeline", "{\"overlap\": \"all\"}"}},
       "pipeline.overlap: found \"all\" (a string); allowed: \"none\", \"paper\", \"searched\""},
      {{{"pipeline", "{\"stages\": []}"}},
       "pipeline.stages: found an empty list; allowed: the number of layers on each stage"},
      {{{"pipeline", "{\"stages\": [1, -1]}"}},
       "pipeline.stages[1]: found -1; allowed: an integer from 0 to 1048576"},
      {{{"precision", "\"f16\""}},
       "precision: found \"f16\" (a string); allowed: \"f32\", \"bf16\", \"fp8\""},
      {{{"recompute", "[\"attention\"]"}},
       "recompute[0]: found \"attention\" (a string); allowed: a list without repetition of "
       "\"norms\", \"mla_up\", "
       "\"swiglu\""},
      {{{"recompute", "[\"norms\", \"norms\"]"}},
       "recompute[1]: found \"norms\" (a string), given before; allowed: a list without repetition "
       "of \"norms\", "
       "\"mla_up\", \"swiglu\""},
      {{{"programs", "[]"}},
       "programs: found an empty list; allowed: at least one of \"train\", \"generate\", "
       "\"evaluate\""},
      {{{"seed", "-1"}}, "seed: found -1; allowed: an integer of at least 0"},
      {{{"router", "{\"bias_update_speed\": -1}"}},
       "router.bias_update_speed: found -1; allowed: a number of at least 0 and at most "
       "1000000000"},
      {{{"mtp", "{\"weight\": \"0.3\"}"}},
       "mtp.weight: found \"0.3\" (a string); allowed: a number of at least 0 and at most "
       "1000000000"},
  });
}

TEST(PlanErrors, Optimizer) {
  auto adamw = [](const char *fields) {
    return Fields{
        {"optimizer",
         std::string("{\"adamw\": {") + fields +
             "}, \"learning_rate\": [{\"shape\": \"constant\", \"steps\": 1, \"to\": 1}]}"}};
  };
  expectRefusals({
      {adamw("\"eps\": -1e-8"),
       "optimizer.adamw.eps: found -1e-8; allowed: a number above 0 and at most 1"},
      {adamw("\"betas\": [0.9, 1]"),
       "optimizer.adamw.betas[1]: found 1; allowed: a number of at least 0 and below 1"},
      {adamw("\"betas\": [0.9]"),
       "optimizer.adamw.betas: found a list of 1; allowed: a list of 2 numbers"},
      {adamw("\"weight_decay\": -0.1"), "optimizer.adamw.weight_decay: found -0.1; allowed: a "
                                        "number of at least 0 and at most 1000000000"},
      {adamw("\"moments\": \"fp8\""),
       "optimizer.adamw.moments: found \"fp8\" (a string); allowed: \"f32\", \"bf16\""},
      {adamw("\"momentum\": 1"), "optimizer.adamw.momentum: found an unknown key; allowed: the "
                                 "keys \"betas\", \"eps\", \"moments\", "
                                 "\"weight_decay\""},
  });
}

TEST(PlanErrors, LearningRate) {
  auto rate = [](const char *list) { return Fields{{"optimizer", rates(list)}}; };
  expectRefusals({
      {rate("[]"), "optimizer.learning_rate: found an empty list; allowed: a list of at least one "
                   "phase, {\"shape\", "
                   "\"steps\", \"to\"}"},
      {rate("0.1"), "optimizer.learning_rate: found 0.1; allowed: a list of at least one phase, "
                    "{\"shape\", \"steps\", "
                    "\"to\"}"},
      {rate("[3]"), "optimizer.learning_rate[0]: found 3; allowed: an object"},
      {rate("[{\"shape\": \"linear\", \"steps\": 0, \"to\": 1}]"),
       "optimizer.learning_rate[0].steps: found 0; allowed: an integer from 1 to 1125899906842624"},
      {rate("[{\"shape\": \"step\", \"steps\": 1, \"to\": 1}]"),
       "optimizer.learning_rate[0].shape: found \"step\" (a string); allowed: \"linear\", "
       "\"constant\", \"cosine\""},
      {rate("[{\"shape\": \"cosine\", \"steps\": 1}]"),
       "optimizer.learning_rate[0].to: found nothing (the key is missing); allowed: a number of at "
       "least 0 and at most "
       "1000000000"},
      {rate("[{\"shape\": \"linear\", \"steps\": 1, \"to\": -1}]"),
       "optimizer.learning_rate[0].to: found -1; allowed: a number of at least 0 and at most "
       "1000000000"},
  });
}

TEST(PlanErrors, Phases) {
  expectRefusals({
      {{{"mtp", "{\"weight\": []}"}},
       "mtp.weight: found an empty list; allowed: a number, or a list of phases"},
      {{{"mtp", "{\"weight\": [{\"value\": 0.3}, {\"value\": 0.1}]}"}},
       "mtp.weight[0].steps: found nothing (the key is missing); allowed: an integer from 1 to "
       "1125899906842624"},
      {{{"mtp", "{\"weight\": [{\"steps\": 3, \"value\": 0.3}]}"}},
       "mtp.weight[0].steps: found steps in the last phase; allowed: no steps there: the last "
       "value holds for ever"},
      {{{"mtp", "{\"weight\": [{\"steps\": 3}, {\"value\": 0.1}]}"}},
       "mtp.weight[0].value: found nothing (the key is missing); allowed: a number of at least 0 "
       "and at most 1000000000"},
      {{{"pipeline", "{\"micro_batches\": [{\"steps\": 3, \"value\": 1.5}, {\"value\": 1}]}"}},
       "pipeline.micro_batches[0].value: found 1.5; allowed: an integer from 1 to 16777216"},
  });
}

TEST(PlanErrors, NotSupportedYet) {
  Checked<Plan> plan = usablePlan(planText({{"precision", "\"bf16\""}}), "p.json", validSpec());
  ASSERT_FALSE(bool(plan));
  EXPECT_EQ(plan.error().message(),
            "p.json:4: precision: found \"bf16\"; allowed: \"f32\" (supported: f32; others with "
            "--dry-run)");
  expectUnusable({
      {{{"precision", "\"fp8\""}},
       "precision: found \"fp8\"; allowed: \"f32\" (supported: f32; others with --dry-run)"},
      {{{"cache", "\"bf16\""}},
       "cache: found \"bf16\"; allowed: \"f32\" (supported: f32; others with --dry-run)"},
      {{{"dispatch", "\"fp8\""}},
       "dispatch: found \"fp8\"; allowed: \"f32\" (supported: f32; others with --dry-run)"},
      {{{"optimizer", "{\"adamw\": {\"moments\": \"bf16\"}, \"learning_rate\": [{\"shape\": "
                      "\"constant\", \"steps\": 1}]}"}},
       "optimizer.adamw.moments: found \"bf16\"; allowed: \"f32\" (supported: f32; others with "
       "--dry-run)"},
      {{{"pipeline", "{\"micro_batches\": [{\"steps\": 3, \"value\": 1}, {\"value\": 2}]}"}},
       "pipeline.micro_batches: found a list of 2 phases; allowed: a number (supported: one "
       "micro-batch count for the whole "
       "training)"},
      {{{"micro_batch",
         "{\"sequences\": 1, \"tokens\": [{\"steps\": 3, \"value\": 8}, {\"value\": 16}]}"}},
       "micro_batch.tokens: found a list of 2 phases; allowed: a number (supported: one window "
       "length for the whole "
       "training)"},
  });
}

TEST(PlanErrors, WindowAndModel) {
  auto tokens = [](const char *count) {
    return Fields{{"micro_batch", std::string("{\"sequences\": 2, \"tokens\": ") + count + "}"}};
  };
  expectUnusable({
      {tokens("1"), "micro_batch.tokens: found 1; allowed: more than num_nextn_predict_layers, 1"},
      {tokens("129"),
       "micro_batch.tokens: found 129; allowed: at most max_position_embeddings, 128"},
      {{{"micro_batch", "{\"sequences\": 16777216, \"tokens\": 100}"}},
       "micro_batch.sequences: found 16777216 x 100 tokens; allowed: at most 536870911 tokens in "
       "one micro-batch"},
      {{{"pipeline", "{\"stages\": [1]}"}},
       "pipeline.stages: found 1 layers in all; allowed: numbers that add up to num_hidden_layers, "
       "2"},
      {{{"pipeline", "{\"stages\": [1, 1]}"}},
       "pipeline.stages: found a list of 2; allowed: one number per stage, 1"},
  });
  EXPECT_TRUE(bool(
      usablePlan(planText(tokens("1")), "p.json", validSpec({{"num_nextn_predict_layers", "0"}}))));
}

TEST(PlanErrors, CombinationsForSeveralRanks) {
  ModelSpec spec = validSpec({{"num_hidden_layers", "8"}});
  expectImpossible(
      {
          {{{"data_parallel", "4"}, {"expert_parallel", "3"}},
           "expert_parallel: found 3; allowed: a divisor of data_parallel, 4"},
          {{{"data_parallel", "32"}, {"expert_parallel", "32"}},
           "expert_parallel: found 32; allowed: a divisor of n_routed_experts, 16"},
          {{{"data_parallel", "1048576"}, {"pipeline", "{\"ranks\": 2}"}},
           "data_parallel: found 1048576 x 2 pipeline ranks; allowed: at most 1048576 ranks in "
           "all"},
          {{{"pipeline", "{\"ranks\": 11}"}},
           "pipeline.ranks: found 11; allowed: at most 10: each stage has at least one of "
           "embedding, layer (8 in all), last part"},
          {{{"pipeline", "{\"ranks\": 10}"}}, "accepted"},
          {{{"pipeline", "{\"ranks\": 6, \"schedule\": \"dualpipev\", \"micro_batches\": 12}"}},
           "pipeline.ranks: found 6; allowed: at most 5: two stages a rank, and each stage has at "
           "least one of embedding, layer (8 in all), last part"},
          {{{"pipeline", "{\"ranks\": 3, \"schedule\": \"dualpipe\", \"micro_batches\": 6}"}},
           "pipeline.ranks: found 3; allowed: an even number with the schedule dualpipe"},
          {{{"pipeline", "{\"ranks\": 4, \"schedule\": \"dualpipe\", \"micro_batches\": 6}"}},
           "pipeline.micro_batches: found 6; allowed: an even number of at least 2 x ranks, 8, "
           "with the schedule dualpipe"},
          {{{"pipeline", "{\"ranks\": 4, \"schedule\": \"dualpipe\", \"micro_batches\": 9}"}},
           "pipeline.micro_batches: found 9; allowed: an even number of at least 2 x ranks, 8, "
           "with the schedule dualpipe"},
          {{{"pipeline", "{\"ranks\": 3, \"schedule\": \"dualpipev\", \"micro_batches\": 5}"}},
           "pipeline.micro_batches: found 5; allowed: a number of at least 2 x ranks, 6, with the "
           "schedule dualpipev"},
          {{{"pipeline", "{\"ranks\": 3, \"schedule\": \"dualpipev\", \"micro_batches\": 7}"}},
           "accepted"},
      },
      spec);
}

TEST(PlanErrors, Stages) {
  ModelSpec spec = validSpec({{"num_hidden_layers", "8"}});
  auto stages = [](const char *list, const char *more = "") {
    return Fields{{"pipeline", std::string("{\"ranks\": 4, \"stages\": ") + list + more + "}"}};
  };
  expectImpossible(
      {
          {stages("[2, 2, 2, 2]"), "accepted"},
          {stages("[0, 4, 4, 0]"), "accepted"},
          {stages("[3, 0, 3, 2]"),
           "pipeline.stages: found 0 layers on stage 1; allowed: at least one, except on the first "
           "stage (embedding) and the last one (last part)"},
          {stages("[4, 4]"),
           "pipeline.stages: found a list of 2; allowed: one number per stage, 4"},
          {stages("[1, 1, 1, 1, 1, 1, 1, 1]",
                  ", \"schedule\": \"dualpipev\", \"micro_batches\": 8"),
           "accepted"},
          {stages("[2, 2, 2, 2]", ", \"schedule\": \"dualpipev\", \"micro_batches\": 8"),
           "pipeline.stages: found a list of 4; allowed: one number per stage, 8"},
          {stages("[2, 2, 2, 3]"),
           "pipeline.stages: found 9 layers in all; allowed: numbers that add up to "
           "num_hidden_layers, 8"},
      },
      spec);
}

TEST(PlanErrors, ExpertsOverRanks) {
  expectImpossible({{{{"data_parallel", "2"}, {"expert_parallel", "2"}},
                     "expert_parallel: found 2; allowed: 1: the model has no routed experts"}},
                   validSpec({{"num_hidden_layers", "2"},
                              {"first_k_dense_replace", "2"},
                              {"num_nextn_predict_layers", "0"}}));
  expectImpossible(
      {{{{"data_parallel", "16"},
         {"expert_parallel", "16"},
         {"micro_batch", "{\"sequences\": 16777216, \"tokens\": 2}"}},
        "micro_batch.sequences: found 16777216 x 2 tokens; allowed: at most 33554431 tokens in one "
        "micro-batch"}},
      validSpec());
}

TEST(PlanErrors, DryRunsTakeOtherPrecisions) {
  std::string text = planText({{"precision", "\"fp8\""}, {"cache", "\"bf16\""}});
  EXPECT_FALSE(bool(usablePlan(text, "p.json", validSpec())));
  Checked<Plan> plan = usablePlan(text, "p.json", validSpec(), Purpose::DryRun);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  EXPECT_EQ(plan->precision, Precision::FP8);
  std::string phases = planText(
      {{"pipeline", "{\"micro_batches\": [{\"steps\": 3, \"value\": 1}, {\"value\": 2}]}"}});
  EXPECT_FALSE(bool(usablePlan(phases, "p.json", validSpec(), Purpose::DryRun)));
}

} // namespace
