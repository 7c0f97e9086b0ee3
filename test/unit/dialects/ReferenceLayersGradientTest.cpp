// SPDX-License-Identifier: Apache-2.0
//
// Gradients of layers, losses and the MTP join against finite differences.

#include "test/unit/dialects/TestGradients.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

using namespace hadal::reference;
using llvm::formatv;

TEST(ReferenceGradients, Add) {
  expectGradients({R"(
    func.func @f(%a: tensor<3x5xf32>, %b: tensor<3x5xf32>) -> tensor<3x5xf32> {
      %0 = hadal.add %a, %b : tensor<3x5xf32>, tensor<3x5xf32>
      return %0 : tensor<3x5xf32>
    })"});
}

TEST(ReferenceGradients, Linear) {
  for (auto [leading, in, out] : {std::tuple("2x3x", 5, 4), {"1x1x", 1, 1}, {"", 7, 3}})
    for (bool transpose : {false, true})
      expectGradients({formatv(R"(
        func.func @f(%x: tensor<{0}{1}xf32>, %w: tensor<{3}x{4}xf32>) -> tensor<{0}{2}xf32> {{
          %0 = hadal.linear %x, %w {5} : tensor<{0}{1}xf32>, tensor<{3}x{4}xf32>
          return %0 : tensor<{0}{2}xf32>
        })",
                               leading, in, out, transpose ? in : out, transpose ? out : in,
                               transpose ? "{transpose_weight}" : ""),
                       {},
                       {1}});
}

TEST(ReferenceGradients, RmsNorm) {
  for (auto [leading, size] : {std::pair("2x3x", 5), {"1x1x", 1}, {"", 9}})
    expectGradients({formatv(R"(
      func.func @f(%x: tensor<{0}{1}xf32>, %w: tensor<{1}xf32>) -> tensor<{0}{1}xf32> {{
        %0, %1 = hadal.rms_norm %x, %w {{epsilon = 1.0e-2} : tensor<{0}{1}xf32>, tensor<{1}xf32>
        return %0 : tensor<{0}{1}xf32>
      })",
                             leading, size),
                     {},
                     {1}});
}

TEST(ReferenceGradients, Swiglu) {
  expectGradients({R"(
    func.func @f(%g: tensor<2x3x5xf32>, %u: tensor<2x3x5xf32>) -> tensor<2x3x5xf32> {
      %0 = hadal.swiglu %g, %u : tensor<2x3x5xf32>, tensor<2x3x5xf32>
      return %0 : tensor<2x3x5xf32>
    })"});
}

TEST(ReferenceGradients, SwigluWithRowScale) {
  for (int rows : {7, 1})
    expectGradients({formatv(R"(
      func.func @f(%g: tensor<{0}x3xf32>, %u: tensor<{0}x3xf32>, %s: tensor<{0}xf32>)
          -> tensor<{0}x3xf32> {{
        %0 = hadal.swiglu %g, %u scaled_by %s
            : tensor<{0}x3xf32>, tensor<{0}x3xf32>, tensor<{0}xf32>
        return %0 : tensor<{0}x3xf32>
      })",
                             rows)});
}

TEST(ReferenceGradients, Embedding) {
  for (int offset : {0, 2}) // ids repeat, and one row of the table is never used
    expectGradients({formatv(R"(
      func.func @f(%i: tensor<2x5xi32>, %t: tensor<4x3xf32>) -> tensor<2x3x3xf32> {{
        %0 = hadal.embedding %i, %t {{offset = {0}, tokens = 3} : tensor<2x5xi32>, tensor<4x3xf32>
        return %0 : tensor<2x3x3xf32>
      })",
                             offset),
                     {{0, integers({2, 5}, {0, 1, 1, 0, 2, 2, 2, 0, 1, 0})}},
                     {1}});
}

TEST(ReferenceGradients, SplitAndConcat) {
  for (std::set<unsigned> seeded : {std::set<unsigned>{0}, {1}, {0, 1}})
    expectGradients({R"(
      func.func @f(%x: tensor<2x3x5xf32>) -> (tensor<2x3x2xf32>, tensor<2x3x3xf32>) {
        %0, %1 = hadal.split %x {size = 2} : tensor<2x3x5xf32>
        return %0, %1 : tensor<2x3x2xf32>, tensor<2x3x3xf32>
      })",
                     {},
                     {},
                     {},
                     seeded});
  expectGradients({R"(
    func.func @f(%x: tensor<2x3x2xf32>, %y: tensor<2x3x1xf32>) -> tensor<2x3x3xf32> {
      %0 = hadal.concat %x, %y : tensor<2x3x2xf32>, tensor<2x3x1xf32>
      return %0 : tensor<2x3x3xf32>
    })"});
}

TEST(ReferenceGradients, CrossEntropy) {
  for (int offset : {1, 2})
    expectGradients({formatv(R"(
      func.func @f(%l: tensor<2x3x5xf32>, %i: tensor<2x5xi32>) -> tensor<f64> {{
        %0, %1 = hadal.cross_entropy %l, %i {{offset = {0}, divisor = 7}
            : tensor<2x3x5xf32>, tensor<2x5xi32>
        return %0 : tensor<f64>
      })",
                             offset),
                     {{1, integers({2, 5}, {0, 4, 1, 0, 2, 3, 2, 0, 1, 4})}}});
}

TEST(ReferenceGradients, MtpJoin) {
  for (const char *order : {"embedding_first", "hidden_first"})
    expectGradients({formatv(R"(
      func.func @f(%e: tensor<2x3x4xf32>, %h: tensor<2x5x4xf32>) -> tensor<2x3x8xf32> {{
        %0 = hadal.mtp_join %e, %h {{half_order = #hadal.half_order<{0}>}
            : tensor<2x3x4xf32>, tensor<2x5x4xf32>
        return %0 : tensor<2x3x8xf32>
      })",
                             order)});
}
