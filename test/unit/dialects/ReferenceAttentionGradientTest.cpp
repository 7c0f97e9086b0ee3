// SPDX-License-Identifier: Apache-2.0
//
// Gradients of rotary positions and attention against finite differences.

#include "test/unit/dialects/TestGradients.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

using namespace hadal::reference;
using llvm::formatv;

TEST(ReferenceGradients, Rope) {
  // Tables with an amplitude: the rows are no rotations.
  std::mt19937 random(1);
  for (const char *inverse : {"", ", inverse"})
    expectGradients(
        {formatv(R"(
      func.func @f(%x: tensor<2x3x14xf32>, %c: tensor<6x2xf32>, %s: tensor<6x2xf32>)
          -> tensor<2x3x14xf32> {{
        %0 = hadal.rope %x, %c, %s {{heads = 2, rotary_dim = 4{0}}
            : tensor<2x3x14xf32>, tensor<6x2xf32>, tensor<6x2xf32>
        return %0 : tensor<2x3x14xf32>
      })",
                 inverse),
         {{1, randomReals({6, 2}, -1, 1, random)}, {2, randomReals({6, 2}, -1, 1, random)}},
         {},
         {1, 2}});
}

TEST(ReferenceGradients, RopeAtPosition) {
  expectGradients({R"(
    func.func @f(%x: tensor<1x2x2xf32>, %c: tensor<6x1xf32>, %s: tensor<6x1xf32>, %p: tensor<i32>)
        -> tensor<1x2x2xf32> {
      %0 = hadal.rope %x, %c, %s at %p {heads = 1, rotary_dim = 2}
          : tensor<1x2x2xf32>, tensor<6x1xf32>, tensor<6x1xf32>, tensor<i32>
      return %0 : tensor<1x2x2xf32>
    })",
                   {{3, integerScalar(4)}},
                   {},
                   {1, 2}});
}

TEST(ReferenceGradients, Attention) {
  struct Sizes {
    int batch, tokens, heads, nope, rotary, value;
  };
  for (Sizes s : {Sizes{2, 5, 3, 3, 2, 4}, {1, 1, 1, 1, 2, 1}, {1, 7, 1, 2, 4, 3}}) {
    std::string query = formatv("tensor<{0}x{1}x{2}xf32>", s.batch, s.tokens,
                                s.heads * (s.nope + s.rotary)),
                keyValue = formatv("tensor<{0}x{1}x{2}xf32>", s.batch, s.tokens,
                                   s.heads * (s.nope + s.value)),
                rotary = formatv("tensor<{0}x{1}x{2}xf32>", s.batch, s.tokens, s.rotary),
                out = formatv("tensor<{0}x{1}x{2}xf32>", s.batch, s.tokens, s.heads * s.value);
    expectGradients({formatv(R"(
      func.func @f(%q: {0}, %kv: {1}, %r: {2}) -> {3} {{
        %0, %1 = hadal.attention %q, %kv, %r {{heads = {4}, scale = 0.7} : {0}, {1}, {2}
        return %0 : {3}
      })",
                             query, keyValue, rotary, out, s.heads)});
  }
}
