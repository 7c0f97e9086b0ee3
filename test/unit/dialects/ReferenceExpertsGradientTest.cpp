// SPDX-License-Identifier: Apache-2.0
//
// Gradients of routing, dispatch, grouped products and the balance loss against finite differences.

#include "test/unit/dialects/TestGradients.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

using namespace hadal::reference;
using llvm::formatv;

namespace {
struct Router {
  int sequences, tokens, experts, groups, kept, topK;
};
/// Several groups, one group, one token, every expert chosen.
constexpr Router kRouters[] = {
    {2, 3, 8, 4, 2, 3}, {1, 4, 5, 1, 1, 2}, {1, 1, 4, 2, 1, 2}, {2, 2, 3, 1, 1, 3}};
} // namespace

TEST(ReferenceGradients, Route) {
  for (Router r : kRouters)
    for (const char *normalize : {"true", "false"})
      for (std::set<unsigned> seeded : {std::set<unsigned>{1}, {2}, {1, 2}})
        expectGradients(
            {formatv(R"(
      func.func @f(%l: tensor<{0}x{1}x{2}xf32>, %b: tensor<{2}xf32>)
          -> (tensor<{0}x{1}x{5}xi32>, tensor<{0}x{1}x{5}xf32>, tensor<{0}x{1}x{2}xf32>) {{
        %0, %1, %2 = hadal.route %l, %b {{groups = {3}, kept_groups = {4}, top_k = {5},
            normalize = {6}, scaling_factor = 2.5, epsilon = 1.0e-3}
            : tensor<{0}x{1}x{2}xf32>, tensor<{2}xf32>
        return %0, %1, %2
            : tensor<{0}x{1}x{5}xi32>, tensor<{0}x{1}x{5}xf32>, tensor<{0}x{1}x{2}xf32>
      })",
                     r.sequences, r.tokens, r.experts, r.groups, r.kept, r.topK, normalize),
             {},
             {},
             {},
             seeded});
}

TEST(ReferenceGradients, SequenceBalance) {
  std::mt19937 random(3);
  for (Router r : kRouters)
    expectGradients({formatv(R"(
      func.func @f(%s: tensor<{0}x{1}x{2}xf32>) -> tensor<f64> {{
        %0, %1 = hadal.sequence_balance %s {{top_k = {3}, alpha = 0.3} : tensor<{0}x{1}x{2}xf32>
        return %0 : tensor<f64>
      })",
                             r.sequences, r.tokens, r.experts, r.topK),
                     {{0, randomReals({r.sequences, r.tokens, r.experts}, 0.05, 0.95, random)}}});
}

TEST(ReferenceGradients, DispatchAndCombine) {
  std::mt19937 random(4);
  for (auto [tokens, topK, experts] : {std::tuple(3, 2, 5), {1, 1, 1}, {4, 3, 3}}) {
    Routed routed = randomRouting(2, tokens, topK, experts, experts, random);
    int rows = 2 * tokens * topK;
    for (const char *text : {R"(
      func.func @f(%x: tensor<2x{0}x3xf32>, %s: tensor<{2}xi32>, %l: tensor<2x{0}x{1}xi32>)
          -> tensor<{2}x3xf32> {{
        %0 = hadal.dispatch %x, %s, %l
            : tensor<2x{0}x3xf32>, tensor<{2}xi32>, tensor<2x{0}x{1}xi32>
        return %0 : tensor<{2}x3xf32>
      })",
                             R"(
      func.func @f(%x: tensor<{2}x3xf32>, %s: tensor<{2}xi32>, %l: tensor<2x{0}x{1}xi32>)
          -> tensor<2x{0}x3xf32> {{
        %0 = hadal.combine %x, %s, %l
            : tensor<{2}x3xf32>, tensor<{2}xi32>, tensor<2x{0}x{1}xi32>
        return %0 : tensor<2x{0}x3xf32>
      })",
                             R"(
      func.func @f(%x: tensor<2x{0}x{1}xf32>, %s: tensor<{2}xi32>, %l: tensor<2x{0}x{1}xi32>)
          -> tensor<{2}xf32> {{
        %0 = hadal.dispatch_weights %x, %s, %l
            : tensor<2x{0}x{1}xf32>, tensor<{2}xi32>, tensor<2x{0}x{1}xi32>
        return %0 : tensor<{2}xf32>
      })",
                             R"(
      func.func @f(%x: tensor<{2}xf32>, %s: tensor<{2}xi32>, %l: tensor<2x{0}x{1}xi32>)
          -> tensor<2x{0}x{1}xf32> {{
        %0 = hadal.combine_weights %x, %s, %l
            : tensor<{2}xf32>, tensor<{2}xi32>, tensor<2x{0}x{1}xi32>
        return %0 : tensor<2x{0}x{1}xf32>
      })"})
      expectGradients({formatv(text, tokens, topK, rows), {{1, routed.source}, {2, routed.slot}}});
  }
}

TEST(ReferenceGradients, GroupedLinear) {
  std::mt19937 random(5);
  // The last two experts have no rows.
  Routed routed = randomRouting(2, 3, 2, 5, 3, random);
  for (bool transpose : {false, true})
    expectGradients(
        {formatv(R"(
      func.func @f(%x: tensor<12x{0}xf32>, %w: tensor<5x4x3xf32>, %o: tensor<6xi64>)
          -> tensor<12x{1}xf32> {{
        %0 = hadal.grouped_linear %x, %w, %o {2}
            : tensor<12x{0}xf32>, tensor<5x4x3xf32>, tensor<6xi64>
        return %0 : tensor<12x{1}xf32>
      })",
                 transpose ? 4 : 3, transpose ? 3 : 4, transpose ? "{transpose_weight}" : ""),
         {{2, routed.offsets}},
         {1}});
}

/// Rows of a member of an expert group: two of the entries are experts of others.
TEST(ReferenceGradients, DispatchAndCombineOfReceivedRows) {
  auto ids = [](Shape shape, std::vector<int64_t> values) {
    Array<int64_t> array(std::move(shape));
    array.data = std::move(values);
    return std::make_shared<Tensor>(array);
  };
  auto source = ids({4}, {2, 0, 3, 5}), slot = ids({3, 2}, {1, -1, 0, 2, -1, 3});
  for (const char *text : {R"(
      func.func @f(%x: tensor<3x5xf32>, %s: tensor<4xi32>, %l: tensor<3x2xi32>) -> tensor<4x5xf32> {
        %0 = hadal.dispatch %x, %s, %l : tensor<3x5xf32>, tensor<4xi32>, tensor<3x2xi32>
        return %0 : tensor<4x5xf32>
      })",
                           R"(
      func.func @f(%x: tensor<4x5xf32>, %s: tensor<4xi32>, %l: tensor<3x2xi32>) -> tensor<3x5xf32> {
        %0 = hadal.combine %x, %s, %l : tensor<4x5xf32>, tensor<4xi32>, tensor<3x2xi32>
        return %0 : tensor<3x5xf32>
      })",
                           R"(
      func.func @f(%x: tensor<3x2xf32>, %s: tensor<4xi32>, %l: tensor<3x2xi32>) -> tensor<4xf32> {
        %0 = hadal.dispatch_weights %x, %s, %l : tensor<3x2xf32>, tensor<4xi32>, tensor<3x2xi32>
        return %0 : tensor<4xf32>
      })",
                           R"(
      func.func @f(%x: tensor<4xf32>, %s: tensor<4xi32>, %l: tensor<3x2xi32>) -> tensor<3x2xf32> {
        %0 = hadal.combine_weights %x, %s, %l : tensor<4xf32>, tensor<4xi32>, tensor<3x2xi32>
        return %0 : tensor<3x2xf32>
      })"})
    expectGradients({text, {{1, source}, {2, slot}}});
}
