// SPDX-License-Identifier: Apache-2.0
//
// Names, shapes, order and storage of parameters.

#include "frontend/WeightNames.h"
#include "test/unit/frontend/TestInputs.h"

#include <map>
#include <set>

using namespace hadal;
using namespace hadal::test;

namespace {

std::vector<std::string> namesOf(const std::vector<ParameterInfo> &all, int64_t layer) {
  std::vector<std::string> out;
  for (const ParameterInfo &info : all)
    if (info.layer == layer)
      out.push_back(info.name);
  return out;
}

TEST(WeightNames, OrderWithinLayers) {
  std::vector<ParameterInfo> all = parameters(validSpec());
  EXPECT_EQ(all.front().name, "model.embed_tokens.weight");
  EXPECT_EQ(namesOf(all, -1), (std::vector<std::string>{"model.embed_tokens.weight",
                                                        "model.norm.weight", "lm_head.weight"}));
  const std::string a = "model.layers.0.";
  EXPECT_EQ(namesOf(all, 0),
            (std::vector<std::string>{
                a + "input_layernorm.weight", a + "self_attn.q_a_proj.weight",
                a + "self_attn.q_a_layernorm.weight", a + "self_attn.q_b_proj.weight",
                a + "self_attn.kv_a_proj_with_mqa.weight", a + "self_attn.kv_a_layernorm.weight",
                a + "self_attn.kv_b_proj.weight", a + "self_attn.o_proj.weight",
                a + "post_attention_layernorm.weight", a + "mlp.gate_proj.weight",
                a + "mlp.up_proj.weight", a + "mlp.down_proj.weight"}));
  std::vector<std::string> mtp = namesOf(all, 2);
  const std::string b = "model.layers.2.";
  EXPECT_EQ(
      std::vector<std::string>(mtp.begin() + 8, mtp.end()),
      (std::vector<std::string>{
          b + "post_attention_layernorm.weight", b + "mlp.gate.weight",
          b + "mlp.gate.e_score_correction_bias", b + "mlp.experts.{expert}.gate_proj.weight",
          b + "mlp.experts.{expert}.up_proj.weight", b + "mlp.experts.{expert}.down_proj.weight",
          b + "mlp.shared_experts.gate_proj.weight", b + "mlp.shared_experts.up_proj.weight",
          b + "mlp.shared_experts.down_proj.weight", b + "enorm.weight", b + "hnorm.weight",
          b + "eh_proj.weight", b + "shared_head.norm.weight"}));
}

TEST(WeightNames, ShapesAndRoles) {
  std::map<std::string, ParameterInfo> by;
  for (const ParameterInfo &info : parameters(validSpec()))
    by[info.name] = info;
  EXPECT_EQ(by["model.layers.1.self_attn.q_b_proj.weight"].shape, (std::vector<int64_t>{72, 32}));
  EXPECT_EQ(by["model.layers.1.self_attn.kv_a_proj_with_mqa.weight"].shape,
            (std::vector<int64_t>{32, 48}));
  EXPECT_EQ(by["model.layers.1.self_attn.kv_b_proj.weight"].shape, (std::vector<int64_t>{96, 24}));
  EXPECT_EQ(by["model.layers.1.self_attn.o_proj.weight"].shape, (std::vector<int64_t>{48, 48}));
  const ParameterInfo &down = by["model.layers.1.mlp.experts.{expert}.down_proj.weight"];
  EXPECT_EQ(down.shape, (std::vector<int64_t>{16, 48, 24}));
  EXPECT_EQ(down.experts, 16);
  EXPECT_TRUE(down.decay);
  const ParameterInfo &bias = by["model.layers.1.mlp.gate.e_score_correction_bias"];
  EXPECT_FALSE(bias.trained);
  EXPECT_FALSE(bias.decay);
  EXPECT_EQ(bias.init, Init::Zeros);
  const ParameterInfo &norm = by["model.norm.weight"];
  EXPECT_EQ(norm.init, Init::Ones);
  EXPECT_TRUE(norm.trained);
  EXPECT_FALSE(norm.decay);
  EXPECT_EQ(by["model.layers.2.eh_proj.weight"].shape, (std::vector<int64_t>{48, 96}));
}

TEST(WeightNames, VariationsOfTheModel) {
  std::set<std::string> names;
  for (const ParameterInfo &info :
       parameters(validSpec({{"q_lora_rank", "null"}, {"n_shared_experts", "0"}}))) {
    EXPECT_EQ(info.name.find("q_a_"), std::string::npos);
    EXPECT_EQ(info.name.find("shared_experts"), std::string::npos);
    names.insert(info.name);
  }
  EXPECT_TRUE(names.count("model.layers.0.self_attn.q_proj.weight"));
  for (const ParameterInfo &info : parameters(validSpec({{"n_shared_experts", "2"}})))
    if (info.name == "model.layers.1.mlp.shared_experts.up_proj.weight")
      EXPECT_EQ(info.shape, (std::vector<int64_t>{48, 48}));
}

TEST(WeightNames, ExpandsExperts) {
  EXPECT_EQ(expandName("model.layers.3.mlp.experts.{expert}.up_proj.weight", 7),
            "model.layers.3.mlp.experts.7.up_proj.weight");
  EXPECT_EQ(expandName("lm_head.weight", 7), "lm_head.weight");
}

TEST(Manifest, DeepSeekV3AsPublished) {
  std::vector<ManifestEntry> all = manifest(loadedSpec(examplePath("deepseek-v3/config.json")));
  EXPECT_EQ(all.size(), 91991u);
  int64_t elements = 0;
  std::map<std::string, ManifestEntry> by;
  for (const ManifestEntry &entry : all) {
    elements += entry.elements();
    EXPECT_TRUE(by.emplace(entry.name, entry).second) << entry.name;
  }
  EXPECT_EQ(elements, 684531386000);
  auto expect = [&](const std::string &name, const std::vector<int64_t> &shape, WeightType type) {
    ASSERT_TRUE(by.count(name)) << name;
    EXPECT_EQ(by[name].shape, shape) << name;
    EXPECT_EQ(by[name].type, type) << name;
  };
  const std::string l = "model.layers.61.";
  expect("model.embed_tokens.weight", {129280, 7168}, WeightType::BF16);
  expect("lm_head.weight", {129280, 7168}, WeightType::BF16);
  expect(l + "self_attn.kv_a_proj_with_mqa.weight", {576, 7168}, WeightType::F8E4M3);
  expect(l + "self_attn.kv_a_proj_with_mqa.weight_scale_inv", {5, 56}, WeightType::F32);
  expect(l + "mlp.experts.255.down_proj.weight", {7168, 2048}, WeightType::F8E4M3);
  expect(l + "mlp.experts.255.down_proj.weight_scale_inv", {56, 16}, WeightType::F32);
  expect(l + "mlp.gate.weight", {256, 7168}, WeightType::BF16);
  expect(l + "mlp.gate.e_score_correction_bias", {256}, WeightType::F32);
  expect(l + "eh_proj.weight", {7168, 14336}, WeightType::BF16);
  expect(l + "embed_tokens.weight", {129280, 7168}, WeightType::BF16);
  expect(l + "shared_head.head.weight", {129280, 7168}, WeightType::BF16);
  EXPECT_TRUE(by[l + "shared_head.head.weight"].copy);
  EXPECT_FALSE(by.count(l + "eh_proj.weight_scale_inv"));
}

/// The manifest of a case is exactly what its checkpoint holds (names and shapes from the
/// safetensors header).
TEST(Manifest, OracleCheckpoints) {
  for (const char *name : {"dense", "groups", "mtp", "mtp-two-depths", "odd-sizes", "one-token",
                           "plain-query", "training", "yarn", "yarn-amplitude"}) {
    std::string folder = testPath(std::string("oracle/") + name);
    Checked<std::string> file = readTextFile(folder + "/model.safetensors");
    ASSERT_TRUE(bool(file)) << file.error().message();
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
      length = length << 8 | static_cast<unsigned char>((*file)[i]);
    Checked<JsonValue> header = parseJson(std::string_view(*file).substr(8, length), name);
    ASSERT_TRUE(bool(header)) << header.error().message();
    std::map<std::string, ManifestEntry> expected;
    for (const ManifestEntry &entry : manifest(loadedSpec(folder + "/config.json")))
      expected[entry.name] = entry;
    for (size_t i = 0; i < header->keys.size(); ++i) {
      if (header->keys[i] == "__metadata__")
        continue;
      ASSERT_TRUE(expected.count(header->keys[i])) << name << " " << header->keys[i];
      std::vector<int64_t> shape;
      for (const JsonValue &size : header->elements[i].member("shape")->elements)
        shape.push_back(size.integer);
      EXPECT_EQ(shape, expected[header->keys[i]].shape) << header->keys[i];
      expected.erase(header->keys[i]);
    }
    for (const auto &entry : expected) // copies are optional on disk
      EXPECT_TRUE(entry.second.copy) << name << " lacks " << entry.first;
  }
}

TEST(Manifest, PlainStorageKeepsTheType) {
  for (const ManifestEntry &entry :
       manifest(loadedSpec(examplePath("moonlight-16b-a3b/config.json"))))
    EXPECT_EQ(entry.type, entry.name.find("e_score_correction_bias") == std::string::npos
                              ? WeightType::BF16
                              : WeightType::F32);
}

TEST(Manifest, PrintsJson) {
  std::vector<ManifestEntry> all = {{"a", {2, 3}, WeightType::BF16, false},
                                    {"b\"", {4}, WeightType::F8E4M3, false}};
  EXPECT_EQ(manifestJson(all),
            "[\n {\"name\": \"a\", \"shape\": [2, 3], \"dtype\": \"BF16\"},\n"
            " {\"name\": \"b\\\"\", \"shape\": [4], \"dtype\": \"F8_E4M3\"}\n]\n");
  EXPECT_TRUE(bool(parseJson(manifestJson(manifest(validSpec())), "m.json")));
}

} // namespace
