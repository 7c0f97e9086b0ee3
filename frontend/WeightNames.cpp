// SPDX-License-Identifier: Apache-2.0
//
// Which parameters a model has, under which names, and how a checkpoint stores them.

#include "frontend/WeightNames.h"

namespace hadal {

namespace {

constexpr std::string_view kExpertField = "{expert}";

int64_t product(const std::vector<int64_t> &shape) {
  int64_t out = 1;
  for (int64_t size : shape)
    out *= size;
  return out;
}

/// Collects parameters in manifest order.
class Collector {
public:
  explicit Collector(const ModelSpec &spec) : spec(spec) {}

  std::vector<ParameterInfo> run() {
    matrix("model.embed_tokens", spec.vocabSize, spec.hiddenSize, /*quantised=*/false);
    for (layer = 0; layer < spec.layers(); ++layer) {
      prefix = "model.layers." + std::to_string(layer) + ".";
      norm("input_layernorm", spec.hiddenSize);
      attention();
      norm("post_attention_layernorm", spec.hiddenSize);
      if (spec.isMoe(layer))
        experts();
      else
        swiglu("mlp.", spec.intermediateSize);
      if (spec.isMtp(layer))
        multiToken();
    }
    layer = -1;
    prefix.clear();
    norm("model.norm", spec.hiddenSize);
    matrix("lm_head", spec.vocabSize, spec.hiddenSize, /*quantised=*/false);
    return std::move(out);
  }

private:
  ParameterInfo &add(const std::string &name, std::vector<int64_t> shape, Init init) {
    ParameterInfo info;
    info.name = prefix + name;
    info.shape = std::move(shape);
    info.init = init;
    info.layer = layer;
    out.push_back(std::move(info));
    return out.back();
  }
  void norm(const std::string &name, int64_t size) { add(name + ".weight", {size}, Init::Ones); }
  void matrix(const std::string &name, int64_t rows, int64_t columns, bool quantised) {
    ParameterInfo &info = add(name + ".weight", {rows, columns}, Init::Normal);
    info.decay = true;
    info.quantised = quantised;
  }
  void linear(const std::string &name, int64_t rows, int64_t columns) {
    matrix(name, rows, columns, true);
  }
  void stack(const std::string &name, int64_t rows, int64_t columns) {
    ParameterInfo &info = add("mlp.experts.{expert}." + name + ".weight",
                              {spec.numRoutedExperts, rows, columns}, Init::Normal);
    info.experts = spec.numRoutedExperts;
    info.decay = true;
    info.quantised = true;
  }

  void attention() {
    const int64_t d = spec.hiddenSize, heads = spec.numAttentionHeads;
    if (spec.qLoraRank) {
      linear("self_attn.q_a_proj", spec.qLoraRank, d);
      norm("self_attn.q_a_layernorm", spec.qLoraRank);
      linear("self_attn.q_b_proj", heads * spec.qkHeadDim(), spec.qLoraRank);
    } else {
      linear("self_attn.q_proj", heads * spec.qkHeadDim(), d);
    }
    linear("self_attn.kv_a_proj_with_mqa", spec.kvLoraRank + spec.qkRopeHeadDim, d);
    norm("self_attn.kv_a_layernorm", spec.kvLoraRank);
    linear("self_attn.kv_b_proj", heads * (spec.qkNopeHeadDim + spec.vHeadDim), spec.kvLoraRank);
    linear("self_attn.o_proj", d, heads * spec.vHeadDim);
  }

  void swiglu(const std::string &path, int64_t width) {
    linear(path + "gate_proj", width, spec.hiddenSize);
    linear(path + "up_proj", width, spec.hiddenSize);
    linear(path + "down_proj", spec.hiddenSize, width);
  }

  void experts() {
    matrix("mlp.gate", spec.numRoutedExperts, spec.hiddenSize, /*quantised=*/false);
    add("mlp.gate.e_score_correction_bias", {spec.numRoutedExperts}, Init::Zeros).trained = false;
    stack("gate_proj", spec.moeIntermediateSize, spec.hiddenSize);
    stack("up_proj", spec.moeIntermediateSize, spec.hiddenSize);
    stack("down_proj", spec.hiddenSize, spec.moeIntermediateSize);
    if (spec.numSharedExperts)
      swiglu("mlp.shared_experts.", spec.numSharedExperts * spec.moeIntermediateSize);
  }

  void multiToken() {
    norm("enorm", spec.hiddenSize);
    norm("hnorm", spec.hiddenSize);
    matrix("eh_proj", spec.hiddenSize, 2 * spec.hiddenSize, /*quantised=*/false);
    norm("shared_head.norm", spec.hiddenSize);
  }

  const ModelSpec &spec;
  std::vector<ParameterInfo> out;
  std::string prefix;
  int64_t layer = -1;
};

/// One parameter as stored: plain, or an FP8 tensor and the scales of its blocks.
void appendStored(std::vector<ManifestEntry> &out, const ModelSpec &spec, const ParameterInfo &info,
                  const std::string &name, const std::vector<int64_t> &shape) {
  if (!info.trained) {
    out.push_back({name, shape, WeightType::F32, false});
    return;
  }
  if (!spec.fp8 || !info.quantised) {
    out.push_back({name, shape, spec.weightType, false});
    return;
  }
  auto blocks = [](int64_t size, int64_t block) { return (size + block - 1) / block; };
  out.push_back({name, shape, WeightType::F8E4M3, false});
  out.push_back({name + "_scale_inv",
                 {blocks(shape[0], spec.fp8->blockRows), blocks(shape[1], spec.fp8->blockColumns)},
                 WeightType::F32,
                 false});
}

} // namespace

const char *name(Init init) {
  switch (init) {
  case Init::Normal:
    return "normal";
  case Init::Ones:
    return "ones";
  case Init::Zeros:
    return "zeros";
  }
  return "";
}

int64_t ParameterInfo::elements() const { return product(shape); }
int64_t ManifestEntry::elements() const { return product(shape); }

std::vector<ParameterInfo> parameters(const ModelSpec &spec) { return Collector(spec).run(); }

std::string expandName(std::string_view nameTemplate, int64_t expert) {
  std::string out(nameTemplate);
  if (size_t at = out.find(kExpertField); at != out.npos)
    out.replace(at, kExpertField.size(), std::to_string(expert));
  return out;
}

std::vector<ManifestEntry> manifest(const ModelSpec &spec) {
  std::vector<ManifestEntry> out;
  const std::vector<ParameterInfo> all = parameters(spec);
  for (size_t i = 0; i < all.size(); ++i) {
    const ParameterInfo &info = all[i];
    if (info.experts == 0)
      appendStored(out, spec, info, info.name, info.shape);
    for (int64_t expert = 0; expert < info.experts; ++expert)
      appendStored(out, spec, info, expandName(info.name, expert), {info.shape[1], info.shape[2]});
    bool lastOfLayer = i + 1 == all.size() || all[i + 1].layer != info.layer;
    if (!lastOfLayer || info.layer < spec.numHiddenLayers)
      continue;
    std::string prefix = "model.layers." + std::to_string(info.layer) + ".";
    for (const char *copy : {"embed_tokens.weight", "shared_head.head.weight"})
      out.push_back({prefix + copy, {spec.vocabSize, spec.hiddenSize}, spec.weightType, true});
  }
  return out;
}

std::string manifestJson(const std::vector<ManifestEntry> &entries) {
  std::string out = "[";
  for (const ManifestEntry &entry : entries) {
    out += out.size() > 1 ? ",\n " : "\n ";
    out += "{\"name\": " + quoteJson(entry.name) + ", \"shape\": [";
    for (size_t i = 0; i < entry.shape.size(); ++i)
      out += (i ? ", " : "") + std::to_string(entry.shape[i]);
    out += "], \"dtype\": " + quoteJson(name(entry.type)) + "}";
  }
  return out + "\n]\n";
}

} // namespace hadal
