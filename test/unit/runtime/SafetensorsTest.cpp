// SPDX-License-Identifier: Apache-2.0
//
// Reader and writer of safetensors files, element types.

#include "runtime/checkpoint/Safetensors.h"
#include "test/unit/runtime/TestFolder.h"

#include <cmath>
#include <cstring>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

std::string fileOf(const std::string &header, const std::string &data) {
  std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + header + data;
}

TensorInfo info(const char *name, DType type, std::vector<std::int64_t> shape) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = type;
  tensor.shape = std::move(shape);
  return tensor;
}

TEST(Safetensors, RoundTrip) {
  TestFolder folder;
  const float values[6] = {1, -2, 3.5, 0, 1e-30f, 7};
  const std::int64_t ids[2] = {std::int64_t(1) << 40, -3};
  SafetensorsWriter writer(folder / "a.safetensors",
                           {info("x", DType::F32, {2, 3}), info("empty", DType::F32, {0, 4}),
                            info("ids", DType::I64, {2})});
  writer.append(values, sizeof values);
  writer.append(ids, sizeof ids);
  writer.finish();
  EXPECT_EQ(writer.checksum(), checksumOfFile(folder / "a.safetensors"));

  SafetensorsFile file(folder / "a.safetensors");
  ASSERT_EQ(file.tensors().size(), 3u);
  const TensorInfo &x = file.get("x");
  EXPECT_EQ(x.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(file.data(x), values, sizeof values), 0);
  EXPECT_EQ(file.get("ids").elements, 2);
  EXPECT_EQ(file.get("empty").elements, 0);
  EXPECT_EQ(file.find("y"), nullptr);
}

TEST(Safetensors, WriterNoticesMissingData) {
  TestFolder folder;
  SafetensorsWriter writer(folder / "a", {info("x", DType::F32, {2})});
  EXPECT_THROW(writer.finish(), RunError);
  EXPECT_THROW(SafetensorsWriter(folder / "a", {}), RunError) << "a file is never overwritten";
}

struct BadFile {
  const char *header;
  std::size_t dataBytes;
  const char *message;
};

TEST(Safetensors, RefusesBadHeaders) {
  const BadFile cases[] = {
      {"{", 0, "not valid JSON"},
      {"[]", 0, "not a JSON object"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "duplicate JSON key \"x\""},
      {R"({"x":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", 8,
       "dtype C64 is not supported"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
       "tensor x: has 4 bytes; shape [2] of F32 needs 8"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4,
       "lie outside the file's 4 bytes"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "are not a range"},
      {R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "shape holds -1"},
      {R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})", 4,
       "is too large"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       6, "tensor y: its data overlap"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2, "a hole of 1 bytes"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 3, "2 bytes after the data"},
      {R"({"x":{"shape":[1],"data_offsets":[0,1]}})", 1, "has no dtype"},
      {R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"z":1}})", 1, "unknown key \"z\""},
  };
  TestFolder folder;
  for (const BadFile &bad : cases) {
    std::string path = folder.write("bad", fileOf(bad.header, std::string(bad.dataBytes, 'x')));
    std::string message = refusal([&] { SafetensorsFile file(path); });
    EXPECT_THAT(message, HasSubstr(bad.message));
    EXPECT_THAT(message, HasSubstr(path));
  }
  std::string deep = std::string(70, '[') + std::string(70, ']');
  std::string path = folder.write("deep", fileOf(deep, ""));
  EXPECT_THAT(refusal([&] { SafetensorsFile file(path); }), HasSubstr("deeper than 64"));
  path = folder.write("long", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  EXPECT_THAT(refusal([&] { SafetensorsFile file(path); }), HasSubstr("does not fit"));
  path = folder.write("short", "abc");
  EXPECT_THAT(refusal([&] { SafetensorsFile file(path); }), HasSubstr("3 bytes long"));
  EXPECT_THAT(refusal([&] { SafetensorsFile file(folder / "none"); }),
              HasSubstr("cannot be opened"));
}

TEST(Safetensors, EveryTruncationIsRefused) {
  TestFolder folder;
  std::string whole = fileOf(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    std::string path = folder.write("cut", whole.substr(0, length));
    EXPECT_THROW(SafetensorsFile file(path), InputError) << length;
  }
}

TEST(DType, SmallFloats) {
  EXPECT_EQ(fromE4M3(0x00), 0.0f);
  EXPECT_TRUE(std::signbit(fromE4M3(0x80)));
  EXPECT_EQ(fromE4M3(0x01), std::ldexp(1.0f, -9));
  EXPECT_EQ(fromE4M3(0x08), std::ldexp(1.0f, -6));
  EXPECT_EQ(fromE4M3(0x38), 1.0f);
  EXPECT_EQ(fromE4M3(0x7E), 448.0f);
  EXPECT_EQ(fromE4M3(0xFE), -448.0f);
  EXPECT_TRUE(std::isnan(fromE4M3(0x7F)));
  EXPECT_EQ(fromE5M2(0x3C), 1.0f);
  EXPECT_EQ(fromE5M2(0x7B), 57344.0f);
  EXPECT_EQ(fromE5M2(0x01), std::ldexp(1.0f, -16));
  EXPECT_TRUE(std::isinf(fromE5M2(0x7C)));
  EXPECT_TRUE(std::isnan(fromE5M2(0x7D)));
  EXPECT_EQ(fromF16(0x3C00), 1.0f);
  EXPECT_EQ(fromF16(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(fromF16(0x7BFF), 65504.0f);
  EXPECT_TRUE(std::isinf(fromF16(0xFC00)));
  EXPECT_EQ(fromBF16(0xC040), -3.0f);
}

TEST(DType, HalfAgreesWithTheCompilersConversion) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    auto half = std::uint16_t(bits);
    _Float16 value;
    std::memcpy(&value, &half, 2);
    float ours = fromF16(half), theirs = float(value);
    if (std::isnan(theirs))
      EXPECT_TRUE(std::isnan(ours));
    else
      EXPECT_EQ(ours, theirs) << bits;
  }
}

TEST(DType, UnalignedSource) {
  unsigned char bytes[17] = {};
  double two = 2.5;
  std::memcpy(bytes + 1, &two, 8);
  std::memcpy(bytes + 9, &two, 8);
  float out[2];
  toF32(DType::F64, bytes + 1, 2, out);
  EXPECT_EQ(out[1], 2.5f);
}

} // namespace
