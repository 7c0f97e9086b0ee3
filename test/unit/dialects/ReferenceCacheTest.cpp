// SPDX-License-Identifier: Apache-2.0
//
// Attention over the latent cache, projected up and absorbed, against attention over all tokens.

#include "test/unit/dialects/TestFunction.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>

using namespace hadal::reference;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

constexpr int kTokens = 69, kHeads = 3, kNope = 4, kRotary = 2, kValue = 5, kLatent = 6;
constexpr int kQuery = kHeads * (kNope + kRotary), kUp = kHeads * (kNope + kValue);

/// One call of the decode form: appends to the cache, then both kinds of attention over it.
std::string decodeText(int tokens) {
  return llvm::formatv(R"(
    func.func @f(%q: tensor<1x{0}x{1}xf32>, %up: tensor<{2}x6xf32>, %l: tensor<1x{0}x6xf32>,
                 %r: tensor<1x{0}x2xf32>, %c: tensor<3x64x8xf32>, %b: tensor<3xi32>,
                 %p: tensor<i32>, %v: tensor<i32>)
        -> (tensor<3x64x8xf32>, tensor<1x{0}x15xf32>, tensor<1x{0}x15xf32>) {{
      %0 = hadal.cache_append %l, %r, %c, %b, %p, %v : tensor<1x{0}x6xf32>, tensor<1x{0}x2xf32>,
          tensor<3x64x8xf32>, tensor<3xi32>, tensor<i32>, tensor<i32>
      %1 = hadal.cached_attention %q, %up, %0, %b, %p {{heads = 3, rotary_dim = 2, scale = 0.6}
          : tensor<1x{0}x{1}xf32>, tensor<{2}x6xf32>, tensor<3x64x8xf32>, tensor<3xi32>, tensor<i32>
      %2 = hadal.absorb_query %q, %up {{heads = 3, rotary_dim = 2}
          : tensor<1x{0}x{1}xf32>, tensor<{2}x6xf32>
      %3 = hadal.latent_attention %2, %0, %b, %p {{heads = 3, latent_dim = 6, scale = 0.6}
          : tensor<1x{0}x24xf32>, tensor<3x64x8xf32>, tensor<3xi32>, tensor<i32>
      %4 = hadal.expand_value %3, %up {{heads = 3, value_dim = 5}
          : tensor<1x{0}x18xf32>, tensor<{2}x6xf32>
      return %0, %1, %4 : tensor<3x64x8xf32>, tensor<1x{0}x15xf32>, tensor<1x{0}x15xf32>
    })",
                       tokens, kQuery, kUp);
}

/// Tokens [begin, begin + count) of a [1, T, d] tensor, and rows of garbage up to `padded`.
TensorPtr slice(const Tensor &all, int begin, int count, int padded) {
  int64_t d = all.shape[2];
  std::vector<double> values(all.reals.begin() + begin * d,
                             all.reals.begin() + (begin + count) * d);
  values.resize(size_t(padded * d), 1e6);
  return reals({1, padded, d}, values);
}

class ReferenceCache : public testing::Test {
protected:
  void SetUp() override {
    auto full = callText(llvm::formatv(R"(
      func.func @f(%q: tensor<1x69x{0}xf32>, %up: tensor<{1}x6xf32>, %l: tensor<1x69x6xf32>,
                   %r: tensor<1x69x2xf32>) -> tensor<1x69x15xf32> {{
        %0 = hadal.linear %l, %up : tensor<1x69x6xf32>, tensor<{1}x6xf32>
        %1, %2 = hadal.attention %q, %0, %r {{heads = 3, scale = 0.6}
            : tensor<1x69x{0}xf32>, tensor<1x69x{1}xf32>, tensor<1x69x2xf32>
        return %1 : tensor<1x69x15xf32>
      })",
                                       kQuery, kUp),
                         {query, up, latent, rotary});
    ASSERT_EQ(full.size(), 1u);
    expected = full[0];
  }

  /// Appends and attends `count` tokens from `begin` on, in a call of `padded` tokens.
  void step(int begin, int count, int padded) {
    auto y = callText(decodeText(padded),
                      {slice(*query, begin, count, padded), up,
                       slice(*latent, begin, count, padded), slice(*rotary, begin, count, padded),
                       cache, blocks, integerScalar(begin), integerScalar(count)});
    ASSERT_EQ(y.size(), 3u);
    cache = y[0];
    for (int form : {1, 2})
      for (int i = 0; i < count * kHeads * kValue; ++i)
        ASSERT_NEAR(y[form]->reals[i], expected->reals[begin * kHeads * kValue + i], 1e-12)
            << "form " << form << ", element " << i;
  }

  std::mt19937 random{11};
  TensorPtr query = randomReals({1, kTokens, kQuery}, -1, 1, random),
            up = randomReals({kUp, kLatent}, -1, 1, random),
            latent = randomReals({1, kTokens, kLatent}, -1, 1, random),
            rotary = randomReals({1, kTokens, kRotary}, -1, 1, random);
  TensorPtr cache = randomReals({3, 64, kLatent + kRotary}, -1, 1, random);
  TensorPtr blocks = integers({3}, {2, 0, 1}); // blocks in no order
  TensorPtr expected;
};

} // namespace

TEST_F(ReferenceCache, PrefillThenDecodeEqualsAttention) {
  step(0, 62, 64);
  for (int position = 62; position < kTokens; ++position)
    step(position, 1, 1);
}

TEST_F(ReferenceCache, PaddingLeavesTheCacheAlone) {
  TensorPtr before = cache;
  step(0, 3, 64);
  int64_t row = kLatent + kRotary, first = 2 * 64 * row; // block 0 is the cache's third
  for (int64_t i = 0; i < int64_t(cache->reals.size()); ++i)
    if (i < first || i >= first + 3 * row)
      ASSERT_EQ(cache->reals[i], before->reals[i]) << i;
}

TEST(ReferenceLastToken, IsTheLastValidOne) {
  const char *text = R"(
    func.func @f(%x: tensor<1x3x2xf32>, %v: tensor<i32>) -> tensor<1x1x2xf32> {
      %0 = hadal.last_token %x, %v : tensor<1x3x2xf32>, tensor<i32>
      return %0 : tensor<1x1x2xf32>
    })";
  auto x = reals({1, 3, 2}, {1, 2, 3, 4, 5, 6});
  EXPECT_THAT(callText(text, {x, integerScalar(2)}).at(0)->reals, ElementsAre(3, 4));
  TestModule module(text);
  EXPECT_TRUE(module.call("f", {x, integerScalar(4)}).empty());
  EXPECT_THAT(module.lastError(), HasSubstr("expected valid - 1 from 0 to 2, found 3"));
}

TEST(ReferenceCacheErrors, PositionsBehindTheCacheAreRefused) {
  TestModule module(R"(
    func.func @f(%l: tensor<1x2x1xf32>, %r: tensor<1x2x2xf32>, %c: tensor<1x64x3xf32>,
                 %b: tensor<1xi32>, %p: tensor<i32>, %v: tensor<i32>) -> tensor<1x64x3xf32> {
      %0 = hadal.cache_append %l, %r, %c, %b, %p, %v : tensor<1x2x1xf32>, tensor<1x2x2xf32>,
          tensor<1x64x3xf32>, tensor<1xi32>, tensor<i32>, tensor<i32>
      return %0 : tensor<1x64x3xf32>
    })");
  std::mt19937 random(1);
  Interpreter::Values arguments = {randomReals({1, 2, 1}, -1, 1, random),
                                   randomReals({1, 2, 2}, -1, 1, random),
                                   randomReals({1, 64, 3}, -1, 1, random),
                                   integers({1}, {0}),
                                   integerScalar(63),
                                   integerScalar(2)};
  EXPECT_TRUE(module.call("f", arguments).empty());
  EXPECT_THAT(module.lastError(), HasSubstr("expected positions from 0 to 63, found 64"));
  arguments[5] = integerScalar(1);
  EXPECT_FALSE(module.call("f", arguments).empty());
}
