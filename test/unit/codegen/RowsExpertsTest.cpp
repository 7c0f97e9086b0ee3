// SPDX-License-Identifier: Apache-2.0
//
// Row kernels of mixtures of experts against the reference interpreter, and the router's rules on
// cases by hand.

#include "test/unit/codegen/Differential.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace hadal::test {
namespace {

using llvm::formatv;

struct Routing {
  int64_t experts, groups, keptGroups, topK;
  bool normalize = true;
};

/// Lines of a route op; results %ids, %weights, %scores.
void route(Component &c, Routing r, int64_t b, int64_t t, const std::string &logits,
           const std::string &bias) {
  c.line(formatv("%ids, %weights, %scores = hadal.route {0}, {1} {{groups = {2} : i64, kept_groups "
                 "= {3} : i64, "
                 "top_k = {4} : i64, normalize = {5}, scaling_factor = 2.5 : f64, epsilon = "
                 "1.0e-20 : f64} : {6}, {7}",
                 logits, bias, r.groups, r.keptGroups, r.topK, r.normalize ? "true" : "false",
                 type({b, t, r.experts}), type({r.experts})));
}

const Routing kRoutings[] = {{8, 1, 1, 2},   {8, 4, 2, 3}, {12, 3, 2, 8, false}, {8, 8, 3, 3},
                             {256, 8, 4, 8}, {5, 1, 1, 5}, {1, 1, 1, 1}};

TEST(RowsExperts, RouteAndGradient) {
  for (Routing r : kRoutings)
    for (int gradients : {1, 2, 3}) {
      if (gradients != 3 && r.experts != 12)
        continue;
      Component c;
      int64_t b = 2, t = 9;
      std::string logits = c.random({b, t, r.experts}, 2), bias = c.random({r.experts}, 0.1);
      std::string small = type({b, t, r.topK}), large = type({b, t, r.experts});
      std::string gw = c.random({b, t, r.topK}), gs = c.random({b, t, r.experts});
      route(c, r, b, t, logits, bias);
      std::string first = gradients & 1 ? "weights " + gw + " : " + small + " " : "";
      std::string second = gradients & 2 ? "scores " + gs + " : " + large + " " : "";
      c.line(formatv("%g = hadal.route_gradient {0}{1}of %ids, %scores {{normalize = {2}, "
                     "scaling_factor = 2.5 : f64, "
                     "epsilon = 1.0e-20 : f64} : {3}, {4}",
                     first, second, r.normalize ? "true" : "false", type({b, t, r.topK}, "i32"),
                     large));
      c.result("%ids", type({b, t, r.topK}, "i32"));
      c.result("%weights", small);
      c.result("%scores", large);
      c.result("%g", large);
      expectReference(c);
    }
}

/// The ids chosen for one token.
std::vector<int32_t> chosen(Routing r, const std::vector<float> &logits,
                            const std::vector<float> &bias) {
  Component c;
  std::string x = c.argument({1, 1, r.experts}, tensorOf<float>({1, 1, r.experts}, logits));
  std::string y = c.argument({r.experts}, tensorOf<float>({r.experts}, bias));
  route(c, r, 1, 1, x, y);
  c.result("%ids", type({1, 1, r.topK}, "i32"));
  HostTensor ids = KernelHarness(fused(c.text())).run(c.values)[0];
  return {ids.as<int32_t>(), ids.as<int32_t>() + r.topK};
}

TEST(RowsExperts, TiesGoToTheLowerIndex) {
  std::vector<float> same(8, 0.0f), none(8, 0.0f);
  EXPECT_EQ(chosen({8, 1, 1, 3}, same, none), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(chosen({8, 4, 2, 3}, same, none), (std::vector<int32_t>{0, 1, 2}));
  // Groups of one: a group's rank is its only score.
  EXPECT_EQ(chosen({8, 8, 3, 3}, same, {0, 0, 0, 0, 1, 0, 0, 0}), (std::vector<int32_t>{0, 1, 4}));
}

TEST(RowsExperts, GroupsAreRankedByTheirTwoBest) {
  // Group 0 has the best expert, group 1 the best pair.
  std::vector<float> logits{3, -9, -9, -9, 1, 1, -9, -9}, none(8, 0.0f);
  EXPECT_EQ(chosen({8, 2, 1, 2}, logits, none), (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(chosen({8, 2, 2, 2}, logits, none), (std::vector<int32_t>{0, 4}));
}

TEST(RowsExperts, NaNStillChoosesDifferentExperts) {
  std::vector<float> nan(8, std::nanf("")), none(8, 0.0f);
  EXPECT_EQ(chosen({8, 1, 1, 3}, nan, none), (std::vector<int32_t>{0, 1, 2}));
}

TEST(RowsExperts, RowsToExpertsAndBack) {
  for (int64_t topK : {1, 3})
    for (int64_t d : {1, 21, 64}) {
      Component c;
      int64_t b = 2, t = 5, rows = b * t * topK;
      std::vector<int32_t> source(static_cast<size_t>(rows)), slot(source.size());
      std::iota(source.begin(), source.end(), 0);
      std::shuffle(source.begin(), source.end(), std::mt19937(7));
      for (size_t i = 0; i < source.size(); ++i)
        slot[size_t(source[i])] = int32_t(i);
      std::string x = c.random({b, t, d}), weights = c.random({b, t, topK});
      std::string from = c.ids({rows}, source), to = c.ids({b, t, topK}, slot);
      std::string wide = type({b, t, d}), routed = type({rows, d}), small = type({b, t, topK}),
                  column = type({rows});
      std::string tables = type({rows}, "i32") + ", " + type({b, t, topK}, "i32"),
                  names = from + ", " + to;
      c.line(formatv("%r = hadal.dispatch {0}, {1} : {2}, {3}", x, names, wide, tables));
      c.line(formatv("%w = hadal.dispatch_weights {0}, {1} : {2}, {3}", weights, names, small,
                     tables));
      c.line(formatv("%s = hadal.swiglu %r, %r scaled_by %w : {0}, {0}, {1}", routed, column));
      c.line(formatv("%c = hadal.combine %s, {0} : {1}, {2}", names, routed, tables));
      c.line(formatv("%o = hadal.add %c, {0} : {1}, {1}", x, wide));
      c.line(formatv("%b = hadal.combine_weights %w, {0} : {1}, {2}", names, column, tables));
      c.result("%r", routed);
      c.result("%o", wide);
      c.result("%b", small);
      expectReference(c);
    }
}

TEST(RowsExperts, SequenceBalance) {
  for (int64_t experts : {4, 19, 64}) {
    Component c;
    int64_t b = 3, t = 6;
    HostTensor values = randomTensor({b, t, experts}, 3);
    for (int64_t i = 0; i < values.elements(); ++i)
      values.f32()[i] = std::abs(values.f32()[i]) + 0.01f;
    std::string scores = c.argument({b, t, experts}, values), seed = c.scalarF32(0.5f),
                s = type({b, t, experts});
    c.line(formatv(
        "%loss, %f = hadal.sequence_balance {0} {{top_k = 3 : i64, alpha = 0.25 : f64} : {1}",
        scores, s));
    c.line(formatv("%g = hadal.sequence_balance_gradient {0}, {1}, %f {{alpha = 0.25 : f64} : "
                   "tensor<f32>, {2}, {3}",
                   seed, scores, s, type({b, experts})));
    c.result("%loss", "tensor<f64>");
    c.result("%f", type({b, experts}));
    c.result("%g", s);
    expectReference(c, 1e-6);
  }
}

} // namespace
} // namespace hadal::test
