// SPDX-License-Identifier: Apache-2.0
//
// Configs that must be understood: the published models, every spelling, and the values YaRN must
// give.

#include "test/unit/frontend/TestInputs.h"

#include <cmath>

using namespace hadal;
using namespace hadal::test;

namespace {

const char *kYarn = "{\"type\": \"yarn\", \"factor\": 40, \"original_max_position_embeddings\": "
                    "4096, \"beta_fast\": 32, "
                    "\"beta_slow\": 1, \"mscale\": 1.0, \"mscale_all_dim\": 1.0}";

TEST(ModelSpec, ReadsDeepSeekV3) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  EXPECT_TRUE(spec.warnings.empty()) << spec.warnings[0];
  EXPECT_EQ(spec.numHiddenLayers, 61);
  EXPECT_EQ(spec.layers(), 62);
  EXPECT_EQ(spec.qLoraRank, 1536);
  EXPECT_EQ(spec.qkHeadDim(), 192);
  EXPECT_EQ(spec.expertsPerGroup(), 32);
  EXPECT_FALSE(spec.isMoe(2));
  EXPECT_TRUE(spec.isMoe(3));
  EXPECT_TRUE(spec.isMoe(61));
  EXPECT_TRUE(spec.isMtp(61));
  EXPECT_EQ(spec.weightType, WeightType::BF16);
  EXPECT_EQ(fp8Of(spec).scaleRule, ScaleRule::F32);
  EXPECT_EQ(spec.auxLossAlpha, 0); // the published file has no aux_loss_alpha
  EXPECT_EQ(spec.eosTokenIds, std::vector<int64_t>{1});
  EXPECT_EQ(spec.text, *readTextFile(spec.file));
}

TEST(ModelSpec, YarnGivesThePublishedValues) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  EXPECT_NEAR(spec.softmaxScale(), 0.1352337789, 1e-10);
  EXPECT_EQ(spec.rotaryAmplitude(), 1.0);
  std::vector<double> w = spec.rotaryFrequencies();
  ASSERT_EQ(w.size(), 32u);
  const std::pair<int, double> golden[] = {{0, 1.0},
                                           {1, 7.498942093e-1},
                                           {10, 5.623413252e-2},
                                           {11, 3.900692657e-2},
                                           {12, 2.687936011e-2},
                                           {16, 5.5e-3},
                                           {17, 3.561997494e-3},
                                           {20, 7.905694150e-4},
                                           {22, 1.778279410e-4},
                                           {23, 3.333803580e-5},
                                           {31, 3.333803580e-6}};
  for (auto [j, value] : golden)
    EXPECT_NEAR(w[j], value, 1e-9 * value) << j;
}

TEST(ModelSpec, WithoutYarnNothingIsScaled) {
  ModelSpec spec = validSpec({{"qk_nope_head_dim", "128"}, {"qk_rope_head_dim", "64"}});
  EXPECT_NEAR(spec.softmaxScale(), 0.0721687836, 1e-10);
  EXPECT_FALSE(spec.yarn);
  EXPECT_EQ(spec.rotaryFrequencies()[1], std::pow(10000.0, -2.0 / 64));
}

TEST(ModelSpec, SoftmaxFactorOfV2) {
  ModelSpec spec =
      validSpec({{"qk_nope_head_dim", "128"},
                 {"qk_rope_head_dim", "64"},
                 {"rope_scaling",
                  "{\"type\": \"yarn\", \"factor\": 40, \"original_max_position_embeddings\": "
                  "4096, \"mscale\": 0.707, \"mscale_all_dim\": 0.707}"}});
  EXPECT_NEAR(spec.softmaxScale(), 0.1147213868, 1e-10);
  EXPECT_EQ(spec.rotaryAmplitude(), 1.0);
  EXPECT_EQ(yarnOf(spec).betaFast, 32);
  EXPECT_EQ(yarnOf(spec).betaSlow, 1);
}

/// Where mscale or mscale_all_dim is missing, the tables get 0.1 ln(factor) + 1, as transformers
/// has it.
TEST(ModelSpec, MissingMscaleIsANamedChoice) {
  auto yarn = [](const std::string &more) {
    return yarnOf(validSpec({{"rope_scaling", "{\"type\": \"yarn\", \"factor\": 40, "
                                              "\"original_max_position_embeddings\": 4096" +
                                                  more + "}"}}));
  };
  const double m = 0.1 * std::log(40.0) + 1;
  Yarn neither = yarn("");
  EXPECT_EQ(neither.amplitudeRule, YarnAmplitude::FactorOnly);
  EXPECT_DOUBLE_EQ(neither.amplitude, m);
  EXPECT_EQ(neither.softmaxScaleFactor, 1);
  Yarn allDimOnly = yarn(", \"mscale_all_dim\": 1.0");
  EXPECT_EQ(allDimOnly.amplitudeRule, YarnAmplitude::FactorOnly);
  EXPECT_DOUBLE_EQ(allDimOnly.amplitude, m);
  EXPECT_DOUBLE_EQ(allDimOnly.softmaxScaleFactor, m * m);
  Yarn zero = yarn(", \"mscale\": 1.0, \"mscale_all_dim\": 0");
  EXPECT_EQ(zero.amplitudeRule, YarnAmplitude::FactorOnly);
  EXPECT_EQ(zero.softmaxScaleFactor, 1);
  Yarn ratio = yarn(", \"mscale\": 0.707, \"mscale_all_dim\": 1.0");
  EXPECT_EQ(ratio.amplitudeRule, YarnAmplitude::MscaleRatio);
  EXPECT_DOUBLE_EQ(ratio.amplitude, (0.0707 * std::log(40.0) + 1) / m);
  Yarn given = yarn(", \"attention_factor\": 1.25");
  EXPECT_EQ(given.amplitudeRule, YarnAmplitude::Given);
  EXPECT_EQ(given.amplitude, 1.25);
}

TEST(ModelSpec, OldAndNewSpellingsMeanTheSame) {
  ModelSpec old = validSpec({{"rope_scaling", kYarn}});
  std::string rest = std::string(kYarn).substr(std::string("{\"type\": \"yarn\"").size());
  const Fields spellings[] = {
      {{"rope_scaling", "{\"rope_type\": \"yarn\"" + rest}},
      {{"rope_scaling", "{\"rope_type\": \"yarn\", \"type\": \"yarn\"" + rest}},
      {{"rope_theta", ""},
       {"rope_parameters", "{\"rope_type\": \"yarn\", \"rope_theta\": 10000.0" + rest}},
      {{"rope_parameters", "{\"rope_type\": \"yarn\", \"rope_theta\": 10000.0" + rest},
       {"rope_scaling", "null"}},
      {{"rope_theta", ""},
       {"rope_scaling", "{\"rope_type\": \"yarn\", \"rope_theta\": 10000" + rest}}};
  for (const Fields &changes : spellings) {
    ModelSpec spec = validSpec(changes);
    EXPECT_TRUE(spec.warnings.empty());
    ASSERT_TRUE(spec.yarn.has_value());
    EXPECT_EQ(spec.rotaryFrequencies(), old.rotaryFrequencies());
    EXPECT_EQ(spec.softmaxScale(), old.softmaxScale());
  }
}

TEST(ModelSpec, PlainRotaryInEverySpelling) {
  for (const Fields &changes :
       {Fields{{"rope_scaling", "null"}}, Fields{{"rope_scaling", "{\"rope_type\": \"default\"}"}},
        Fields{{"rope_theta", ""}, {"rope_parameters", "{\"rope_theta\": 10000.0}"}},
        Fields{{"rope_theta", ""},
               {"rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 10000.0}"}}}) {
    ModelSpec spec = validSpec(changes);
    EXPECT_FALSE(spec.yarn);
    EXPECT_EQ(spec.ropeTheta, 10000);
  }
}

TEST(ModelSpec, ReadsKimiK2) {
  ModelSpec spec = loadedSpec(testPath("frontend/Inputs/kimi-k2.json"));
  EXPECT_TRUE(spec.warnings.empty());
  EXPECT_EQ(spec.modelType, "kimi_k2");
  EXPECT_EQ(spec.numGroups, 1);
  EXPECT_EQ(spec.layers(), 61);
  for (double w : spec.rotaryFrequencies())
    EXPECT_TRUE(std::isfinite(w) && w > 0);
}

TEST(ModelSpec, ReadsMoonlight) {
  ModelSpec spec = loadedSpec(examplePath("moonlight-16b-a3b/config.json"));
  EXPECT_TRUE(spec.warnings.empty());
  EXPECT_EQ(spec.qLoraRank, 0);
  EXPECT_EQ(spec.numSharedExperts, 2);
  EXPECT_EQ(spec.auxLossAlpha, 0.001);
  EXPECT_EQ(spec.rmsNormEps, 1e-5);
  EXPECT_EQ(spec.latentNormEps, 1e-6);
  EXPECT_FALSE(spec.fp8);
}

TEST(ModelSpec, ScaleFormatOfV31) {
  ModelSpec spec = validSpec(
      {{"quantization_config",
        "{\"activation_scheme\": \"dynamic\", \"fmt\": \"e4m3\", \"quant_method\": \"fp8\", "
        "\"scale_fmt\": \"ue8m0\", \"weight_block_size\": [128, 128]}"}});
  EXPECT_EQ(fp8Of(spec).scaleRule, ScaleRule::PowerOfTwo);
  EXPECT_TRUE(spec.warnings.empty());
}

TEST(ModelSpec, ReadsEveryOracleConfig) {
  for (const char *name : {"dense", "groups", "mtp", "mtp-two-depths", "odd-sizes", "one-token",
                           "plain-query", "training", "yarn", "yarn-amplitude"}) {
    ModelSpec spec = loadedSpec(testPath(std::string("oracle/") + name + "/config.json"));
    EXPECT_TRUE(spec.warnings.empty()) << name;
    EXPECT_GT(spec.vocabSize, 0) << name;
  }
}

TEST(ModelSpec, VariationsThatAreFine) {
  EXPECT_EQ(validSpec({{"q_lora_rank", "0"}}).qLoraRank, 0);
  EXPECT_EQ(validSpec({{"n_shared_experts", "0"}}).numSharedExperts, 0);
  EXPECT_EQ(validSpec({{"n_shared_experts", "null"}}).numSharedExperts, 0);
  EXPECT_EQ(validSpec({{"num_nextn_predict_layers", ""}}).numNextnPredictLayers, 0);
  EXPECT_EQ(validSpec({{"dtype", "\"bfloat16\""}, {"torch_dtype", ""}}).weightType,
            WeightType::BF16);
  EXPECT_EQ(validSpec({{"eos_token_id", "[3, 5]"}}).eosTokenIds, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ(validSpec({{"bos_token_id", "null"}}).bosTokenId, -1);
  EXPECT_EQ(validSpec({{"first_k_dense_replace", "2"}, {"num_nextn_predict_layers", "0"}}).hasMoe(),
            false);
  EXPECT_EQ(validSpec({{"num_key_value_heads", ""}}).numAttentionHeads, 3);
  EXPECT_EQ(validSpec({{"rope_theta", "10000"}}).ropeTheta, 10000);
  EXPECT_EQ(validSpec({{"hidden_size", "48.0"}}).hiddenSize, 48);
  // One group: nothing is chosen between groups, so one expert is enough.
  Fields one = {{"n_routed_experts", "1"},
                {"n_group", "1"},
                {"topk_group", "1"},
                {"num_experts_per_tok", "1"}};
  EXPECT_EQ(validSpec(one).expertsPerGroup(), 1);
  EXPECT_EQ(validSpec({{"num_experts_per_tok", "8"}}).numExpertsPerToken, 8);
}

TEST(ModelSpec, KnownKeysWithoutMeaningAreSilent) {
  ModelSpec spec = validSpec({{"auto_map", "{}"},
                              {"use_cache", "true"},
                              {"transformers_version", "\"5.2\""},
                              {"pretraining_tp", "1"},
                              {"ep_size", "4"},
                              {"head_dim", "8"},
                              {"qk_head_dim", "24"},
                              {"rope_interleave", "true"}});
  EXPECT_TRUE(spec.warnings.empty());
}

TEST(ModelSpec, UnknownKeysAreWarnings) {
  ModelSpec spec = validSpec({{"sliding_window", "7"}});
  ASSERT_EQ(spec.warnings.size(), 1u);
  EXPECT_EQ(spec.warnings[0], "config.json:41: sliding_window: found an unknown key, which is "
                              "ignored; allowed: the keys of "
                              "a deepseek_v3 config.json");
  spec = validSpec(
      {{"rope_scaling", "{\"rope_type\": \"default\", \"colour\": 1}"}, {"eos_token_id", "97"}});
  ASSERT_EQ(spec.warnings.size(), 2u);
  EXPECT_NE(spec.warnings[0].find("rope_scaling.colour: found an unknown key"), std::string::npos);
  EXPECT_NE(spec.warnings[1].find("eos_token_id: found 97; allowed: ids below vocab_size, 97"),
            std::string::npos);
}

TEST(ModelSpec, ChoicesArePrinted) {
  auto choices = namedChoices(loadedSpec(examplePath("deepseek-v3/config.json")));
  auto value = [&](const std::string &key) {
    for (const auto &choice : choices)
      if (choice.first == key)
        return choice.second;
    return std::string("absent");
  };
  EXPECT_EQ(value("group_mask"), "-inf");
  EXPECT_EQ(value("group_score"), "top2_sum");
  EXPECT_EQ(value("topk_weight_sum_eps"), "1e-20");
  EXPECT_EQ(value("rotary_layout"), "interleaved");
  EXPECT_EQ(value("yarn_amplitude_rule"), "mscale_ratio");
  EXPECT_EQ(value("mtp_half_order"), "embedding_first");
  EXPECT_EQ(value("mtp_loss_normalisation"), "window");
  EXPECT_EQ(value("latent_norm_eps"), "1e-06");
}

} // namespace
