// SPDX-License-Identifier: Apache-2.0
//
// hadal.linear with and without an epilogue, against sums in f64.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace hadal::test;

namespace {

std::string shape(std::vector<int64_t> sizes) {
  std::string text = "tensor<";
  for (int64_t size : sizes)
    text += std::to_string(size) + "x";
  return text + "f32>";
}

/// result[r, o] = sum_i input[r, i] weight[o, i], or with `transposed` sum_o input[r, o] weight[o,
/// i].
HostTensor linear(const HostTensor &input, const HostTensor &weight, bool transposed) {
  int64_t depth = input.shape.back(), rows = input.elements() / depth;
  int64_t columns = weight.shape[transposed ? 1 : 0];
  std::vector<float> values;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (int64_t k = 0; k < depth; ++k)
        sum += double(input.f32()[r * depth + k]) *
               weight.f32()[transposed ? k * columns + c : c * depth + k];
      values.push_back(float(sum));
    }
  std::vector<int64_t> sizes = input.shape;
  sizes.back() = columns;
  return tensorOf(sizes, values);
}

std::string linearModule(int64_t rows, int64_t depth, int64_t columns, bool transposed) {
  std::string x = shape({1, rows, depth}), y = shape({1, rows, columns});
  std::string w = transposed ? shape({depth, columns}) : shape({columns, depth});
  return "func.func @f(%x: " + x + ", %w: " + w + ") -> " + y +
         " {\n  %r = hadal.kernel(%x, %w) : (" + x + ", " + w + ") -> " + y +
         " {\n  ^bb0(%a: " + x + ", %b: " + w + "):\n    %c = hadal.linear %a, %b" +
         (transposed ? " {transpose_weight}" : "") + " : " + x + ", " + w +
         "\n    hadal.yield %c : " + y + "\n  }\n  return %r : " + y + "\n}\n";
}

struct Case {
  int64_t rows, depth, columns;
  bool transposed;
};
class Linear : public ::testing::TestWithParam<Case> {};

TEST_P(Linear, EqualsSums) {
  auto [rows, depth, columns, transposed] = GetParam();
  std::string text = linearModule(rows, depth, columns, transposed);
  HostTensor input = randomTensor({1, rows, depth}, 1);
  HostTensor weight =
      transposed ? randomTensor({depth, columns}, 2) : randomTensor({columns, depth}, 2);
  HostTensor got = KernelHarness(text).runEveryCut({input, weight})[0];
  EXPECT_LT(largestError(got, linear(input, weight, transposed)), 3e-5);
  // An element is one chain, so that wider vectors give the same bits.
  EXPECT_TRUE(KernelHarness(text, "znver4", hadal::cpu::hostCpu())
                  .runEveryCut({input, weight})[0]
                  .sameBits(got));
}
INSTANTIATE_TEST_SUITE_P(Shapes, Linear,
                         ::testing::Values(Case{1, 1, 1, false}, Case{1, 1, 1, true},
                                           Case{7, 13, 17, false}, Case{7, 13, 17, true},
                                           Case{1, 64, 259, false}, Case{100, 256, 80, false},
                                           Case{50, 259, 64, true}, Case{6, 8, 16, false},
                                           Case{203, 96, 384, false}, Case{97, 33, 66, true},
                                           Case{300, 700, 40, false}));

TEST(Products, RowDoesNotDependOnTheNumberOfRows) {
  HostTensor weight = randomTensor({70, 90}, 2), all = randomTensor({1, 64, 90}, 1);
  HostTensor whole = KernelHarness(linearModule(64, 90, 70, false)).run({all, weight})[0];
  for (int64_t rows : {1, 5, 6, 7, 63}) {
    HostTensor first = all;
    first.shape[1] = rows;
    first.bytes.resize(size_t(rows * 90 * 4));
    HostTensor part = KernelHarness(linearModule(rows, 90, 70, false)).run({first, weight})[0];
    EXPECT_EQ(std::memcmp(part.f32(), whole.f32(), part.bytes.size()), 0) << rows;
  }
}

TEST(Products, AddAndSwigluAsEpilogue) {
  const char *text = R"(
    func.func @f(%x: tensor<2x9x24xf32>, %w: tensor<21x24xf32>, %gate: tensor<2x9x21xf32>,
                 %scale: tensor<2x9xf32>, %h: tensor<2x9x21xf32>)
        -> (tensor<2x9x21xf32>, tensor<2x9x21xf32>) {
      %up, %sum = hadal.kernel(%x, %w, %gate, %scale, %h)
          : (tensor<2x9x24xf32>, tensor<21x24xf32>, tensor<2x9x21xf32>, tensor<2x9xf32>, tensor<2x9x21xf32>)
          -> (tensor<2x9x21xf32>, tensor<2x9x21xf32>) {
      ^bb0(%a: tensor<2x9x24xf32>, %b: tensor<21x24xf32>, %g: tensor<2x9x21xf32>, %s: tensor<2x9xf32>,
           %r: tensor<2x9x21xf32>):
        %u = hadal.linear %a, %b : tensor<2x9x24xf32>, tensor<21x24xf32>
        %p = hadal.swiglu %g, %u scaled_by %s : tensor<2x9x21xf32>, tensor<2x9x21xf32>, tensor<2x9xf32>
        %o = hadal.add %r, %p : tensor<2x9x21xf32>, tensor<2x9x21xf32>
        hadal.yield %u, %o : tensor<2x9x21xf32>, tensor<2x9x21xf32>
      }
      return %up, %sum : tensor<2x9x21xf32>, tensor<2x9x21xf32>
    })";
  HostTensor x = randomTensor({2, 9, 24}, 1), w = randomTensor({21, 24}, 2),
             gate = randomTensor({2, 9, 21}, 3, 8), scale = randomTensor({2, 9}, 4),
             h = randomTensor({2, 9, 21}, 5);
  std::vector<HostTensor> got = KernelHarness(text).runEveryCut({x, w, gate, scale, h});
  EXPECT_TRUE(KernelHarness(text, "znver4", hadal::cpu::hostCpu())
                  .run({x, w, gate, scale, h})[1]
                  .sameBits(got[1]));
  HostTensor up = linear(x, w, false), sum = h;
  for (int64_t i = 0; i < h.elements(); ++i) {
    double g = gate.f32()[i];
    sum.f32()[i] += float(g / (1 + std::exp(-g)) * up.f32()[i] * scale.f32()[i / 21]);
  }
  EXPECT_LT(largestError(got[0], up), 1e-6);
  EXPECT_LT(largestError(got[1], sum), 1e-6);
}

} // namespace
