// SPDX-License-Identifier: Apache-2.0
//
// Inputs of the frontend's tests: a small valid config.json and plan.json as lists of top-level
// keys that a test changes.

#ifndef HADAL_TEST_UNIT_FRONTEND_TESTINPUTS_H
#define HADAL_TEST_UNIT_FRONTEND_TESTINPUTS_H

#include "frontend/Plan.h"

#include "gtest/gtest.h"

#include <string>
#include <utility>
#include <vector>

namespace hadal::test {

/// Key and JSON text of its value; an empty text leaves the key out.
using Fields = std::vector<std::pair<std::string, std::string>>;

/// One key a line, the first on line 2; `changes` replace or append.
inline std::string jsonText(Fields fields, const Fields &changes) {
  for (const auto &change : changes) {
    bool replaced = false;
    for (auto &field : fields)
      if (field.first == change.first) {
        field.second = change.second;
        replaced = true;
      }
    if (!replaced)
      fields.push_back(change);
  }
  std::string out = "{";
  for (const auto &[key, value] : fields) {
    if (value.empty())
      continue;
    out += out.size() > 1 ? ",\n " : "\n ";
    out += quoteJson(key);
    out += ": ";
    out += value;
  }
  return out + "\n}\n";
}

inline std::string configText(const Fields &changes = {}) {
  return jsonText({{"architectures", "[\"DeepseekV3ForCausalLM\"]"},
                   {"model_type", "\"deepseek_v3\""},
                   {"torch_dtype", "\"float32\""},
                   {"vocab_size", "97"},
                   {"hidden_size", "48"},
                   {"intermediate_size", "80"},
                   {"moe_intermediate_size", "24"},
                   {"num_hidden_layers", "2"},
                   {"num_attention_heads", "3"},
                   {"num_key_value_heads", "3"},
                   {"hidden_act", "\"silu\""},
                   {"first_k_dense_replace", "1"},
                   {"moe_layer_freq", "1"},
                   {"n_routed_experts", "16"},
                   {"n_shared_experts", "1"},
                   {"num_experts_per_tok", "4"},
                   {"n_group", "4"},
                   {"topk_group", "2"},
                   {"topk_method", "\"noaux_tc\""},
                   {"scoring_func", "\"sigmoid\""},
                   {"norm_topk_prob", "true"},
                   {"routed_scaling_factor", "2.5"},
                   {"aux_loss_alpha", "0.001"},
                   {"seq_aux", "true"},
                   {"num_nextn_predict_layers", "1"},
                   {"q_lora_rank", "32"},
                   {"kv_lora_rank", "24"},
                   {"qk_nope_head_dim", "16"},
                   {"qk_rope_head_dim", "8"},
                   {"v_head_dim", "16"},
                   {"max_position_embeddings", "128"},
                   {"rope_theta", "10000.0"},
                   {"rms_norm_eps", "1e-06"},
                   {"initializer_range", "0.02"},
                   {"attention_bias", "false"},
                   {"attention_dropout", "0.0"},
                   {"tie_word_embeddings", "false"},
                   {"bos_token_id", "0"},
                   {"eos_token_id", "1"}},
                  changes);
}

inline std::string planText(const Fields &changes = {}) {
  return jsonText(
      {{"micro_batch", "{\"sequences\": 2, \"tokens\": 17}"},
       {"optimizer",
        "{\"learning_rate\": [{\"shape\": \"constant\", \"steps\": 4, \"to\": 0.01}]}"}},
      changes);
}

/// The spec of a text that must be valid.
inline ModelSpec validSpec(const Fields &changes = {}) {
  Checked<ModelSpec> spec = parseModelSpec(configText(changes), "config.json");
  EXPECT_TRUE(bool(spec)) << (spec ? "" : spec.error().message());
  return spec ? *spec : ModelSpec();
}

inline ModelSpec loadedSpec(const std::string &path) {
  Checked<ModelSpec> spec = loadModelSpec(path);
  EXPECT_TRUE(bool(spec)) << (spec ? "" : spec.error().message());
  return spec ? *spec : ModelSpec();
}

/// The YaRN settings of a spec that must have them.
inline Yarn yarnOf(const ModelSpec &spec) {
  EXPECT_TRUE(spec.yarn.has_value());
  return spec.yarn.value_or(Yarn());
}

/// The FP8 storage of a spec that must have it.
inline Fp8Storage fp8Of(const ModelSpec &spec) {
  EXPECT_TRUE(spec.fp8.has_value());
  return spec.fp8.value_or(Fp8Storage());
}

inline std::string testPath(const std::string &path) {
  return std::string(HADAL_TEST_DIR) + "/" + path;
}
inline std::string examplePath(const std::string &path) { return testPath("../examples/" + path); }

} // namespace hadal::test

#endif // HADAL_TEST_UNIT_FRONTEND_TESTINPUTS_H
