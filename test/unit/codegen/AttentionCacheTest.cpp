// SPDX-License-Identifier: Apache-2.0
//
// Attention over the latent cache, compiled: appended rows, and the absorbed form against keys and
// values that are projected up in f64.

#include "test/unit/codegen/AttentionReference.h"

#include "codegen/Cpu/Object.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <numeric>
#include <random>

using namespace hadal::test;

namespace {

struct CacheCase {
  int64_t tokens, heads, nope, rotary, values, latent, blocks, position;

  int64_t width() const { return latent + rotary; }
  double scale() const { return 1.0 / std::sqrt(double(nope + rotary)); }
  std::vector<int64_t> query() const { return {1, tokens, heads * (nope + rotary)}; }
  std::vector<int64_t> up() const { return {heads * (nope + values), latent}; }
  std::vector<int64_t> cache() const { return {blocks, 64, width()}; }
  std::vector<int64_t> output() const { return {1, tokens, heads * values}; }
};

/// One kernel of one op: `operands` are names with types, `op` the text up to its types.
struct Op {
  std::string result, name, attributes, type;
  std::vector<std::pair<std::string, std::string>> operands;

  std::string text() const {
    std::string names, types, inside, arguments;
    for (auto [i, operand] : llvm::enumerate(operands)) {
      std::string comma = i ? ", " : "", local = "%a" + std::to_string(i);
      names += comma + operand.first;
      types += comma + operand.second;
      inside += comma + local;
      arguments += comma + local + ": " + operand.second;
    }
    return "  " + result + " = hadal.kernel(" + names + ") : (" + types + ") -> " + type +
           " {\n  ^bb0(" + arguments + "):\n    %x = hadal." + name + " " + inside + " " +
           attributes + " : " + types + "\n    hadal.yield %x : " + type + "\n  }\n";
  }
};

const std::string kScalar = "tensor<i32>";

std::string tableType(const CacheCase &c) { return "tensor<" + std::to_string(c.blocks) + "xi32>"; }

std::string latentModule(const CacheCase &c) {
  std::string heads = "heads = " + std::to_string(c.heads), query = typeOf(c.query());
  std::string absorbed = typeOf({1, c.tokens, c.heads * c.width()});
  std::string latent = typeOf({1, c.tokens, c.heads * c.latent});
  std::string scale = std::to_string(c.scale());
  std::pair<std::string, std::string> up{"%up", typeOf(c.up())}, cache{"%cache", typeOf(c.cache())};
  Op absorb{"%q2",
            "absorb_query",
            "{" + heads + ", rotary_dim = " + std::to_string(c.rotary) + "}",
            absorbed,
            {{"%q", query}, up}};
  Op attend{"%o",
            "latent_attention",
            "{" + heads + ", latent_dim = " + std::to_string(c.latent) + ", scale = " + scale +
                " : f64}",
            latent,
            {{"%q2", absorbed}, cache, {"%table", tableType(c)}, {"%position", kScalar}}};
  Op expand{"%v",
            "expand_value",
            "{" + heads + ", value_dim = " + std::to_string(c.values) + "}",
            typeOf(c.output()),
            {{"%o", latent}, up}};
  return "func.func @f(%q: " + query + ", %up: " + up.second + ", %cache: " + cache.second +
         ", %table: " + tableType(c) + ", %position: " + kScalar + ") -> " + typeOf(c.output()) +
         " {\n" + absorb.text() + attend.text() + expand.text() +
         "  return %v : " + typeOf(c.output()) + "\n}\n";
}

/// A block table that leaves no block in its place where there are several.
std::vector<int32_t> shuffledTable(int64_t blocks) {
  std::vector<int32_t> table(static_cast<size_t>(blocks));
  std::iota(table.begin(), table.end(), 0);
  std::rotate(table.begin(), table.begin() + blocks / 2, table.end());
  return table;
}

std::vector<double> expectedOutput(const CacheCase &c, const HostTensor &query,
                                   const HostTensor &up, const HostTensor &cache,
                                   const std::vector<int32_t> &table) {
  double scale = std::stod(std::to_string(c.scale()));
  std::vector<double> output;
  auto rowOf = [&](int64_t s) {
    return cache.f32() + (int64_t(table[size_t(s / 64)]) * 64 + s % 64) * c.width();
  };
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t h = 0; h < c.heads; ++h) {
      const float *q = query.f32() + (t * c.heads + h) * (c.nope + c.rotary);
      const float *weights = up.f32() + h * (c.nope + c.values) * c.latent;
      auto project = [&](int64_t row, const float *latent) {
        double sum = 0;
        for (int64_t i = 0; i < c.latent; ++i)
          sum += double(weights[row * c.latent + i]) * latent[i];
        return sum;
      };
      std::vector<double> scores, values(size_t(c.values), 0.0);
      for (int64_t s = 0; s <= c.position + t; ++s) {
        double score = 0;
        for (int64_t i = 0; i < c.nope; ++i)
          score += q[i] * project(i, rowOf(s));
        for (int64_t i = 0; i < c.rotary; ++i)
          score += double(q[c.nope + i]) * rowOf(s)[c.latent + i];
        scores.push_back(score * scale);
      }
      double largest = *std::max_element(scores.begin(), scores.end()), sum = 0;
      for (double &score : scores)
        sum += score = std::exp(score - largest);
      for (int64_t s = 0; s <= c.position + t; ++s)
        for (int64_t i = 0; i < c.values; ++i)
          values[size_t(i)] += scores[size_t(s)] / sum * project(c.nope + i, rowOf(s));
      output.insert(output.end(), values.begin(), values.end());
    }
  return output;
}

class LatentKernel : public testing::TestWithParam<CacheCase> {};

TEST_P(LatentKernel, EqualsProjectedKeysAndValues) {
  CacheCase c = GetParam();
  HostTensor query = randomTensor(c.query(), 1), up = randomTensor(c.up(), 2, 0.5);
  HostTensor cache = randomTensor(c.cache(), 3);
  std::vector<int32_t> table = shuffledTable(c.blocks);
  KernelHarness harness(latentModule(c));
  auto results =
      harness.runEveryCut({query, up, cache, tensorOf<int32_t>({c.blocks}, table),
                           tensorOf<int32_t>({}, std::vector<int32_t>{int32_t(c.position)})});
  EXPECT_LT(relativeError(results[0], expectedOutput(c, query, up, cache, table)), 2e-6);
}

TEST_P(LatentKernel, WideRegisters) {
  CacheCase c = GetParam();
  HostTensor query = randomTensor(c.query(), 1), up = randomTensor(c.up(), 2, 0.5);
  HostTensor cache = randomTensor(c.cache(), 3);
  std::vector<int32_t> table = shuffledTable(c.blocks);
  KernelHarness harness(latentModule(c), "x86-64-v4", hadal::cpu::hostCpu());
  auto results = harness.run({query, up, cache, tensorOf<int32_t>({c.blocks}, table),
                              tensorOf<int32_t>({}, std::vector<int32_t>{int32_t(c.position)})});
  EXPECT_LT(relativeError(results[0], expectedOutput(c, query, up, cache, table)), 2e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, LatentKernel,
    testing::Values(CacheCase{1, 1, 1, 2, 1, 1, 1, 0}, CacheCase{1, 8, 32, 16, 32, 64, 4, 200},
                    CacheCase{1, 3, 5, 2, 7, 11, 2, 127}, CacheCase{64, 8, 16, 4, 12, 20, 2, 0},
                    CacheCase{13, 17, 6, 8, 9, 33, 3, 64}, CacheCase{7, 20, 3, 2, 3, 9, 5, 150}));

// A token alone has the bits it has among others: prefill and decode agree.
TEST(LatentKernels, TokensDoNotDependOnTokenCount) {
  CacheCase many{23, 8, 16, 4, 12, 24, 2, 70}, one = many;
  one.tokens = 1;
  HostTensor query = randomTensor(many.query(), 1), up = randomTensor(many.up(), 2, 0.5);
  HostTensor cache = randomTensor(many.cache(), 3);
  HostTensor table = tensorOf<int32_t>({2}, std::vector<int32_t>{1, 0});
  auto run = [&](const CacheCase &c, const HostTensor &queries, int64_t position) {
    return KernelHarness(latentModule(c))
        .run({queries, up, cache, table,
              tensorOf<int32_t>({}, std::vector<int32_t>{int32_t(position)})})[0];
  };
  auto rowOf = [](const HostTensor &tensor, int64_t row) {
    HostTensor part{{1, 1, tensor.shape[2]}, 4, {}};
    auto begin = tensor.bytes.begin() + row * tensor.shape[2] * 4;
    part.bytes.assign(begin, begin + tensor.shape[2] * 4);
    return part;
  };
  HostTensor all = run(many, query, many.position);
  for (int64_t token : {int64_t(0), int64_t(22)})
    EXPECT_TRUE(rowOf(all, token).sameBits(run(one, rowOf(query, token), many.position + token)));
}

TEST(CacheAppendKernel, WritesValidRowsThroughTheTable) {
  int64_t tokens = 9, latent = 5, rotary = 3, position = 60, valid = 7;
  std::string lt = typeOf({1, tokens, latent}), rt = typeOf({1, tokens, rotary});
  std::string ct = typeOf({2, 64, latent + rotary}), table = "tensor<2xi32>";
  Op append{"%r",
            "cache_append",
            "",
            ct,
            {{"%l", lt}, {"%k", rt}, {"%c", ct}, {"%t", table}, {"%p", kScalar}, {"%v", kScalar}}};
  KernelHarness harness("func.func @f(%l: " + lt + ", %k: " + rt + ", %c: " + ct +
                        ", %t: " + table + ", %p: " + kScalar + ", %v: " + kScalar + ") -> " + ct +
                        " {\n" + append.text() + "  return %r : " + ct + "\n}\n");
  HostTensor latents = randomTensor({1, tokens, latent}, 1);
  HostTensor rotaries = randomTensor({1, tokens, rotary}, 2);
  HostTensor cache = randomTensor({2, 64, latent + rotary}, 3), expected = cache;
  for (int64_t t = 0; t < valid; ++t) {
    int64_t place = position + t, row = (place < 64 ? 64 : 0) + place % 64;
    for (int64_t i = 0; i < latent + rotary; ++i)
      expected.f32()[row * (latent + rotary) + i] =
          i < latent ? latents.f32()[t * latent + i] : rotaries.f32()[t * rotary + i - latent];
  }
  auto scalar = [](int32_t value) { return tensorOf<int32_t>({}, std::vector<int32_t>{value}); };
  auto results = harness.runEveryCut({latents, rotaries, cache,
                                      tensorOf<int32_t>({2}, std::vector<int32_t>{1, 0}),
                                      scalar(int32_t(position)), scalar(int32_t(valid))});
  EXPECT_TRUE(results[0].sameBits(expected));
}

} // namespace
