// SPDX-License-Identifier: Apache-2.0
//
// Row kernels against the reference interpreter: every op, alone and in chains, sizes that no
// vector divides.

#include "test/unit/codegen/Differential.h"

#include <gtest/gtest.h>

#include <random>

namespace hadal::test {
namespace {

struct Sizes {
  int64_t sequences, tokens, features;
};
const Sizes kSizes[] = {{2, 5, 37}, {1, 1, 8}, {3, 7, 1}, {1, 4, 72}};

std::vector<int32_t> randomIds(int64_t count, int32_t limit, unsigned seed) {
  std::mt19937 generator(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i)
    ids.push_back(int32_t(generator() % unsigned(limit)));
  return ids;
}

TEST(Rows, Add) {
  for (Sizes s : kSizes) {
    Component c;
    std::vector<int64_t> shape{s.sequences, s.tokens, s.features};
    std::string x = c.random(shape), y = c.random(shape), t = type(shape);
    c.line("%r = hadal.add " + x + ", " + y + " : " + t + ", " + t);
    c.result("%r", t);
    expectReference(c, 1e-7);
  }
}

TEST(Rows, RmsNormAndGradient) {
  for (Sizes s : kSizes) {
    Component c;
    std::vector<int64_t> shape{s.sequences, s.tokens, s.features};
    std::string t = type(shape), w = type({s.features}), i = type({s.sequences, s.tokens});
    std::string x = c.random(shape, 3), weight = c.random({s.features}), g = c.random(shape);
    c.line("%n, %i = hadal.rms_norm " + x + ", " + weight + " {epsilon = 1.0e-6 : f64} : " + t +
           ", " + w);
    c.line("%d = hadal.rms_norm_gradient " + g + ", " + x + ", %i, " + weight + " : " + t + ", " +
           t + ", " + i + ", " + w);
    c.line("%r = hadal.add %d, %n : " + t + ", " + t);
    c.result("%n", t);
    c.result("%i", i);
    c.result("%r", t);
    expectReference(c);
  }
}

TEST(Rows, Swiglu) {
  for (Sizes s : kSizes)
    for (bool scaled : {false, true}) {
      Component c;
      int64_t rows = s.sequences * s.tokens;
      std::vector<int64_t> shape{rows, s.features};
      std::string t = type(shape), r = type({rows});
      std::string gate = c.random(shape, 20), up = c.random(shape), g = c.random(shape);
      std::string by = scaled ? " scaled_by " + c.random({rows}) : "",
                  byType = scaled ? ", " + r : "";
      c.line("%s = hadal.swiglu " + gate + ", " + up + by + " : " + t + ", " + t + byType);
      c.line(std::string("%a, %b") + (scaled ? ", %c" : "") + " = hadal.swiglu_gradient " + g +
             ", " + gate + ", " + up + by + " : " + t + ", " + t + ", " + t + byType);
      c.result("%s", t);
      c.result("%a", t);
      c.result("%b", t);
      if (scaled)
        c.result("%c", r);
      expectReference(c);
    }
}

TEST(Rows, SplitNormRopeConcat) {
  struct Case {
    int64_t heads, rotary;
    bool position;
  };
  for (auto [heads, rotary, position] : {Case{1, 2, false}, Case{3, 6, true}, Case{2, 16, true}}) {
    Component c;
    int64_t b = 2, t = 5, d = rotary + 5, latent = 11, width = latent + heads * d;
    std::string x = c.random({b, t, width}), cosine = c.random({9, rotary / 2}),
                sine = c.random({9, rotary / 2});
    std::string weight = c.random({latent});
    std::string at = position ? " at " + c.scalarI32(3) : "",
                atType = position ? ", tensor<i32>" : "";
    std::string table = type({9, rotary / 2}), first = type({b, t, latent}),
                second = type({b, t, heads * d});
    c.line("%l, %k = hadal.split " + x + " {size = " + std::to_string(latent) +
           " : i64} : " + type({b, t, width}));
    c.line("%n, %i = hadal.rms_norm %l, " + weight + " {epsilon = 1.0e-5 : f64} : " + first + ", " +
           type({latent}));
    std::string attributes = " {heads = " + std::to_string(heads) +
                             " : i64, rotary_dim = " + std::to_string(rotary) + " : i64";
    std::string types = " : " + second + ", " + table + ", " + table + atType;
    c.line("%r = hadal.rope %k, " + cosine + ", " + sine + at + attributes + "}" + types);
    c.line("%u = hadal.rope %k, " + cosine + ", " + sine + at + attributes + ", inverse}" + types);
    c.line("%o = hadal.concat %n, %r : " + first + ", " + second);
    c.result("%l", first);
    c.result("%u", second);
    c.result("%o", type({b, t, width}));
    expectReference(c);
  }
}

TEST(Rows, EmbeddingAndJoin) {
  for (Sizes s : {Sizes{2, 5, 37}, Sizes{1, 1, 8}})
    for (const char *order : {"embedding_first", "hidden_first"})
      for (int64_t more : {0, 2}) {
        Component c;
        int64_t b = s.sequences, t = s.tokens, d = s.features, all = t + more;
        std::string ids = c.ids({b, t + 3}, randomIds(b * (t + 3), 17, 5));
        std::string table = c.random({17, d}), hidden = c.random({b, all, d}),
                    weight = c.random({d});
        std::string own = type({b, t, d}), long_ = type({b, all, d}), wide = type({b, t, 2 * d});
        std::string half = std::string(" {half_order = #hadal.half_order<") + order + ">";
        c.line("%e = hadal.embedding " + ids + ", " + table + " {offset = 2 : i64, tokens = " +
               std::to_string(t) + " : i64} : " + type({b, t + 3}, "i32") + ", " + type({17, d}));
        c.line("%n, %i = hadal.rms_norm " + hidden + ", " + weight +
               " {epsilon = 1.0e-5 : f64} : " + long_ + ", " + type({d}));
        c.line("%j = hadal.mtp_join %e, %n" + half + "} : " + own + ", " + long_);
        c.line("%ge, %gh = hadal.mtp_join_gradient %j" + half +
               ", hidden_tokens = " + std::to_string(all) + " : i64} : " + wide);
        c.line("%s = hadal.add %gh, %n : " + long_ + ", " + long_);
        c.result("%j", wide);
        c.result("%ge", own);
        c.result("%gh", long_);
        c.result("%s", long_);
        expectReference(c);
      }
}

// A half that nobody reads goes nowhere.
TEST(Rows, JoinGradientHalves) {
  for (bool hidden : {false, true}) {
    Component c;
    std::string g = c.random({2, 3, 20});
    c.line("%ge, %gh = hadal.mtp_join_gradient " + g +
           " {hidden_tokens = 5 : i64} : " + type({2, 3, 20}));
    c.result(hidden ? "%gh" : "%ge", type({2, hidden ? 5 : 3, 10}));
    expectReference(c);
  }
}

TEST(Rows, LastToken) {
  for (int32_t valid : {1, 3, 6}) {
    Component c;
    std::string x = c.random({1, 6, 13}), v = c.scalarI32(valid), weight = c.random({13});
    c.line("%l = hadal.last_token " + x + ", " + v + " : " + type({1, 6, 13}) + ", tensor<i32>");
    c.line("%n, %i = hadal.rms_norm %l, " + weight +
           " {epsilon = 1.0e-5 : f64} : " + type({1, 1, 13}) + ", " + type({13}));
    c.result("%n", type({1, 1, 13}));
    expectReference(c);
  }
}

TEST(Rows, SumHeads) {
  for (int64_t heads : {1, 4}) {
    Component c;
    std::string x = c.random({2, heads, 5, 12});
    c.line("%s = hadal.sum_heads " + x + " : " + type({2, heads, 5, 12}));
    c.result("%s", type({2, 5, 12}));
    expectReference(c);
  }
}

TEST(Rows, CrossEntropy) {
  for (Sizes s : {Sizes{2, 5, 259}, Sizes{1, 1, 1}, Sizes{3, 2, 8}}) {
    Component c;
    int64_t b = s.sequences, t = s.tokens, v = s.features;
    std::string logits = c.random({b, t, v}, 30),
                ids = c.ids({b, t + 2}, randomIds(b * (t + 2), int32_t(v), 3));
    std::string seed = c.scalarF32(0.75f), l = type({b, t, v}), i = type({b, t + 2}, "i32"),
                r = type({b, t});
    c.line("%loss, %lse = hadal.cross_entropy " + logits + ", " + ids +
           " {offset = 1 : i64, divisor = 10 : i64} : " + l + ", " + i);
    c.line("%g = hadal.cross_entropy_gradient " + seed + ", " + logits + ", %lse, " + ids +
           " {offset = 1 : i64, divisor = 10 : i64} : tensor<f32>, " + l + ", " + r + ", " + i);
    c.result("%loss", "tensor<f64>");
    c.result("%lse", r);
    c.result("%g", l);
    expectReference(c);
  }
}

} // namespace
} // namespace hadal::test
