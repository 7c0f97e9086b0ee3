// SPDX-License-Identifier: Apache-2.0
//
// Routing: choice of experts, order of rows, bias update, balance loss. The first case and the
// counts of the bias update are worked examples of DeepSeek-V3's rules.

#include "test/unit/dialects/TestFunction.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>

#include <cmath>

using namespace hadal::reference;
using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

static std::vector<double> logits(std::vector<double> scores) {
  for (double &score : scores)
    score = std::log(score / (1 - score));
  return scores;
}

/// Routes one token.
static Interpreter::Values route(const std::vector<double> &scores, const std::vector<double> &bias,
                                 int groups, int kept, int topK, bool normalize = true) {
  auto experts = int64_t(scores.size());
  std::string text = llvm::formatv(R"(
    func.func @f(%l: tensor<1x1x{0}xf32>, %b: tensor<{0}xf32>)
        -> (tensor<1x1x{3}xi32>, tensor<1x1x{3}xf32>, tensor<1x1x{0}xf32>) {{
      %0, %1, %2 = hadal.route %l, %b {{groups = {1}, kept_groups = {2}, top_k = {3},
          normalize = {4}, scaling_factor = 2.5, epsilon = 1.0e-20}
          : tensor<1x1x{0}xf32>, tensor<{0}xf32>
      return %0, %1, %2 : tensor<1x1x{3}xi32>, tensor<1x1x{3}xf32>, tensor<1x1x{0}xf32>
    })",
                                   experts, groups, kept, topK, normalize ? "true" : "false");
  return callText(text, {reals({1, 1, experts}, logits(scores)), reals({experts}, bias)});
}

TEST(ReferenceRouting, NegativeBiasedScoresOfMaskedGroupsLose) {
  std::vector<double> scores = {0.10, 0.20, 0.30, 0.05, 0.25, 0.28, 0.40, 0.01};
  auto y = route(scores, std::vector<double>(8, -0.5), 4, 2, 3);
  ASSERT_EQ(y.size(), 3u);
  EXPECT_THAT(y[0]->integers, ElementsAre(4, 5, 6));
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(5e-6), {0.67204, 0.75269, 1.07527}));
  EXPECT_THAT(y[2]->reals, Pointwise(DoubleNear(1e-12), scores));
}

TEST(ReferenceRouting, BiasSelectsButDoesNotWeigh) {
  auto y = route({0.5, 0.6, 0.7, 0.2}, {0, 0, 0, 1}, 1, 1, 2, false);
  ASSERT_EQ(y.size(), 3u);
  EXPECT_THAT(y[0]->integers, ElementsAre(2, 3));
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-12), {1.75, 0.5}));
}

TEST(ReferenceRouting, TiesGoToTheLowerExpertAndGroup) {
  auto y = route(std::vector<double>(6, 0.5), std::vector<double>(6, 0), 3, 2, 3);
  ASSERT_EQ(y.size(), 3u);
  EXPECT_THAT(y[0]->integers, ElementsAre(0, 1, 2));
}

TEST(ReferenceRouting, GroupsOfOneExpertAndAllChosen) {
  auto y = route({0.1, 0.4, 0.3}, {0, 0, 0}, 3, 2, 2);
  ASSERT_EQ(y.size(), 3u);
  EXPECT_THAT(y[0]->integers, ElementsAre(1, 2));
  y = route({0.1, 0.4, 0.3}, {0, 0, 0}, 1, 1, 3);
  ASSERT_EQ(y.size(), 3u);
  EXPECT_THAT(y[0]->integers, ElementsAre(0, 1, 2));
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-12), {0.3125, 1.25, 0.9375}));
}

TEST(ReferenceRouting, RowsAreSortedByExpertThenToken) {
  auto y = callText(R"(
    func.func @f(%e: tensor<1x3x2xi32>)
        -> (tensor<4xi64>, tensor<5xi64>, tensor<6xi32>, tensor<1x3x2xi32>) {
      %c, %o, %s, %l = hadal.sort_by_expert %e {expert_count = 4} : tensor<1x3x2xi32>
      return %c, %o, %s, %l : tensor<4xi64>, tensor<5xi64>, tensor<6xi32>, tensor<1x3x2xi32>
    })",
                    {integers({1, 3, 2}, {1, 3, 0, 3, 1, 3})});
  ASSERT_EQ(y.size(), 4u);
  EXPECT_THAT(y[0]->integers, ElementsAre(1, 2, 0, 3));
  EXPECT_THAT(y[1]->integers, ElementsAre(0, 1, 3, 3, 6));
  EXPECT_THAT(y[2]->integers, ElementsAre(2, 0, 4, 1, 3, 5));
  EXPECT_THAT(y[3]->integers, ElementsAre(1, 3, 0, 4, 2, 5));
}

TEST(ReferenceRouting, DispatchAndCombineKeepEachTokensRows) {
  std::mt19937 random(7);
  Routed routed = randomRouting(2, 5, 3, 6, 5, random);
  auto x = randomReals({2, 5, 4}, -1, 1, random);
  auto y = callText(R"(
    func.func @f(%x: tensor<2x5x4xf32>, %s: tensor<30xi32>, %l: tensor<2x5x3xi32>)
        -> tensor<2x5x4xf32> {
      %0 = hadal.dispatch %x, %s, %l : tensor<2x5x4xf32>, tensor<30xi32>, tensor<2x5x3xi32>
      %1 = hadal.combine %0, %s, %l : tensor<30x4xf32>, tensor<30xi32>, tensor<2x5x3xi32>
      return %1 : tensor<2x5x4xf32>
    })",
                    {x, routed.source, routed.slot});
  ASSERT_EQ(y.size(), 1u);
  for (size_t i = 0; i < x->reals.size(); ++i)
    EXPECT_NEAR(y[0]->reals[i], 3 * x->reals[i], 1e-14);
}

TEST(ReferenceRouting, GroupedLinearIsLinearExpertByExpert) {
  std::mt19937 random(8);
  auto x = randomReals({4, 2}, -1, 1, random), w = randomReals({3, 1, 2}, -1, 1, random);
  auto y = callText(R"(
    func.func @f(%x: tensor<4x2xf32>, %w: tensor<3x1x2xf32>, %o: tensor<4xi64>) -> tensor<4x1xf32> {
      %0 = hadal.grouped_linear %x, %w, %o : tensor<4x2xf32>, tensor<3x1x2xf32>, tensor<4xi64>
      return %0 : tensor<4x1xf32>
    })",
                    {x, w, integers({4}, {0, 1, 1, 4})});
  ASSERT_EQ(y.size(), 1u);
  for (int row = 0; row < 4; ++row) {
    int expert = row < 1 ? 0 : 2;
    EXPECT_NEAR(y[0]->reals[row],
                x->reals[2 * row] * w->reals[2 * expert] +
                    x->reals[2 * row + 1] * w->reals[2 * expert + 1],
                1e-14);
  }
}

TEST(ReferenceRouting, BiasMovesBySignOfMeanMinusCount) {
  const char *text = R"(
    func.func @f(%b: tensor<5xf32>, %c: tensor<5xi64>, %t: tensor<5xi64>, %s: tensor<f64>)
        -> tensor<5xf32> {
      %0 = hadal.accumulate_counts %c, %t : tensor<5xi64>, tensor<5xi64>
      %1 = hadal.bias_update %b, %0, %s : tensor<5xf32>, tensor<5xi64>, tensor<f64>
      return %1 : tensor<5xf32>
    })";
  auto y = callText(text, {reals({5}, {0, 0, 0, 0, 0.5}), integers({5}, {9, 0, 4, 8, 5}),
                           integers({5}, {1, 2, 0, 0, 1}), scalar(0.001)});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_THAT(y[0]->reals, ElementsAre(-0.001, 0.001, 0.001, -0.001, 0.5));
}

TEST(ReferenceRouting, BalanceOfEvenScoresIsAlphaAndRowsAddUp) {
  const char *text = R"(
    func.func @f(%s: tensor<2x2x4xf32>) -> (tensor<f64>, tensor<2xf64>, tensor<2x4xf32>) {
      %0, %1 = hadal.sequence_balance %s {top_k = 2, alpha = 0.25} : tensor<2x2x4xf32>
      %2, %3 = hadal.sequence_balance_rows %s {top_k = 2, alpha = 0.25} : tensor<2x2x4xf32>
      return %0, %2, %3 : tensor<f64>, tensor<2xf64>, tensor<2x4xf32>
    })";
  auto y = callText(text, {reals({2, 2, 4}, {.5, .5, .5, .5, .5, .5, .5, .5, //
                                             .8, .1, .1, .6, .2, .1, .3, .4})});
  ASSERT_EQ(y.size(), 3u);
  // f = 4 / (2 * 2) * count; ties go to the lower experts.
  EXPECT_THAT(y[2]->reals, ElementsAre(2, 2, 0, 0, 1, 0, 1, 2));
  double second = 0.25 * ((.8 + .1 + 1.2) / 1.6 + (.2 + .3 + .8)) / 2;
  EXPECT_THAT(y[1]->reals, Pointwise(DoubleNear(1e-14), {0.25, second}));
  EXPECT_NEAR(y[0]->reals[0], (0.25 + second) / 2, 1e-14);
}
