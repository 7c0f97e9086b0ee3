// SPDX-License-Identifier: Apache-2.0
//
// Gradient norm, clipping and AdamW against the same steps written as scalars.

#include "test/unit/dialects/TestFunction.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace hadal::reference;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

TEST(ReferenceOptimizer, NormOverBlocks) {
  auto gradient = reals({2, 40000}, std::vector<double>(80000, 0.5));
  auto y = callText(R"(
    func.func @f(%g: tensor<2x40000xf32>, %t: tensor<f64>)
        -> (tensor<2xf64>, tensor<f64>, tensor<f32>, tensor<f32>, tensor<f32>) {
      %0 = hadal.square_sum %g : tensor<2x40000xf32>
      %1 = hadal.accumulate_squares %0, %t : tensor<2xf64>, tensor<f64>
      %2, %3 = hadal.clip_factor %1 {clip_norm = 15.0} : tensor<f64>
      %4, %5 = hadal.clip_factor %1 {clip_norm = 0.0} : tensor<f64>
      %6, %7 = hadal.clip_factor %1 {clip_norm = 1000.0} : tensor<f64>
      return %0, %2, %3, %5, %7 : tensor<2xf64>, tensor<f64>, tensor<f32>, tensor<f32>, tensor<f32>
    })",
                    {gradient, scalar(2500)});
  ASSERT_EQ(y.size(), 5u);
  EXPECT_THAT(y[0]->reals, ElementsAre(16384, 3616));
  EXPECT_THAT(y[1]->reals, ElementsAre(150));
  EXPECT_THAT(y[2]->reals, ElementsAre(0.1));
  EXPECT_THAT(y[3]->reals, ElementsAre(1));
  EXPECT_THAT(y[4]->reals, ElementsAre(1));
}

TEST(ReferenceOptimizer, TwoStepsOfAdamw) {
  const char *text = R"(
    func.func @f(%p: tensor<2xf32>, %g: tensor<2xf32>, %m: tensor<2xf32>, %v: tensor<2xf32>,
                 %r: tensor<f64>, %c1: tensor<f64>, %c2: tensor<f64>, %s: tensor<f32>)
        -> (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) {
      %0, %1, %2 = hadal.adamw %p, %g, %m, %v, %r, %c1, %c2, %s {beta1 = 0.9, beta2 = 0.95,
          epsilon = 1.0e-8, weight_decay = 0.1}
          : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<f64>, tensor<f64>,
            tensor<f64>, tensor<f32>
      return %0, %1, %2 : tensor<2xf32>, tensor<2xf32>, tensor<2xf32>
    })";
  TensorPtr state[3] = {reals({2}, {1, -2}), reals({2}, {0, 0}), reals({2}, {0, 0})};
  std::vector<double> p = {1, -2}, m = {0, 0}, v = {0, 0};
  const double rate = 0.01, gradients[2][2] = {{0.3, -4}, {-1, 0}};
  for (int step = 1; step <= 2; ++step) {
    const double *g = gradients[step - 1];
    auto y = callText(text, {state[0], reals({2}, {g[0], g[1]}), state[1], state[2], scalar(rate),
                             scalar(1 - std::pow(0.9, step)), scalar(1 - std::pow(0.95, step)),
                             scalar(0.5)});
    ASSERT_EQ(y.size(), 3u);
    for (int i = 0; i < 2; ++i) {
      state[0] = y[0], state[1] = y[1], state[2] = y[2];
      double clipped = g[i] / 2;
      m[i] = 0.9 * m[i] + 0.1 * clipped;
      v[i] = 0.95 * v[i] + 0.05 * clipped * clipped;
      double mean = m[i] / (1 - std::pow(0.9, step)), square = v[i] / (1 - std::pow(0.95, step));
      p[i] = p[i] * (1 - rate * 0.1) - rate * mean / (std::sqrt(square) + 1e-8);
    }
    EXPECT_THAT(y[0]->reals, Pointwise(DoubleNear(1e-14), p));
    EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-14), m));
    EXPECT_THAT(y[2]->reals, Pointwise(DoubleNear(1e-14), v));
  }
}

TEST(ReferenceOptimizer, Accumulate) {
  auto y = callText(R"(
    func.func @f(%v: tensor<2xf32>, %a: tensor<2xf32>) -> tensor<2xf32> {
      %0 = hadal.accumulate %v, %a : tensor<2xf32>, tensor<2xf32>
      return %0 : tensor<2xf32>
    })",
                    {reals({2}, {1, 2}), reals({2}, {10, 20})});
  EXPECT_THAT(y.at(0)->reals, ElementsAre(11, 22));
}
