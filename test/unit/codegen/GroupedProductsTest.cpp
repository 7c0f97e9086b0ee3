// SPDX-License-Identifier: Apache-2.0
//
// Grouped products: each expert's rows with its own matrix, experts without rows, rows gathered by
// a dispatch.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace hadal::test;

namespace {

// 4 experts; the second has no rows.
const std::vector<int64_t> kOffsets = {0, 9, 9, 28, 30};
constexpr int64_t kRows = 30, kExperts = 4;

/// out[s, c] = chain over k of rows[s, k] B_e[k, c], B_e = weight[e] ([depth, columns] transposed,
/// else [columns, depth]).
HostTensor grouped(const HostTensor &rows, const HostTensor &weight, int64_t columns,
                   bool transposed) {
  int64_t depth = rows.shape.back();
  HostTensor out = randomTensor({kRows, columns}, 9);
  for (int64_t e = 0; e < kExperts; ++e)
    for (int64_t s = kOffsets[size_t(e)]; s < kOffsets[size_t(e) + 1]; ++s)
      for (int64_t c = 0; c < columns; ++c) {
        const float *matrix = weight.f32() + e * depth * columns;
        float sum = 0;
        for (int64_t k = 0; k < depth; ++k)
          sum = std::fma(rows.f32()[s * depth + k],
                         matrix[transposed ? k * columns + c : c * depth + k], sum);
        out.f32()[s * columns + c] = sum;
      }
  return out;
}

TEST(GroupedProducts, EachExpertHasItsMatrix) {
  for (auto [transposed, cpu] :
       {std::pair(false, ""), {true, ""}, {false, "znver4"}, {true, "znver4"}}) {
    std::string w = transposed ? "tensor<4x20x37xf32>" : "tensor<4x37x20xf32>";
    KernelHarness harness(
        "func.func @f(%x: tensor<30x20xf32>, %w: " + w +
            ", %o: tensor<5xi64>) -> tensor<30x37xf32> {\n"
            "  %r = hadal.kernel(%x, %w, %o) : (tensor<30x20xf32>, " +
            w +
            ", tensor<5xi64>) -> tensor<30x37xf32> {\n"
            "  ^bb0(%a: tensor<30x20xf32>, %b: " +
            w +
            ", %c: tensor<5xi64>):\n"
            "    %d = hadal.grouped_linear %a, %b, %c " +
            (transposed ? "{transpose_weight}" : "") + " : tensor<30x20xf32>, " + w +
            ", tensor<5xi64>\n"
            "    hadal.yield %d : tensor<30x37xf32>\n  }\n  return %r : tensor<30x37xf32>\n}\n",
        cpu, hadal::cpu::hostCpu());
    HostTensor rows = randomTensor({kRows, 20}, 1);
    HostTensor weight = transposed ? randomTensor({4, 20, 37}, 2) : randomTensor({4, 37, 20}, 2);
    HostTensor offsets = tensorOf<int64_t>({5}, kOffsets);
    EXPECT_TRUE(harness.runEveryCut({rows, weight, offsets})[0].sameBits(
        grouped(rows, weight, 37, transposed)));
  }
}

/// source: a permutation of 10 tokens x 3 choices.
HostTensor permutation() {
  std::vector<int32_t> source;
  for (int32_t s = 0; s < kRows; ++s)
    source.push_back(s * 7 % int32_t(kRows));
  return tensorOf<int32_t>({kRows}, source);
}
HostTensor gather(const HostTensor &tokens, const HostTensor &source) {
  int64_t width = tokens.shape.back();
  HostTensor rows = randomTensor({kRows, width}, 9);
  for (int64_t s = 0; s < kRows; ++s)
    std::memcpy(rows.f32() + s * width, tokens.f32() + source.as<int32_t>()[s] / 3 * width,
                size_t(width) * 4);
  return rows;
}

TEST(GroupedProducts, GathersRows) {
  KernelHarness harness(R"(
    func.func @f(%x: tensor<2x5x20xf32>, %source: tensor<30xi32>, %slot: tensor<2x5x3xi32>,
                 %w: tensor<4x18x20xf32>, %o: tensor<5xi64>) -> tensor<30x18xf32> {
      %r = hadal.kernel(%x, %source, %slot, %w, %o)
          : (tensor<2x5x20xf32>, tensor<30xi32>, tensor<2x5x3xi32>, tensor<4x18x20xf32>, tensor<5xi64>)
          -> tensor<30x18xf32> {
      ^bb0(%a: tensor<2x5x20xf32>, %b: tensor<30xi32>, %c: tensor<2x5x3xi32>, %d: tensor<4x18x20xf32>,
           %e: tensor<5xi64>):
        %rows = hadal.dispatch %a, %b, %c : tensor<2x5x20xf32>, tensor<30xi32>, tensor<2x5x3xi32>
        %f = hadal.grouped_linear %rows, %d, %e : tensor<30x20xf32>, tensor<4x18x20xf32>, tensor<5xi64>
        hadal.yield %f : tensor<30x18xf32>
      }
      return %r : tensor<30x18xf32>
    })");
  HostTensor tokens = randomTensor({2, 5, 20}, 1), source = permutation(),
             slot = tensorOf<int32_t>({2, 5, 3}, std::vector<int32_t>(30)),
             weight = randomTensor({4, 18, 20}, 2), offsets = tensorOf<int64_t>({5}, kOffsets);
  EXPECT_TRUE(harness.runEveryCut({tokens, source, slot, weight, offsets})[0].sameBits(
      grouped(gather(tokens, source), weight, 18, false)));
}

TEST(GroupedProducts, WeightGradientOfGatheredRows) {
  KernelHarness harness(R"(
    func.func @f(%g: tensor<30x19xf32>, %x: tensor<2x5x20xf32>, %source: tensor<30xi32>,
                 %slot: tensor<2x5x3xi32>, %o: tensor<5xi64>, %acc: tensor<4x19x20xf32>) -> tensor<4x19x20xf32> {
      %r = hadal.kernel(%g, %x, %source, %slot, %o, %acc)
          : (tensor<30x19xf32>, tensor<2x5x20xf32>, tensor<30xi32>, tensor<2x5x3xi32>, tensor<5xi64>,
             tensor<4x19x20xf32>) -> tensor<4x19x20xf32> {
      ^bb0(%y: tensor<30x19xf32>, %a: tensor<2x5x20xf32>, %b: tensor<30xi32>, %c: tensor<2x5x3xi32>,
           %e: tensor<5xi64>, %d: tensor<4x19x20xf32>):
        %rows = hadal.dispatch %a, %b, %c : tensor<2x5x20xf32>, tensor<30xi32>, tensor<2x5x3xi32>
        %f = hadal.grouped_weight_gradient %y, %rows, %e, %d
            : tensor<30x19xf32>, tensor<30x20xf32>, tensor<5xi64>, tensor<4x19x20xf32>
        hadal.yield %f : tensor<4x19x20xf32>
      }
      return %r : tensor<4x19x20xf32>
    })");
  HostTensor gradient = randomTensor({kRows, 19}, 3), tokens = randomTensor({2, 5, 20}, 1),
             source = permutation(), slot = tensorOf<int32_t>({2, 5, 3}, std::vector<int32_t>(30)),
             offsets = tensorOf<int64_t>({5}, kOffsets), accumulator = randomTensor({4, 19, 20}, 4);
  HostTensor rows = gather(tokens, source), expected = accumulator;
  for (int64_t e = 0; e < kExperts; ++e)
    for (int64_t o = 0; o < 19; ++o)
      for (int64_t i = 0; i < 20; ++i) {
        float sum = 0;
        for (int64_t s = kOffsets[size_t(e)]; s < kOffsets[size_t(e) + 1]; ++s)
          sum = std::fma(gradient.f32()[s * 19 + o], rows.f32()[s * 20 + i], sum);
        if (kOffsets[size_t(e)] != kOffsets[size_t(e) + 1])
          expected.f32()[(e * 19 + o) * 20 + i] += sum;
      }
  EXPECT_TRUE(
      harness.runEveryCut({gradient, tokens, source, slot, offsets, accumulator})[0].sameBits(
          expected));
}

} // namespace
