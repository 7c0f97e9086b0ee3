// SPDX-License-Identifier: Apache-2.0
//
// Configs that must be refused, with the whole message: file, line, JSON path, what was found, what
// is allowed.

#include "test/unit/frontend/TestInputs.h"

using namespace hadal;
using namespace hadal::test;

namespace {

std::string refusal(const std::string &text) {
  Checked<ModelSpec> spec = parseModelSpec(text, "c.json");
  return spec ? "accepted" : spec.error().message();
}

struct Case {
  Fields changes;
  const char *message; ///< behind "c.json:LINE: "
};

void expectRefusals(const std::vector<Case> &cases) {
  for (const Case &one : cases) {
    std::string message = refusal(configText(one.changes));
    size_t place = message.find(": ");
    EXPECT_EQ(message.substr(0, 7), "c.json:") << message;
    EXPECT_EQ(place == message.npos ? message : message.substr(place + 2), one.message);
  }
}

TEST(ModelSpecErrors, LinesAreThoseOfTheValue) {
  EXPECT_EQ(
      refusal(configText({{"model_type", "\"llama\""}})),
      "c.json:3: model_type: found \"llama\" (a string); allowed: \"deepseek_v3\", \"kimi_k2\"");
  EXPECT_EQ(refusal(configText({{"eos_token_id", "-1"}})),
            "c.json:40: eos_token_id: found -1; allowed: an integer from 0 to 2147483647");
}

TEST(ModelSpecErrors, Architecture) {
  expectRefusals({
      {{{"model_type", ""}},
       "model_type: found nothing (the key is missing); allowed: \"deepseek_v3\", \"kimi_k2\""},
      {{{"model_type", "\"deepseek_v2\""}},
       "model_type: found \"deepseek_v2\" (a string); allowed: \"deepseek_v3\", \"kimi_k2\""},
      {{{"architectures", "[\"LlamaForCausalLM\"]"}},
       "architectures: found \"LlamaForCausalLM\" (a string); allowed: a list with "
       "\"DeepseekV3ForCausalLM\""},
      {{{"architectures", "[]"}},
       "architectures: found an empty list; allowed: a list with \"DeepseekV3ForCausalLM\""},
  });
}

TEST(ModelSpecErrors, WrongTypes) {
  expectRefusals({
      {{{"hidden_size", "\"48\""}},
       "hidden_size: found \"48\" (a string); allowed: an integer from 1 to 2147483647"},
      {{{"hidden_size", "48.5"}},
       "hidden_size: found 48.5; allowed: an integer from 1 to 2147483647"},
      {{{"hidden_size", "null"}},
       "hidden_size: found null; allowed: an integer from 1 to 2147483647"},
      {{{"hidden_size", "[48]"}},
       "hidden_size: found a list of 1; allowed: an integer from 1 to 2147483647"},
      {{{"hidden_size", "true"}},
       "hidden_size: found true; allowed: an integer from 1 to 2147483647"},
      {{{"norm_topk_prob", "1"}}, "norm_topk_prob: found 1; allowed: true or false"},
      {{{"rms_norm_eps", "\"1e-6\""}},
       "rms_norm_eps: found \"1e-6\" (a string); allowed: a number of at least 0 and at most 1"},
      {{{"rope_scaling", "\"yarn\""}},
       "rope_scaling: found \"yarn\" (a string); allowed: an object"},
      {{{"hidden_act", "1"}}, "hidden_act: found 1; allowed: \"silu\""},
      {{{"eos_token_id", "{}"}},
       "eos_token_id: found an object; allowed: an integer from 0 to 2147483647"},
      {{{"eos_token_id", "[1, true]"}},
       "eos_token_id[1]: found true; allowed: an integer from 0 to 2147483647"},
  });
  EXPECT_EQ(refusal("[]"), "c.json:1: found an empty list; allowed: an object");
  EXPECT_EQ(refusal("3"), "c.json:1: found 3; allowed: an object");
}

/// Every key without a sensible default is missed by name.
TEST(ModelSpecErrors, MissingKeys) {
  for (const char *key : {"vocab_size",
                          "hidden_size",
                          "intermediate_size",
                          "moe_intermediate_size",
                          "num_hidden_layers",
                          "num_attention_heads",
                          "first_k_dense_replace",
                          "n_routed_experts",
                          "n_shared_experts",
                          "num_experts_per_tok",
                          "n_group",
                          "topk_group",
                          "norm_topk_prob",
                          "routed_scaling_factor",
                          "q_lora_rank",
                          "kv_lora_rank",
                          "qk_nope_head_dim",
                          "qk_rope_head_dim",
                          "v_head_dim",
                          "max_position_embeddings",
                          "rope_theta",
                          "rms_norm_eps"}) {
    std::string message = refusal(configText({{key, ""}}));
    EXPECT_EQ(message.find("c.json:1: " + std::string(key) +
                           ": found nothing (the key is missing); allowed: "),
              0u)
        << message;
  }
}

TEST(ModelSpecErrors, NumbersOutOfRange) {
  expectRefusals({
      {{{"vocab_size", "0"}}, "vocab_size: found 0; allowed: an integer from 1 to 2147483647"},
      {{{"vocab_size", "-5"}}, "vocab_size: found -5; allowed: an integer from 1 to 2147483647"},
      {{{"vocab_size", "2147483648"}},
       "vocab_size: found 2147483648; allowed: an integer from 1 to 2147483647"},
      {{{"vocab_size", "99999999999999999999999"}},
       "vocab_size: found 99999999999999999999999; allowed: an integer from 1 to 2147483647"},
      {{{"rms_norm_eps", "-1e-6"}},
       "rms_norm_eps: found -1e-6; allowed: a number of at least 0 and at most 1"},
      {{{"routed_scaling_factor", "0"}},
       "routed_scaling_factor: found 0; allowed: a number above 0 and at most 1000000"},
      {{{"aux_loss_alpha", "-0.1"}},
       "aux_loss_alpha: found -0.1; allowed: a number of at least 0 and at most 1000000"},
      {{{"initializer_range", "-0.02"}},
       "initializer_range: found -0.02; allowed: a number of at least 0 and at most 1000"},
      {{{"num_nextn_predict_layers", "-1"}},
       "num_nextn_predict_layers: found -1; allowed: an integer from 0 to 1000"},
      {{{"rope_theta", "0"}}, "rope_theta: found 0; allowed: a number above 1"},
      {{{"q_lora_rank", "-1"}}, "q_lora_rank: found -1; allowed: an integer from 0 to 2147483647"},
      {{{"hidden_size", "2147483647"}, {"vocab_size", "2147483647"}},
       "hidden_size: found 2147483647, so 1.844675064071456e+19 parameters in all; allowed: sizes "
       "that give at most 1e+17 "
       "parameters"},
      {{{"num_hidden_layers", "10000"}, {"n_routed_experts", "1048576"}},
       "n_routed_experts: found 1048576, so 31457420019 tensors; allowed: layers and experts that "
       "give at most 10000000 "
       "tensors"},
  });
}

TEST(ModelSpecErrors, SizesThatDoNotFit) {
  expectRefusals({
      {{{"n_group", "3"}}, "n_group: found 3; allowed: a divisor of n_routed_experts, 16"},
      {{{"n_group", "16"}},
       "n_group: found 16 groups of one expert; allowed: groups of at least 2 experts (the score "
       "of a group is the sum of "
       "its two best), or 1 group"},
      {{{"topk_group", "5"}}, "topk_group: found 5; allowed: at most n_group, 4"},
      {{{"num_experts_per_tok", "9"}},
       "num_experts_per_tok: found 9; allowed: at most the experts of the kept groups, 2 x 4 = 8"},
      {{{"qk_rope_head_dim", "7"}},
       "qk_rope_head_dim: found 7; allowed: an even number: rotary position turns pairs of "
       "dimensions"},
      {{{"first_k_dense_replace", "3"}},
       "first_k_dense_replace: found 3; allowed: at most num_hidden_layers, 2"},
      {{{"num_key_value_heads", "1"}},
       "num_key_value_heads: found 1; allowed: num_attention_heads, 3"},
      {{{"qk_head_dim", "25"}},
       "qk_head_dim: found 25; allowed: qk_nope_head_dim + qk_rope_head_dim, 24"},
  });
}

TEST(ModelSpecErrors, OtherMathematics) {
  expectRefusals({
      {{{"hidden_act", "\"gelu\""}}, "hidden_act: found \"gelu\" (a string); allowed: \"silu\""},
      {{{"scoring_func", "\"softmax\""}},
       "scoring_func: found \"softmax\" (a string); allowed: \"sigmoid\""},
      {{{"topk_method", "\"greedy\""}},
       "topk_method: found \"greedy\" (a string); allowed: \"noaux_tc\""},
      {{{"moe_layer_freq", "2"}}, "moe_layer_freq: found 2; allowed: 1"},
      {{{"attention_bias", "true"}}, "attention_bias: found true; allowed: false"},
      {{{"attention_dropout", "0.1"}}, "attention_dropout: found 0.1; allowed: 0"},
      {{{"tie_word_embeddings", "true"}}, "tie_word_embeddings: found true; allowed: false"},
      {{{"rope_interleave", "false"}}, "rope_interleave: found false; allowed: true"},
      {{{"seq_aux", "false"}}, "seq_aux: found false; allowed: true"},
      {{{"torch_dtype", "\"int8\""}},
       "torch_dtype: found \"int8\" (a string); allowed: \"float32\", \"bfloat16\", \"float16\""},
      {{{"dtype", "\"bfloat16\""}},
       "dtype: found \"bfloat16\" (a string); allowed: the same as torch_dtype, \"float32\" (a "
       "string)"},
  });
}

TEST(ModelSpecErrors, Rotary) {
  expectRefusals({
      {{{"rope_scaling", "{\"type\": \"linear\", \"factor\": 2}"}},
       "rope_scaling.type: found \"linear\" (a string); allowed: \"yarn\", \"default\""},
      {{{"rope_scaling", "{\"factor\": 2}"}},
       "rope_scaling.rope_type: found nothing (the key is missing); allowed: \"yarn\", "
       "\"default\""},
      {{{"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2}"}},
       "rope_scaling.original_max_position_embeddings: found nothing (the key is missing); "
       "allowed: an integer from 1 to "
       "2147483647"},
      {{{"rope_scaling", "{\"type\": \"yarn\", \"rope_type\": \"default\"}"}},
       "rope_scaling.rope_type: found \"default\"; allowed: the same as type, \"yarn\""},
      {{{"rope_scaling",
         "{\"type\": \"yarn\", \"factor\": 0.5, \"original_max_position_embeddings\": 32}"}},
       "rope_scaling.factor: found 0.5; allowed: a number of at least 1 and at most 1000000"},
      {{{"rope_scaling",
         "{\"type\": \"yarn\", \"factor\": 2, \"original_max_position_embeddings\": 32, "
         "\"beta_fast\": 1, \"beta_slow\": 2}"}},
       "rope_scaling.beta_fast: found 1; allowed: at least beta_slow, 2"},
      {{{"rope_scaling", "{\"type\": \"yarn\", \"factor\": 2, "
                         "\"original_max_position_embeddings\": 32, \"truncate\": false}"}},
       "rope_scaling.truncate: found false; allowed: true (the limits of the ramp are whole "
       "dimensions)"},
      {{{"rope_parameters", "{\"rope_type\": \"default\", \"rope_theta\": 500.0}"}},
       "rope_parameters.rope_theta: found 500; allowed: the same as the outer rope_theta, 10000"},
      {{{"rope_parameters", "{\"rope_type\": \"default\"}"},
        {"rope_scaling", "{\"rope_type\": \"default\"}"}},
       "rope_parameters: found both rope_parameters and rope_scaling; allowed: one of them"},
  });
}

TEST(ModelSpecErrors, Quantisation) {
  auto config = [](const char *more) {
    return Fields{{"quantization_config", std::string("{\"quant_method\": \"fp8\"") + more + "}"}};
  };
  expectRefusals({
      {{{"quantization_config", "{\"quant_method\": \"gptq\"}"}},
       "quantization_config.quant_method: found \"gptq\" (a string); allowed: \"fp8\""},
      {config(""), "quantization_config.weight_block_size: found nothing (the key is missing); "
                   "allowed: [128, 128]"},
      {config(", \"weight_block_size\": [128]"),
       "quantization_config.weight_block_size: found a list of 1; allowed: [128, 128]"},
      {config(", \"weight_block_size\": [128, 64]"),
       "quantization_config.weight_block_size[1]: found 64; allowed: 128"},
      {config(", \"weight_block_size\": [128, 128], \"fmt\": \"e5m2\""),
       "quantization_config.fmt: found \"e5m2\" (a string); allowed: \"e4m3\""},
  });
}

TEST(ModelSpecErrors, BrokenFiles) {
  EXPECT_EQ(loadModelSpec("no-such.json").error().message(),
            "no-such.json: found no such file; allowed: a readable file");
  std::string text = configText();
  EXPECT_NE(refusal(text.substr(0, text.size() / 2)).find("invalid JSON"), std::string::npos);
  EXPECT_EQ(refusal(configText({{"auto_map", std::string(64, '[') + std::string(64, ']')}})),
            "c.json:41: found values nested deeper than 64; allowed: at most 64 levels");
  EXPECT_EQ(
      refusal("{\"model_type\": \"deepseek_v3\",\n\"model_type\": \"deepseek_v3\"}"),
      "c.json:2: model_type: found the key \"model_type\" a second time; allowed: each key once");
}

} // namespace
