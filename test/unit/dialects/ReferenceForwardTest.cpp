// SPDX-License-Identifier: Apache-2.0
//
// Forward rules against values worked out by hand and other ways to write them.

#include "test/unit/dialects/TestFunction.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace hadal::reference;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

TEST(ReferenceForward, Linear) {
  auto x = reals({2, 2}, {1, 2, 3, -4}), w = reals({3, 2}, {1, 0, 0, 1, 2, 5});
  auto y = callText(R"(
    func.func @f(%x: tensor<2x2xf32>, %w: tensor<3x2xf32>) -> (tensor<2x3xf32>, tensor<2x2xf32>) {
      %0 = hadal.linear %x, %w : tensor<2x2xf32>, tensor<3x2xf32>
      %1 = hadal.linear %0, %w {transpose_weight} : tensor<2x3xf32>, tensor<3x2xf32>
      return %0, %1 : tensor<2x3xf32>, tensor<2x2xf32>
    })",
                    {x, w});
  ASSERT_EQ(y.size(), 2u);
  EXPECT_THAT(y[0]->reals, ElementsAre(1, 2, 12, 3, -4, -14));
  EXPECT_THAT(y[1]->reals, ElementsAre(25, 62, -25, -74));
}

TEST(ReferenceForward, RmsNorm) {
  auto y = callText(R"(
    func.func @f(%x: tensor<2x2xf32>, %w: tensor<2xf32>) -> (tensor<2x2xf32>, tensor<2xf32>) {
      %0, %1 = hadal.rms_norm %x, %w {epsilon = 0.5} : tensor<2x2xf32>, tensor<2xf32>
      return %0, %1 : tensor<2x2xf32>, tensor<2xf32>
    })",
                    {reals({2, 2}, {1, -2, 0, 0}), reals({2}, {3, 10})});
  ASSERT_EQ(y.size(), 2u);
  double s = 1 / std::sqrt(3.0), zero = 1 / std::sqrt(0.5);
  EXPECT_THAT(y[0]->reals, Pointwise(DoubleNear(1e-14), {3 * s, -20 * s, 0., 0.}));
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-14), {s, zero}));
}

TEST(ReferenceForward, SwigluAtItsEnds) {
  auto y = callText(R"(
    func.func @f(%g: tensor<1x3xf32>, %u: tensor<1x3xf32>, %s: tensor<1xf32>) -> tensor<1x3xf32> {
      %0 = hadal.swiglu %g, %u scaled_by %s
          : tensor<1x3xf32>, tensor<1x3xf32>, tensor<1xf32>
      return %0 : tensor<1x3xf32>
    })",
                    {reals({1, 3}, {0, 800, -800}), reals({1, 3}, {5, 2, 3}), reals({1}, {0.5})});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_THAT(y[0]->reals, ElementsAre(0, 800, 0));
}

TEST(ReferenceForward, RopeTurnsTheLastPairsOfEachHead) {
  double c = 0.6, s = 0.8;
  auto y = callText(R"(
    func.func @f(%x: tensor<1x1x6xf32>, %c: tensor<1x1xf32>, %s: tensor<1x1xf32>)
        -> (tensor<1x1x6xf32>, tensor<1x1x6xf32>) {
      %0 = hadal.rope %x, %c, %s {heads = 2, rotary_dim = 2}
          : tensor<1x1x6xf32>, tensor<1x1xf32>, tensor<1x1xf32>
      %1 = hadal.rope %0, %c, %s {heads = 2, rotary_dim = 2, inverse}
          : tensor<1x1x6xf32>, tensor<1x1xf32>, tensor<1x1xf32>
      return %0, %1 : tensor<1x1x6xf32>, tensor<1x1x6xf32>
    })",
                    {reals({1, 1, 6}, {7, 1, 0, 9, 2, 3}), reals({1, 1}, {c}), reals({1, 1}, {s})});
  ASSERT_EQ(y.size(), 2u);
  EXPECT_THAT(y[0]->reals,
              Pointwise(DoubleNear(1e-14), {7., c, s, 9., 2 * c - 3 * s, 2 * s + 3 * c}));
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-14), {7., 1., 0., 9., 2., 3.}));
}

TEST(ReferenceForward, AttentionOfEqualKeysIsTheMeanOfTheValuesSoFar) {
  std::mt19937 random(1);
  auto y = callText(R"(
    func.func @f(%q: tensor<1x3x3xf32>, %kv: tensor<1x3x2xf32>, %r: tensor<1x3x2xf32>)
        -> (tensor<1x3x1xf32>, tensor<1x1x3xf32>) {
      %0, %1 = hadal.attention %q, %kv, %r {heads = 1, scale = 2.0}
          : tensor<1x3x3xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>
      return %0, %1 : tensor<1x3x1xf32>, tensor<1x1x3xf32>
    })",
                    {reals({1, 3, 3}, {1, 1, 1, 2, 2, 2, 3, 3, 3}),
                     reals({1, 3, 2}, {5, 3, 5, 6, 5, -3}), reals({1, 3, 2}, {1, 0, 1, 0, 1, 0})});
  ASSERT_EQ(y.size(), 2u);
  EXPECT_THAT(y[0]->reals, Pointwise(DoubleNear(1e-13), {3., 4.5, 2.}));
  EXPECT_THAT(y[1]->reals,
              Pointwise(DoubleNear(1e-13), {12., 24 + std::log(2.0), 36 + std::log(3.0)}));
}

TEST(ReferenceForward, CrossEntropy) {
  auto logits = reals({1, 2, 2}, {0, 0, 1000, 998}), ids = integers({1, 3}, {0, 1, 1});
  auto y = callText(R"(
    func.func @f(%l: tensor<1x2x2xf32>, %i: tensor<1x3xi32>)
        -> (tensor<f64>, tensor<f64>, tensor<1x2xf32>) {
      %0, %1 = hadal.cross_entropy %l, %i {offset = 1, divisor = 4}
          : tensor<1x2x2xf32>, tensor<1x3xi32>
      %2, %3 = hadal.cross_entropy_rows %l, %i {offset = 1} : tensor<1x2x2xf32>, tensor<1x3xi32>
      %4 = hadal.reduce_loss %2 {divisor = 4} : tensor<1x2xf64>
      return %0, %4, %3 : tensor<f64>, tensor<f64>, tensor<1x2xf32>
    })",
                    {logits, ids});
  ASSERT_EQ(y.size(), 3u);
  double second = std::log1p(std::exp(-2.0));
  EXPECT_NEAR(y[0]->reals[0], (std::log(2.0) + 2 + second) / 4, 1e-12);
  EXPECT_EQ(y[1]->reals, y[0]->reals);
  EXPECT_THAT(y[2]->reals, Pointwise(DoubleNear(1e-12), {std::log(2.0), 1000 + second}));
}

TEST(ReferenceForward, MtpJoinTakesTheFirstPositions) {
  auto y = callText(R"(
    func.func @f(%e: tensor<1x1x2xf32>, %h: tensor<1x2x2xf32>)
        -> (tensor<1x1x4xf32>, tensor<1x1x4xf32>) {
      %0 = hadal.mtp_join %e, %h : tensor<1x1x2xf32>, tensor<1x2x2xf32>
      %1 = hadal.mtp_join %e, %h {half_order = #hadal.half_order<hidden_first>}
          : tensor<1x1x2xf32>, tensor<1x2x2xf32>
      return %0, %1 : tensor<1x1x4xf32>, tensor<1x1x4xf32>
    })",
                    {reals({1, 1, 2}, {1, 2}), reals({1, 2, 2}, {3, 4, 5, 6})});
  ASSERT_EQ(y.size(), 2u);
  EXPECT_THAT(y[0]->reals, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(y[1]->reals, ElementsAre(3, 4, 1, 2));
}

TEST(ReferenceForward, SinglePrecisionRoundsEveryElementAndF64IsExact) {
  const char *text = R"(
    func.func @f(%x: tensor<1x2xf32>, %w: tensor<1x2xf32>) -> tensor<1x1xf32> {
      %0 = hadal.linear %x, %w : tensor<1x2xf32>, tensor<1x2xf32>
      return %0 : tensor<1x1xf32>
    })";
  // 2^24 + 1 is no f32.
  Interpreter::Values arguments = {reals({1, 2}, {16777216, 1}), reals({1, 2}, {1, 1})};
  EXPECT_THAT(callText(text, arguments).at(0)->reals, ElementsAre(16777217));
  EXPECT_THAT(callText(text, arguments, Precision::F32).at(0)->reals, ElementsAre(16777216));
}
