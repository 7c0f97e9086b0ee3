// SPDX-License-Identifier: Apache-2.0
//
// FP8 tiles: bit for bit against stored values, rounding, and products in intervals.

#include "dialects/Hadal/Reference/Float8.h"
#include "runtime/checkpoint/Safetensors.h"
#include "test/unit/dialects/TestFunction.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace hadal::reference;
using namespace hadal::rt;
using llvm::formatv;
using testing::ElementsAre;

static std::vector<double> floats(const SafetensorsFile &file, const std::string &name) {
  const TensorInfo &info = file.get(name);
  std::vector<float> values(size_t(info.elements));
  toF32(info.dtype, file.data(info), info.elements, values.data());
  return std::vector<double>(values.begin(), values.end());
}

/// The stored bytes of an FP8 tensor.
static std::vector<uint8_t> bytes(const SafetensorsFile &file, const std::string &name) {
  const TensorInfo &info = file.get(name);
  return std::vector<uint8_t>(file.data(info), file.data(info) + info.elements);
}

TEST(ReferenceScaled, QuantisesAsStoredInBothFormsAndPrecisions) {
  SafetensorsFile file(HADAL_TEST_DIR "/oracle/fp8/fp8.safetensors");
  for (auto [name, rows, tileRows] : {std::tuple("activation", 5, 1), {"weight", 200, 128}})
    for (std::string rule : {"f32", "pow2"})
      for (Precision precision : {Precision::F64, Precision::F32}) {
        std::string scales = formatv("{0}x3", (rows + tileRows - 1) / tileRows);
        TestModule module(formatv(R"(
          func.func @f(%x: tensor<{0}x300xf32>)
              -> (!hadal.scaled<{0}x300xf8E4M3FN, {1}x128, {2}>, tensor<{0}x300xf32>,
                  tensor<{0}x300xf8E4M3FN>, tensor<{3}xf32>, tensor<{0}x300xf32>) {{
            %0 = hadal.quantize %x {{amax_floor = 1.0e-4} : tensor<{0}x300xf32>
                -> !hadal.scaled<{0}x300xf8E4M3FN, {1}x128, {2}>
            %1 = hadal.dequantize %0 : !hadal.scaled<{0}x300xf8E4M3FN, {1}x128, {2}>
            %2, %3 = hadal.quantize_tiles %x {{amax_floor = 1.0e-4, element = f8E4M3FN,
                tile_rows = {1}, tile_columns = 128, power_of_two = {4}} : tensor<{0}x300xf32>
            %4 = hadal.dequantize_tiles %2, %3 {{tile_rows = {1}, tile_columns = 128}
                : tensor<{0}x300xf8E4M3FN>, tensor<{3}xf32>
            return %0, %1, %2, %3, %4
                : !hadal.scaled<{0}x300xf8E4M3FN, {1}x128, {2}>, tensor<{0}x300xf32>,
                  tensor<{0}x300xf8E4M3FN>, tensor<{3}xf32>, tensor<{0}x300xf32>
          })",
                                  rows, tileRows, rule, scales, rule == "pow2"));
        auto y = module.call("f", {reals({rows, 300}, floats(file, name))}, precision);
        ASSERT_EQ(y.size(), 5u) << module.lastError();
        std::string stored = std::string(name) + "." + rule;
        std::vector<uint8_t> encoded, want = bytes(file, stored);
        for (double element : y[0]->reals)
          encoded.push_back(kE4M3.encode(element));
        EXPECT_EQ(encoded, want) << stored;
        EXPECT_EQ(y[0]->scales, floats(file, stored + "_scale")) << stored;
        EXPECT_EQ(y[2]->reals, y[0]->reals);
        EXPECT_EQ(y[3]->reals, y[0]->scales);
        EXPECT_EQ(y[4]->reals, y[1]->reals);
        for (size_t i = 0; i < want.size(); ++i) {
          size_t row = i / 300, column = i % 300;
          float scale = float(y[0]->scales[row / size_t(tileRows) * 3 + column / 128]);
          ASSERT_EQ(y[1]->reals[i], double(fromE4M3(want[i]) * scale)) << stored << " " << i;
        }
      }
}

TEST(ReferenceScaled, EveryByteIsItsOwnRounding) {
  for (int byte = 0; byte < 256; ++byte) {
    double e4m3 = fromE4M3(uint8_t(byte)), e5m2 = fromE5M2(uint8_t(byte));
    if (std::isfinite(e4m3)) {
      EXPECT_EQ(kE4M3.round(e4m3), e4m3);
      EXPECT_EQ(kE4M3.encode(e4m3), byte);
    }
    if (std::isfinite(e5m2)) {
      EXPECT_EQ(kE5M2.round(e5m2), e5m2);
      EXPECT_EQ(kE5M2.encode(e5m2), byte);
    }
  }
}

TEST(ReferenceScaled, TiesGoToEvenAndLargeValuesSaturate) {
  for (int byte = 0; byte < 126; ++byte) {
    double low = fromE4M3(uint8_t(byte)), high = fromE4M3(uint8_t(byte + 1));
    double middle = (low + high) / 2, even = byte % 2 ? high : low;
    EXPECT_EQ(kE4M3.round(middle), even);
    EXPECT_EQ(kE4M3.round(-middle), -even);
    EXPECT_EQ(kE4M3.round(std::nextafter(middle, 0.0)), low);
    EXPECT_EQ(kE4M3.round(std::nextafter(middle, 1e9)), high);
  }
  EXPECT_EQ(kE4M3.round(1e6), 448);
  EXPECT_EQ(kE4M3.round(-INFINITY), -448);
  EXPECT_EQ(kE5M2.round(1e6), 57344);
  EXPECT_TRUE(std::isnan(kE4M3.round(NAN)));
}

/// A scaled matrix from element values and scales.
static TensorPtr scaled(Shape shape, std::vector<double> elements, std::vector<double> scales) {
  Tensor tensor = *reals(std::move(shape), std::move(elements));
  tensor.scales = std::move(scales);
  return std::make_shared<Tensor>(std::move(tensor));
}

/// One row of 256 elements times one column, in intervals.
static double product(int interval, const std::vector<double> &x, const std::vector<double> &w) {
  auto y = callText(formatv(R"(
    func.func @f(%x: !hadal.scaled<1x256xf8E4M3FN, 1x128, f32>,
                 %w: !hadal.scaled<1x256xf8E4M3FN, 128x128, f32>) -> tensor<1x1xf32> {{
      %0 = hadal.scaled_linear %x, %w {{interval = {0}}
          : !hadal.scaled<1x256xf8E4M3FN, 1x128, f32>, !hadal.scaled<1x256xf8E4M3FN, 128x128, f32>
      return %0 : tensor<1x1xf32>
    })",
                            interval),
                    {scaled({1, 256}, x, {0.5, 3}), scaled({1, 256}, w, {2, 0.25})});
  return y.empty() ? NAN : y[0]->reals.at(0);
}

TEST(ReferenceScaled, ProductsSumExactlyWithinAnInterval) {
  std::vector<double> x(256, 0), w(256, 0);
  // 2^17 + 2^-12 - 2^17: a sum in f32 would lose the small term.
  x[0] = 256, w[0] = 448;
  x[1] = std::ldexp(1, -6), w[1] = std::ldexp(1, -6);
  x[2] = -256, w[2] = 448;
  x[200] = 2, w[200] = 4;
  EXPECT_EQ(product(128, x, w), std::ldexp(1, -12) + 8 * 0.75);
  // Cut between the second and the third term (interval 2), the small one is rounded away.
  EXPECT_EQ(product(2, x, w), 8 * 0.75);
}

TEST(ReferenceScaled, ProductOfExtremesOfBothFormats) {
  auto y = callText(R"(
    func.func @f(%x: !hadal.scaled<1x3xf8E5M2, 1x128, f32>,
                 %w: !hadal.scaled<1x3xf8E5M2, 1x128, f32>) -> tensor<1x1xf32> {
      %0 = hadal.scaled_linear %x, %w {interval = 128}
          : !hadal.scaled<1x3xf8E5M2, 1x128, f32>, !hadal.scaled<1x3xf8E5M2, 1x128, f32>
      return %0 : tensor<1x1xf32>
    })",
                    {scaled({1, 3}, {57344, std::ldexp(1, -16), -57344}, {1}),
                     scaled({1, 3}, {57344, std::ldexp(1, -16), 57344}, {1})});
  EXPECT_THAT(y.at(0)->reals, ElementsAre(std::ldexp(1, -32)));
}
