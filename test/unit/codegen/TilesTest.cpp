// SPDX-License-Identifier: Apache-2.0
//
// FP8 tiles, compiled: bit for bit the stored values of test/oracle/fp8, and for all formats, tiles
// and rules those of a search for the nearest value.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"
#include "runtime/checkpoint/Safetensors.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace hadal;
using namespace hadal::test;

namespace {

struct Tiling {
  int64_t rows, columns, tileRows, tileColumns;
  bool e5m2, powerOfTwo;

  int64_t down() const { return (rows + tileRows - 1) / tileRows; }
  int64_t across() const { return (columns + tileColumns - 1) / tileColumns; }
  std::string format() const { return e5m2 ? "f8E5M2" : "f8E4M3FN"; }
  std::string type(int64_t r, int64_t c, const std::string &element) const {
    return "tensor<" + std::to_string(r) + "x" + std::to_string(c) + "x" + element + ">";
  }
  std::string values() const { return type(rows, columns, "f32"); }
  std::string elements() const { return type(rows, columns, format()); }
  std::string scales() const { return type(down(), across(), "f32"); }
  std::string tile() const {
    return "tile_rows = " + std::to_string(tileRows) +
           ", tile_columns = " + std::to_string(tileColumns);
  }
};

std::string quantizeModule(const Tiling &t) {
  std::string results = t.elements() + ", " + t.scales();
  return "func.func @f(%x: " + t.values() + ") -> (" + results +
         ") {\n  %q:2 = hadal.kernel(%x) : (" + t.values() + ") -> (" + results +
         ") {\n  ^bb0(%a: " + t.values() +
         "):\n    %e, %s = \"hadal.quantize_tiles\"(%a) <{amax_floor = 1.0e-4 : f64, element = " +
         t.format() + ", " + t.tile() + ", power_of_two = " + (t.powerOfTwo ? "true" : "false") +
         "}> : (" + t.values() + ") -> (" + results + ")\n    hadal.yield %e, %s : " + results +
         "\n  }\n  return %q#0, %q#1 : " + results + "\n}\n";
}

std::string dequantizeModule(const Tiling &t) {
  std::string operands = t.elements() + ", " + t.scales();
  return "func.func @f(%e: " + t.elements() + ", %s: " + t.scales() + ") -> " + t.values() +
         " {\n  %r = hadal.kernel(%e, %s) : (" + operands + ") -> " + t.values() +
         " {\n  ^bb0(%a: " + t.elements() + ", %b: " + t.scales() +
         "):\n    %x = hadal.dequantize_tiles %a, %b {" + t.tile() + "} : " + operands +
         "\n    hadal.yield %x : " + t.values() + "\n  }\n  return %r : " + t.values() + "\n}\n";
}

// --- the formats, value by value ---

/// The value of a code, NaN and infinities included.
double valueOf(uint8_t code, bool e5m2) {
  int mantissaBits = e5m2 ? 2 : 3, bias = e5m2 ? 15 : 7;
  int exponent = (code & 0x7F) >> mantissaBits, fraction = code & ((1 << mantissaBits) - 1);
  double sign = code & 0x80 ? -1 : 1;
  if (e5m2 && exponent == 31)
    return fraction ? NAN : sign * INFINITY;
  if (!e5m2 && (code & 0x7F) == 0x7F)
    return NAN;
  double value = exponent ? std::ldexp(1.0 + std::ldexp(fraction, -mantissaBits), exponent - bias)
                          : std::ldexp(fraction, 1 - bias - mantissaBits);
  return sign * value;
}

/// The nearest finite code, the even one of two.
uint8_t nearest(float value, bool e5m2) {
  if (std::isnan(value))
    return 0x7F;
  uint8_t best = 0;
  for (int code = 1; code < 0x80 && std::isfinite(valueOf(uint8_t(code), e5m2)); ++code) {
    double distance = std::abs(std::abs(double(value)) - valueOf(uint8_t(code), e5m2));
    double before = std::abs(std::abs(double(value)) - valueOf(best, e5m2));
    if (distance < before || (distance == before && code % 2 == 0))
      best = uint8_t(code);
  }
  return best | (std::signbit(value) ? 0x80 : 0);
}

struct Quantized {
  std::vector<uint8_t> elements;
  std::vector<float> scales;
};

Quantized quantize(const Tiling &t, const float *x) {
  Quantized q{std::vector<uint8_t>(size_t(t.rows * t.columns)),
              std::vector<float>(size_t(t.down() * t.across()), 1e-4f)};
  auto scaleOf = [&](int64_t i, int64_t j) -> float & {
    return q.scales[size_t(i / t.tileRows * t.across() + j / t.tileColumns)];
  };
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; ++j)
      scaleOf(i, j) = std::fmax(scaleOf(i, j), std::fabs(x[i * t.columns + j]));
  for (float &scale : q.scales) {
    scale /= t.e5m2 ? 57344.0f : 448.0f;
    if (t.powerOfTwo)
      scale = float(std::exp2(std::ceil(std::log2(double(scale)))));
  }
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; ++j)
      q.elements[size_t(i * t.columns + j)] = nearest(x[i * t.columns + j] / scaleOf(i, j), t.e5m2);
  return q;
}

// --- tests ---

TEST(TilesKernel, StoredValues) {
  rt::SafetensorsFile file(HADAL_TEST_DIR "/oracle/fp8/fp8.safetensors");
  auto tensor = [&](const std::string &name, size_t bytes) {
    const rt::TensorInfo &info = file.get(name);
    HostTensor host{info.shape, bytes, {}};
    host.bytes.assign(file.data(info), file.data(info) + info.elements * int64_t(bytes));
    return host;
  };
  for (std::string name : {"activation", "weight"})
    for (std::string rule : {"f32", "pow2"}) {
      HostTensor x = tensor(name, 4);
      Tiling t{x.shape[0], x.shape[1], name == "weight" ? 128 : 1, 128, false, rule == "pow2"};
      auto results = KernelHarness(quantizeModule(t)).runEveryCut({x});
      EXPECT_EQ(results[0].bytes, tensor(name + "." + rule, 1).bytes) << name << " " << rule;
      EXPECT_EQ(results[1].bytes, tensor(name + "." + rule + "_scale", 4).bytes)
          << name << " " << rule;
    }
}

// Code for registers of 16 lanes, run in halves where the machine has none.
TEST(TilesKernel, WideRegisters) {
  Tiling t{130, 149, 128, 128, false, true};
  HostTensor x = randomTensor({t.rows, t.columns}, 7);
  Quantized expected = quantize(t, x.f32());
  std::string host = cpu::hostCpu();
  auto results = KernelHarness(quantizeModule(t), "x86-64-v4", host).run({x});
  EXPECT_TRUE(results[0].sameBits(tensorOf({t.rows, t.columns}, expected.elements)));
  EXPECT_TRUE(results[1].sameBits(tensorOf({t.down(), t.across()}, expected.scales)));
  auto back = KernelHarness(dequantizeModule(t), "x86-64-v4", host).run(results);
  EXPECT_TRUE(back[0].sameBits(KernelHarness(dequantizeModule(t)).run(results)[0]));
}

class TilesKernels : public testing::TestWithParam<Tiling> {};

TEST_P(TilesKernels, NearestValues) {
  Tiling t = GetParam();
  HostTensor x = randomTensor({t.rows, t.columns}, 7);
  // Magnitudes over the whole range of the format, some zeros, halves between two values.
  for (int64_t i = 0; i < x.elements(); ++i)
    x.f32()[i] = i % 11 == 0 ? 0.0f : std::ldexp(x.f32()[i], -int(i * 7 % 40));
  for (int64_t i = 5; i < x.elements(); i += 13)
    x.f32()[i] = float(2 * (i % 16) + 1) / 16;
  if (x.elements() > 1)
    x.f32()[x.elements() - 2] = -NAN;
  Quantized expected = quantize(t, x.f32());
  auto results = KernelHarness(quantizeModule(t)).runEveryCut({x});
  EXPECT_TRUE(results[0].sameBits(tensorOf({t.rows, t.columns}, expected.elements)));
  EXPECT_TRUE(results[1].sameBits(tensorOf({t.down(), t.across()}, expected.scales)));
}

TEST_P(TilesKernels, EveryCode) {
  Tiling t = GetParam();
  std::vector<uint8_t> codes(size_t(t.rows * t.columns));
  for (size_t i = 0; i < codes.size(); ++i)
    codes[i] = uint8_t(i);
  HostTensor scales = randomTensor({t.down(), t.across()}, 3);
  auto results = KernelHarness(dequantizeModule(t))
                     .runEveryCut({tensorOf({t.rows, t.columns}, codes), scales});
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; ++j) {
      float scale = scales.f32()[i / t.tileRows * t.across() + j / t.tileColumns];
      float expected = float(valueOf(codes[size_t(i * t.columns + j)], t.e5m2)) * scale;
      float got = results[0].f32()[i * t.columns + j];
      ASSERT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected)))
          << i << ", " << j << ": " << got << " for " << expected;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Tilings, TilesKernels,
    testing::Values(Tiling{5, 300, 1, 128, false, false}, Tiling{3, 131, 1, 128, true, true},
                    Tiling{200, 261, 128, 128, true, false}, Tiling{130, 21, 128, 1, false, true},
                    Tiling{257, 16, 128, 1, true, false}, Tiling{1, 1, 128, 128, false, true}));

} // namespace
