// SPDX-License-Identifier: Apache-2.0
//
// hadal.weight_gradient: one chain over the rows, added to the accumulator once; bit for bit.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace hadal::test;

namespace {

std::string gradientModule(int64_t rows, int64_t out, int64_t in) {
  std::string r = std::to_string(rows), o = std::to_string(out), i = std::to_string(in);
  std::string g = "tensor<1x" + r + "x" + o + "xf32>", x = "tensor<1x" + r + "x" + i + "xf32>",
              a = "tensor<" + o + "x" + i + "xf32>";
  return "func.func @f(%g: " + g + ", %x: " + x + ", %a: " + a + ") -> " + a +
         " {\n  %r = hadal.kernel(%g, %x, %a) : (" + g + ", " + x + ", " + a + ") -> " + a +
         " {\n  ^bb0(%0: " + g + ", %1: " + x + ", %2: " + a +
         "):\n    %3 = hadal.weight_gradient %0, %1, %2 : " + g + ", " + x + ", " + a +
         "\n    hadal.yield %3 : " + a + "\n  }\n  return %r : " + a + "\n}\n";
}

struct Case {
  int64_t rows, out, in;
};
class WeightGradient : public ::testing::TestWithParam<Case> {};

TEST_P(WeightGradient, IsTheChainOfItsRows) {
  auto [rows, out, in] = GetParam();
  HostTensor gradient = randomTensor({1, rows, out}, 1), input = randomTensor({1, rows, in}, 2),
             accumulator = randomTensor({out, in}, 3);
  HostTensor expected = accumulator;
  for (int64_t o = 0; o < out; ++o)
    for (int64_t i = 0; i < in; ++i) {
      float sum = 0;
      for (int64_t r = 0; r < rows; ++r)
        sum = std::fma(gradient.f32()[r * out + o], input.f32()[r * in + i], sum);
      expected.f32()[o * in + i] += sum;
    }
  for (const char *cpu : {"", "znver4"}) {
    KernelHarness harness(gradientModule(rows, out, in), cpu, hadal::cpu::hostCpu());
    EXPECT_TRUE(harness.runEveryCut({gradient, input, accumulator})[0].sameBits(expected)) << cpu;
  }
}
INSTANTIATE_TEST_SUITE_P(Shapes, WeightGradient,
                         ::testing::Values(Case{1, 1, 1}, Case{7, 13, 17}, Case{192, 96, 64},
                                           Case{193, 80, 256}, Case{500, 259, 40}, Case{64, 24, 32},
                                           Case{385, 6, 130}));

} // namespace
