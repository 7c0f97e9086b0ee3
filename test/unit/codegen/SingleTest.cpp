// SPDX-License-Identifier: Apache-2.0
//
// Kernels of single ops against the reference interpreter.

#include "test/unit/codegen/Differential.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace hadal::test {
namespace {

using llvm::formatv;

HostTensor ids(std::vector<int64_t> shape, int32_t limit, unsigned seed) {
  std::mt19937 generator(seed);
  HostTensor tensor{std::move(shape), 4, {}};
  tensor.bytes.resize(size_t(tensor.elements()) * 4);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.as<int32_t>()[i] = int32_t(generator() % unsigned(limit));
  return tensor;
}
HostTensor counts(const std::vector<int64_t> &values) {
  return tensorOf<int64_t>({int64_t(values.size())}, values);
}

TEST(Single, RmsNormWeightGradient) {
  for (int64_t d : {1, 24, 64, 150})
    for (int64_t rows : {1, 70}) {
      Component c;
      std::string x = type({1, rows, d}), i = type({1, rows}), w = type({d});
      std::string g = c.random({1, rows, d}), input = c.random({1, rows, d}),
                  inverse = c.random({1, rows});
      std::string total = c.random({d});
      c.line(formatv("%r = hadal.rms_norm_weight_gradient {0}, {1}, {2}, {3} : {4}, {4}, {5}, {6}",
                     g, input, inverse, total, x, i, w));
      c.result("%r", w);
      expectReference(c, 4e-6);
    }
}

TEST(Single, EmbeddingGradient) {
  for (int64_t d : {1, 64, 77})
    for (int64_t offset : {0, 2}) {
      Component c;
      int64_t b = 2, t = 6;
      std::string g = c.random({b, t, d}),
                  places = c.argument({b, t + 2}, ids({b, t + 2}, 4, 1), "i32");
      std::string total = c.random({4, d});
      c.line(formatv(
          "%r = hadal.embedding_gradient {0}, {1}, {2} {{offset = {3} : i64} : {4}, {5}, {6}", g,
          places, total, offset, type({b, t, d}), type({b, t + 2}, "i32"), type({4, d})));
      c.result("%r", type({4, d}));
      expectReference(c);
    }
}

TEST(Single, SortByExpertAndCounts) {
  for (int64_t experts : {1, 7})
    for (int64_t tokens : {1, 40}) {
      Component c;
      std::string chosen =
          c.argument({2, tokens, 3}, ids({2, tokens, 3}, int32_t(experts), 9), "i32");
      std::string total = c.argument(
          {experts}, counts(std::vector<int64_t>(size_t(experts), int64_t(1) << 40)), "i64");
      std::string e = type({experts}, "i64");
      c.line(formatv("%c, %o, %f, %s = hadal.sort_by_expert {0} {{expert_count = {1} : i64} : {2}",
                     chosen, experts, type({2, tokens, 3}, "i32")));
      c.line(formatv("%t = hadal.accumulate_counts %c, {0} : {1}, {1}", total, e));
      c.result("%o", type({experts + 1}, "i64"));
      c.result("%f", type({6 * tokens}, "i32"));
      c.result("%s", type({2, tokens, 3}, "i32"));
      c.result("%t", e);
      expectReference(c);
    }
}

TEST(Single, SortWithResultsNobodyReads) {
  Component c;
  std::string chosen = c.argument({1, 4, 2}, ids({1, 4, 2}, 3, 2), "i32");
  c.line("%c, %o, %f, %s = hadal.sort_by_expert " + chosen +
         " {expert_count = 3 : i64} : " + type({1, 4, 2}, "i32"));
  c.result("%f", type({8}, "i32"));
  expectReference(c);
}

TEST(Single, BiasUpdate) {
  Component c;
  std::string bias = c.random({4}), values = c.argument({4}, counts({5, 9, 7, 7}), "i64"),
              speed = c.scalar(0.001);
  c.line("%r = hadal.bias_update " + bias + ", " + values + ", " + speed + " : " + type({4}) +
         ", " + type({4}, "i64") + ", tensor<f64>");
  c.result("%r", type({4}));
  expectReference(c, 1e-7);
  float before[4], after[4];
  std::memcpy(before, c.values[0].f32(), sizeof before);
  std::memcpy(after, KernelHarness(fused(c.text())).run(c.values)[0].f32(), sizeof after);
  // The mean is 7: 5 is below, 9 above, 7 stays.
  EXPECT_EQ(after[0], before[0] + 0.001f);
  EXPECT_EQ(after[1], before[1] - 0.001f);
  EXPECT_EQ(after[2], before[2]);
}

TEST(Single, GradientNormAndClipping) {
  for (int64_t n : {1, 65536, 65537, 200000})
    for (double clip : {0.0, 0.5, 1e9}) {
      Component c;
      int64_t blocks = (n + 65535) / 65536;
      std::string g = c.random({n}), total = c.scalar(0.125), f = type({blocks}, "f64");
      c.line(formatv("%b = hadal.square_sum {0} : {1}", g, type({n})));
      c.line(formatv("%t = hadal.accumulate_squares %b, {0} : {1}, tensor<f64>", total, f));
      c.line("%n, %f = hadal.clip_factor %t {clip_norm = " + std::to_string(clip) +
             " : f64} : tensor<f64>");
      c.result("%b", f);
      c.result("%t", "tensor<f64>");
      c.result("%n", "tensor<f64>");
      c.result("%f", "tensor<f32>");
      // The factor is an f32.
      expectReference(c, 1e-7);
    }
}

TEST(Single, SquareSumIsF64) {
  Component c;
  std::string g = c.random({65536});
  c.line("%b = hadal.square_sum " + g + " : " + type({65536}));
  c.result("%b", type({1}, "f64"));
  expectReference(c, 1e-13);
}

TEST(Single, Accumulate) {
  for (int64_t n : {1, 16384, 16390}) {
    Component c;
    std::string value = c.random({n}), total = c.random({n}), t = type({n});
    c.line(formatv("%r = hadal.accumulate {0}, {1} : {2}, {2}", value, total, t));
    c.result("%r", t);
    expectReference(c, 1e-7);
  }
}

TEST(Single, Adamw) {
  for (int64_t n : {1, 37, 16390}) {
    Component c;
    std::string t = type({n}), p = c.random({n}), g = c.random({n}), m = c.random({n}, 0.1);
    HostTensor squares = randomTensor({n}, 9, 0.1);
    for (int64_t i = 0; i < n; ++i)
      squares.f32()[i] = std::abs(squares.f32()[i]) + 1e-3f;
    std::string v = c.argument({n}, squares);
    std::string rate = c.scalar(3e-2), c1 = c.scalar(1 - 0.9), c2 = c.scalar(1 - 0.95),
                factor = c.scalarF32(0.7f);
    c.line(formatv("%p, %m, %v = hadal.adamw {0}, {1}, {2}, {3}, {4}, {5}, {6}, {7} {{beta1 = 0.9 "
                   ": f64, beta2 = 0.95 : "
                   "f64, epsilon = 1.0e-8 : f64, weight_decay = 0.1 : f64} : {8}, {8}, {8}, {8}, "
                   "tensor<f64>, tensor<f64>, "
                   "tensor<f64>, tensor<f32>",
                   p, g, m, v, rate, c1, c2, factor, t));
    c.result("%p", t);
    c.result("%m", t);
    c.result("%v", t);
    expectReference(c, 1e-6);
  }
}

} // namespace
} // namespace hadal::test
