// SPDX-License-Identifier: Apache-2.0
//
// What --weights takes and refuses.

#include "runtime/checkpoint/Weights.h"
#include "test/unit/runtime/TestFolder.h"

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

struct Tensor {
  std::string name;
  DType type;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

template <typename T> std::string bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

void writeFile(const std::string &path, const std::vector<Tensor> &tensors) {
  std::vector<TensorInfo> infos;
  for (const Tensor &tensor : tensors) {
    TensorInfo info;
    info.name = tensor.name;
    info.dtype = tensor.type;
    info.shape = tensor.shape;
    infos.push_back(info);
  }
  std::filesystem::remove(path);
  SafetensorsWriter writer(path, infos);
  for (const Tensor &tensor : tensors)
    writer.append(tensor.bytes.data(), tensor.bytes.size());
  writer.finish();
}

const Tensor kA{"a", DType::F32, {2}, bytesOf<float>({1, 2})};
const Tensor kB{"b", DType::BF16, {1, 2}, bytesOf<std::uint16_t>({0x3F80, 0xC000})};

TEST(Weights, OneFileWithConversion) {
  TestFolder folder;
  writeFile(folder / "w.safetensors",
            {kA, kB, {"layers.0.rotary_emb.inv_freq", DType::F32, {1}, bytesOf<float>({3})}});
  Weights weights(folder / "w.safetensors");
  weights.check({{"a", {2}, {}}, {"b", {1, 2}, {}}});
  float out[2];
  weights.read("b", out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
}

TEST(Weights, RefusesByName) {
  TestFolder folder;
  writeFile(folder / "w.safetensors", {kA, kB});
  Weights weights(folder / "w.safetensors");
  EXPECT_THAT(refusal([&] { weights.check({{"a", {2}, {}}, {"b", {1, 2}, {}}, {"c", {1}, {}}}); }),
              HasSubstr("tensor c: is missing"));
  EXPECT_THAT(refusal([&] { weights.check({{"a", {3}, {}}, {"b", {1, 2}, {}}}); }),
              HasSubstr("tensor a: shape [2]; the model needs [3]"));
  EXPECT_THAT(refusal([&] { weights.check({{"a", {2}, {}}}); }),
              HasSubstr("tensor b: is unexpected"));
  writeFile(folder / "i.safetensors", {{"a", DType::I64, {1}, bytesOf<std::int64_t>({1})}});
  EXPECT_THAT(refusal([&] { Weights(folder / "i.safetensors").check({{"a", {1}, {}}}); }),
              HasSubstr("dtype I64 is no weight"));
}

TEST(Weights, CopiesMayBeLeftOutButMustEqual) {
  TestFolder folder;
  const std::vector<WeightSpec> specs = {{"a", {2}, {}}, {"copy", {2}, "a"}};
  writeFile(folder / "none", {kA});
  Weights(folder / "none").check(specs);
  writeFile(folder / "same", {kA, {"copy", DType::F32, {2}, kA.bytes}});
  Weights(folder / "same").check(specs);
  writeFile(folder / "differs", {kA, {"copy", DType::F32, {2}, bytesOf<float>({1, 3})}});
  EXPECT_THAT(refusal([&] { Weights(folder / "differs").check(specs); }),
              HasSubstr("tensor copy: differs from a"));
}

TEST(Weights, BlockScales) {
  TestFolder folder;
  // 130 x 129 elements: 2 x 2 blocks with scales 1, 2, 4, 8; every element is 1.5 (0x3C).
  Tensor quantized{"w.weight", DType::F8E4M3, {130, 129}, std::string(130 * 129, '\x3c')};
  Tensor scales{"w.weight_scale_inv", DType::F32, {2, 2}, bytesOf<float>({1, 2, 4, 8})};
  const std::vector<WeightSpec> specs = {{"w.weight", {130, 129}, {}}};
  writeFile(folder / "fp8", {quantized, scales});
  Weights weights(folder / "fp8");
  weights.check(specs);
  std::vector<float> out(130 * 129);
  weights.read("w.weight", out.data());
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[127 * 129 + 127], 1.5f);
  EXPECT_EQ(out[128], 3.0f);
  EXPECT_EQ(out[128 * 129], 6.0f);
  EXPECT_EQ(out[129 * 129 + 128], 12.0f);

  writeFile(folder / "unscaled", {quantized});
  EXPECT_THAT(refusal([&] { Weights(folder / "unscaled").check(specs); }),
              HasSubstr("w.weight_scale_inv is missing"));
  scales.shape = {4, 1};
  writeFile(folder / "misshapen", {quantized, scales});
  EXPECT_THAT(refusal([&] { Weights(folder / "misshapen").check(specs); }),
              HasSubstr("expected F32 [2, 2]"));
  writeFile(folder / "stray", {kA, {"a_scale_inv", DType::F32, {1, 1}, bytesOf<float>({1})}});
  EXPECT_THAT(refusal([&] { Weights(folder / "stray").check({{"a", {2}, {}}}); }),
              HasSubstr("a_scale_inv: is unexpected"));
}

TEST(Weights, Folders) {
  TestFolder folder;
  EXPECT_THAT(refusal([&] { Weights weights(folder.path()); }), HasSubstr("holds no weights"));
  writeFile(folder / "x1.safetensors", {kA});
  writeFile(folder / "x2.safetensors", {kB});
  writeFile(folder / "optimizer.safetensors", {{"m", DType::F32, {1}, bytesOf<float>({1})}});
  const std::vector<WeightSpec> specs = {{"a", {2}, {}}, {"b", {1, 2}, {}}};
  Weights(folder.path()).check(specs);
  writeFile(folder / "x3.safetensors", {kB});
  EXPECT_THAT(refusal([&] { Weights weights(folder.path()); }), HasSubstr("tensor b: is also in"));

  const std::string index = "model.safetensors.index.json";
  folder.write(index, R"({"weight_map": {"a": "x1.safetensors", "b": "x2.safetensors"}})");
  Weights(folder.path()).check(specs);
  folder.write(index, R"({"weight_map": {"a": "x2.safetensors"}})");
  EXPECT_THAT(refusal([&] { Weights weights(folder.path()); }),
              HasSubstr("weight_map: tensor a: is not in x2.safetensors"));
  folder.write(index, R"({"weight_map": {"a": "gone.safetensors"}})");
  EXPECT_THAT(refusal([&] { Weights weights(folder.path()); }), HasSubstr("gone.safetensors"));
  folder.write(index, R"({"weight_map": {"a": "../x1.safetensors"}})");
  EXPECT_THAT(refusal([&] { Weights weights(folder.path()); }),
              HasSubstr("is not the name of a file"));
}

} // namespace
