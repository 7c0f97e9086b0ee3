// SPDX-License-Identifier: Apache-2.0
//
// Reads and checks a config.json of the DeepSeek-V3 family.

#include "frontend/ModelSpec.h"
#include "frontend/Rotary.h"
#include "frontend/WeightNames.h"

#include <algorithm>

namespace hadal {

namespace {

constexpr int64_t kMaxSize =
    (int64_t(1) << 31) - 1; ///< of one dimension; tensors may be larger than 2^31 elements
constexpr int64_t kMaxLayers = 10000;
constexpr int64_t kMaxExperts = 1 << 20;
constexpr double kMaxParameters = 1e17; ///< keeps every byte count within 64 bits
constexpr double kMaxTensors = 1e7;     ///< of a checkpoint; keeps its list in memory
constexpr IntegerRange kSize{1, kMaxSize};

constexpr const char *kArchitecture = "DeepseekV3ForCausalLM";

/// model_type and architectures: which family this is.
void readArchitecture(ObjectReader &config, ModelSpec &spec) {
  const std::vector<std::string> types = {"deepseek_v3", "kimi_k2"};
  spec.modelType = types[config.choice("model_type", types)];
  const JsonValue *list = config.take("architectures");
  if (!list || list->kind == JsonValue::Kind::Null)
    return;
  bool known = list->kind == JsonValue::Kind::Array &&
               std::any_of(list->elements.begin(), list->elements.end(),
                           [](const JsonValue &x) { return x.text == kArchitecture; });
  if (!known) {
    bool single = list->kind == JsonValue::Kind::Array && list->elements.size() == 1;
    config.refuse("architectures", (single ? list->elements[0] : *list).describe(),
                  "a list with " + quoteJson(kArchitecture));
  }
}

void readSizes(ObjectReader &config, ModelSpec &spec) {
  spec.vocabSize = config.integer("vocab_size", kSize);
  spec.hiddenSize = config.integer("hidden_size", kSize);
  spec.intermediateSize = config.integer("intermediate_size", kSize);
  spec.moeIntermediateSize = config.integer("moe_intermediate_size", kSize);
  spec.numHiddenLayers = config.integer("num_hidden_layers", {1, kMaxLayers});
  spec.firstKDenseReplace = config.integer("first_k_dense_replace", {0, kMaxLayers});
  spec.numNextnPredictLayers = config.integerOrNull("num_nextn_predict_layers", {0, 1000}, 0);
  spec.maxPositionEmbeddings = config.integer("max_position_embeddings", kSize);
  spec.rmsNormEps = config.number("rms_norm_eps", {0, 1});
  spec.initializerRange = config.number("initializer_range", {0, 1e3}, 0.02);
  if (spec.firstKDenseReplace > spec.numHiddenLayers)
    config.refuse("first_k_dense_replace", std::to_string(spec.firstKDenseReplace),
                  "at most num_hidden_layers, " + std::to_string(spec.numHiddenLayers));
}

void readAttention(ObjectReader &config, ModelSpec &spec) {
  int64_t heads = spec.numAttentionHeads = config.integer("num_attention_heads", {1, 1 << 20});
  if (config.integerOrNull("num_key_value_heads", kSize, heads) != heads)
    config.refuse("num_key_value_heads", config.take("num_key_value_heads")->describe(),
                  "num_attention_heads, " + std::to_string(heads));
  if (!config.has("q_lora_rank"))
    config.refuse("q_lora_rank", "nothing (the key is missing)",
                  "a rank of at least 1, or null or 0 for queries without compression");
  spec.qLoraRank = config.integerOrNull("q_lora_rank", {0, kMaxSize}, 0);
  spec.kvLoraRank = config.integer("kv_lora_rank", kSize);
  spec.qkNopeHeadDim = config.integer("qk_nope_head_dim", {1, 1 << 24});
  spec.qkRopeHeadDim = config.integer("qk_rope_head_dim", {2, 1 << 24});
  spec.vHeadDim = config.integer("v_head_dim", {1, 1 << 24});
  if (spec.qkRopeHeadDim % 2)
    config.refuse("qk_rope_head_dim", std::to_string(spec.qkRopeHeadDim),
                  "an even number: rotary position turns pairs of dimensions");
  if (config.integerOrNull("qk_head_dim", kSize, spec.qkHeadDim()) != spec.qkHeadDim())
    config.refuse("qk_head_dim", config.take("qk_head_dim")->describe(),
                  "qk_nope_head_dim + qk_rope_head_dim, " + std::to_string(spec.qkHeadDim()));
}

/// Groups and top-k. A group's score is the sum of its two best experts, so a group needs two; with
/// one group nothing is chosen between groups and any number of experts will do.
void checkRouting(ObjectReader &config, const ModelSpec &spec) {
  auto number = [](int64_t x) { return std::to_string(x); };
  if (spec.numRoutedExperts % spec.numGroups)
    return config.refuse("n_group", number(spec.numGroups),
                         "a divisor of n_routed_experts, " + number(spec.numRoutedExperts));
  if (spec.numGroups > 1 && spec.expertsPerGroup() < 2)
    return config.refuse("n_group", number(spec.numGroups) + " groups of one expert",
                         "groups of at least 2 experts (the score of a group is the sum of its two "
                         "best), or 1 group");
  if (spec.topkGroups > spec.numGroups)
    return config.refuse("topk_group", number(spec.topkGroups),
                         "at most n_group, " + number(spec.numGroups));
  int64_t kept = spec.topkGroups * spec.expertsPerGroup();
  if (spec.numExpertsPerToken > kept)
    config.refuse("num_experts_per_tok", number(spec.numExpertsPerToken),
                  "at most the experts of the kept groups, " + number(spec.topkGroups) + " x " +
                      number(spec.expertsPerGroup()) + " = " + number(kept));
}

void readRouting(ObjectReader &config, ModelSpec &spec) {
  spec.numRoutedExperts = config.integer("n_routed_experts", {1, kMaxExperts});
  if (!config.has("n_shared_experts"))
    config.refuse("n_shared_experts", "nothing (the key is missing)",
                  "an integer from 0 to 1000, or null for none");
  spec.numSharedExperts = config.integerOrNull("n_shared_experts", {0, 1000}, 0);
  spec.numExpertsPerToken = config.integer("num_experts_per_tok", {1, kMaxExperts});
  spec.numGroups = config.integer("n_group", {1, kMaxExperts});
  spec.topkGroups = config.integer("topk_group", {1, kMaxExperts});
  spec.normTopkProb = config.boolean("norm_topk_prob");
  spec.routedScalingFactor = config.number("routed_scaling_factor", {0, 1e6, /*aboveLow=*/true});
  spec.auxLossAlpha = config.number("aux_loss_alpha", {0, 1e6}, 0.0);
  checkRouting(config, spec);
}

/// Keys whose only supported value is the one the family uses; any other would silently mean
/// another model.
void readFixedChoices(ObjectReader &config) {
  config.choice("hidden_act", {"silu"}, 0);
  config.choice("scoring_func", {"sigmoid"}, 0);
  config.choice("topk_method", {"noaux_tc"}, 0);
  config.integer("moe_layer_freq", {1, 1}, 1);
  config.number("attention_dropout", {0, 0}, 0.0);
  struct Flag {
    const char *key;
    bool value;
  };
  for (Flag flag :
       {Flag{"attention_bias", false}, Flag{"mlp_bias", false}, Flag{"tie_word_embeddings", false},
        Flag{"rope_interleave", true}, Flag{"seq_aux", true}})
    if (config.boolean(flag.key, flag.value) != flag.value)
      config.refuse(flag.key, flag.value ? "false" : "true", flag.value ? "true" : "false");
}

std::optional<WeightType> readType(ObjectReader &config, const std::string &key) {
  if (!config.has(key) || config.isNull(key)) {
    config.take(key);
    return std::nullopt;
  }
  static const WeightType types[] = {WeightType::F32, WeightType::BF16, WeightType::F16};
  return types[config.choice(key, {"float32", "bfloat16", "float16"})];
}

void readStorage(ObjectReader &config, InputReport &report, ModelSpec &spec) {
  std::optional<WeightType> old = readType(config, "torch_dtype"), now = readType(config, "dtype");
  if (old && now && *old != *now)
    config.refuse("dtype", config.take("dtype")->describe(),
                  "the same as torch_dtype, " + config.take("torch_dtype")->describe());
  const JsonValue *quantization = config.take("quantization_config");
  bool quantised = quantization && quantization->kind != JsonValue::Kind::Null;
  spec.weightType = now ? *now : old ? *old : quantised ? WeightType::BF16 : WeightType::F32;
  if (!quantised)
    return;
  ObjectReader fp8(report, quantization, config.pathOf("quantization_config"));
  Fp8Storage storage;
  fp8.choice("quant_method", {"fp8"});
  fp8.choice("fmt", {"e4m3"}, 0);
  fp8.choice("activation_scheme", {"dynamic"}, 0);
  if (!fp8.has("weight_block_size"))
    fp8.refuse("weight_block_size", "nothing (the key is missing)", "[128, 128]");
  std::vector<int64_t> block = fp8.integers("weight_block_size", {128, 128});
  if (block.size() != 2)
    fp8.refuse("weight_block_size", "a list of " + std::to_string(block.size()), "[128, 128]");
  if (!fp8.isNull("scale_fmt") && fp8.has("scale_fmt"))
    storage.scaleRule =
        fp8.choice("scale_fmt", {"float32", "ue8m0"}) == 1 ? ScaleRule::PowerOfTwo : ScaleRule::F32;
  fp8.ignore({"scale_fmt"});
  fp8.warnUnknown();
  spec.fp8 = storage;
}

/// bos and eos: an id, a list of ids, or null. An id the vocabulary lacks is only a warning: it can
/// never be produced.
std::vector<int64_t> readTokenIds(ObjectReader &config, InputReport &report, const std::string &key,
                                  int64_t vocabSize) {
  const JsonValue *found = config.take(key);
  std::vector<int64_t> ids;
  if (!found || found->kind == JsonValue::Kind::Null)
    return ids;
  if (found->kind == JsonValue::Kind::Array)
    ids = config.integers(key, {0, kMaxSize});
  else
    ids.push_back(config.integer(key, {0, kMaxSize}));
  for (int64_t id : ids)
    if (id >= vocabSize)
      report.warnings.push_back(InputError{report.file, config.lineOf(key), config.pathOf(key),
                                           std::to_string(id),
                                           "ids below vocab_size, " + std::to_string(vocabSize)}
                                    .message());
  return ids;
}

/// All stored elements must be countable in bytes; computed in f64 because the product itself may
/// overflow.
void checkTotalSize(ObjectReader &config, const ModelSpec &spec) {
  double total = 0, tensors = 0;
  for (const ParameterInfo &parameter : parameters(spec)) {
    tensors += static_cast<double>(std::max<int64_t>(parameter.experts, 1));
    double elements = 1;
    for (int64_t size : parameter.shape)
      elements *= static_cast<double>(size);
    total += elements;
  }
  if (total > kMaxParameters)
    config.refuse("hidden_size",
                  printNumber(spec.hiddenSize) + ", so " + printNumber(total) +
                      " parameters in all",
                  "sizes that give at most " + printNumber(kMaxParameters) + " parameters");
  if (tensors > kMaxTensors)
    config.refuse("n_routed_experts",
                  std::to_string(spec.numRoutedExperts) + ", so " + printNumber(tensors) +
                      " tensors",
                  "layers and experts that give at most " + printNumber(kMaxTensors) + " tensors");
}

} // namespace

Checked<ModelSpec> parseModelSpec(const std::string &text, const std::string &file) {
  Checked<JsonValue> root = parseJson(text, file);
  if (!root)
    return root.error();
  InputReport report{file, std::nullopt, {}};
  ObjectReader config(report, &*root, "");
  ModelSpec spec;
  spec.file = file;
  spec.text = text;
  readArchitecture(config, spec);
  readSizes(config, spec);
  readAttention(config, spec);
  readRouting(config, spec);
  readFixedChoices(config);
  readRotary(config, report, spec);
  readStorage(config, report, spec);
  std::vector<int64_t> bos = readTokenIds(config, report, "bos_token_id", spec.vocabSize);
  spec.bosTokenId = bos.empty() ? -1 : bos.front();
  spec.eosTokenIds = readTokenIds(config, report, "eos_token_id", spec.vocabSize);
  if (!report.error)
    checkTotalSize(config, spec);
  if (report.error)
    return *report.error;
  // Keys that say nothing about the mathematics.
  config.ignore({"auto_map", "use_cache", "transformers_version", "pretraining_tp", "ep_size",
                 "head_dim", "_name_or_path", "name_or_path", "pad_token_id",
                 "_attn_implementation", "output_attentions", "output_hidden_states", "return_dict",
                 "is_encoder_decoder", "chunk_size_feed_forward", "id2label", "label2id",
                 "problem_type"});
  config.warnUnknown();
  spec.warnings = std::move(report.warnings);
  return spec;
}

Checked<ModelSpec> loadModelSpec(const std::string &path) {
  Checked<std::string> text = readTextFile(path);
  if (!text)
    return text.error();
  return parseModelSpec(*text, path);
}

} // namespace hadal
