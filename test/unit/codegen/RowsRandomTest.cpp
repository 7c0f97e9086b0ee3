// SPDX-License-Identifier: Apache-2.0
//
// Random components: whatever graph fusion meets, kernels compute what the ops say, bit for bit as
// one op at a time.

#include "test/unit/codegen/Differential.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace hadal::test {
namespace {

using llvm::formatv;

/// Draws ops over [B, T, d] values (products, norms, sums, rotations, gathers) in any order and
/// from any values before.
class RandomComponent {
public:
  explicit RandomComponent(unsigned seed) : generator(seed) {
    d = 4 * (1 + draw(9));
    full = type({b, t, d}), vector = type({d});
    for (int i = 0; i < 3; ++i)
      values.push_back(c.random({b, t, d}));
    weight = c.random({d});
    matrix = c.random({d, d}, 0.5);
    table = c.random({t + 2, 2});
    std::vector<int32_t> source(size_t(b * t)), slot(source.size());
    std::iota(source.begin(), source.end(), 0);
    std::shuffle(source.begin(), source.end(), generator);
    for (size_t i = 0; i < source.size(); ++i)
      slot[size_t(source[i])] = int32_t(i);
    places = c.ids({b * t}, source) + ", " + c.ids({b, t, 1}, slot);
    for (int i = 0; i < 14; ++i)
      addOp();
    for (size_t i = 3; i < values.size(); ++i)
      if (i + 1 == values.size() || draw(3) == 0)
        c.result(values[i], full);
  }

  Component c;

private:
  int64_t draw(int64_t limit) { return int64_t(generator() % unsigned(limit)); }
  /// Recent values more often, so that chains form.
  std::string pick() {
    int64_t back = std::min(draw(int64_t(values.size())), draw(int64_t(values.size())));
    return values[values.size() - 1 - size_t(back)];
  }
  std::string name() { return "%v" + std::to_string(names++); }
  void define(const std::string &text) {
    std::string own = name();
    c.line(own + " = " + text);
    values.push_back(own);
  }

  void addOp() {
    std::string rows = type({b * t, d}),
                tables = type({b * t}, "i32") + ", " + type({b, t, 1}, "i32");
    switch (draw(7)) {
    case 0:
      return define(formatv("hadal.add {0}, {1} : {2}, {2}", pick(), pick(), full));
    case 1:
      return define(formatv("hadal.swiglu {0}, {1} : {2}, {2}", pick(), pick(), full));
    case 2:
      return define(formatv("hadal.linear {0}, {1} {2}: {3}, {4}", pick(), matrix,
                            draw(2) ? "{transpose_weight} " : "", full, type({d, d})));
    case 3: {
      std::string norm = name();
      c.line(formatv("{0}, {0}i = hadal.rms_norm {1}, {2} {{epsilon = 1.0e-2 : f64} : {3}, {4}",
                     norm, pick(), weight, full, vector));
      values.push_back(norm);
      return;
    }
    case 4:
      return define(formatv(
          "hadal.rope {0}, {1}, {1} {{heads = {2} : i64, rotary_dim = 4 : i64} : {3}, {4}, {4}",
          pick(), table, d % 8 ? 1 : 2, full, type({t + 2, 2})));
    case 5: {
      std::string first = name(), second = name(), half = type({b, t, d / 2});
      c.line(formatv("{0}, {1} = hadal.split {2} {{size = {3} : i64} : {4}", first, second, pick(),
                     d / 2, full));
      return define(formatv("hadal.concat {0}, {1} : {2}, {2}", second, first, half));
    }
    default: {
      std::string routed = name();
      c.line(formatv("{0} = hadal.dispatch {1}, {2} : {3}, {4}", routed, pick(), places, full,
                     tables));
      return define(formatv("hadal.combine {0}, {1} : {2}, {3}", routed, places, rows, tables));
    }
    }
  }

  const int64_t b = 2, t = 5;
  int64_t d;
  std::string full, vector, weight, matrix, table, places;
  std::vector<std::string> values;
  int names = 0;
  std::mt19937 generator;
};

TEST(RowsRandom, AnyGraphComputesTheSameBits) {
  for (unsigned seed = 0; seed < 5; ++seed) {
    SCOPED_TRACE(seed);
    RandomComponent random(seed);
    expectReference(random.c, 1e-4);
    if (::testing::Test::HasFailure())
      return;
  }
}

} // namespace
} // namespace hadal::test
