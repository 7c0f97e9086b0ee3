// SPDX-License-Identifier: Apache-2.0
//
// Attention of the training form and its gradient, compiled, against f64 loops.

#include "test/unit/codegen/AttentionReference.h"

#include "codegen/Cpu/Object.h"

#include "gtest/gtest.h"

using namespace hadal::test;

namespace {

std::string attributes(const AttentionCase &c) {
  char text[96];
  std::snprintf(text, sizeof text, "{heads = %lld, scale = %.17e : f64}", (long long)c.heads,
                c.scale());
  return text;
}

std::string forwardModule(const AttentionCase &c) {
  std::string operands =
      typeOf(c.query()) + ", " + typeOf(c.keyValue()) + ", " + typeOf(c.keyRotary());
  std::string results = "(" + typeOf(c.output()) + ", " + typeOf(c.logs()) + ")";
  return "func.func @f(%q: " + typeOf(c.query()) + ", %kv: " + typeOf(c.keyValue()) +
         ", %kr: " + typeOf(c.keyRotary()) + ") -> " + results +
         " {\n  %o:2 = hadal.kernel(%q, %kv, %kr) : (" + operands + ") -> " + results +
         " {\n  ^bb0(%a: " + typeOf(c.query()) + ", %b: " + typeOf(c.keyValue()) +
         ", %c: " + typeOf(c.keyRotary()) + "):\n    %x, %l = hadal.attention %a, %b, %c " +
         attributes(c) + " : " + operands + "\n    hadal.yield %x, %l : " + typeOf(c.output()) +
         ", " + typeOf(c.logs()) + "\n  }\n  return %o#0, %o#1 : " + typeOf(c.output()) + ", " +
         typeOf(c.logs()) + "\n}\n";
}

std::string gradientModule(const AttentionCase &c) {
  std::vector<std::string> types = {typeOf(c.output()),    typeOf(c.query()),  typeOf(c.keyValue()),
                                    typeOf(c.keyRotary()), typeOf(c.output()), typeOf(c.logs())};
  std::string operands, parameters, arguments, names;
  for (size_t i = 0; i < types.size(); ++i) {
    std::string comma = i ? ", " : "", number = std::to_string(i);
    operands += comma + types[i];
    parameters += comma + "%p" + number + ": " + types[i];
    arguments += comma + "%a" + number + ": " + types[i];
    names += comma + "%a" + number;
  }
  std::string heads = typeOf({c.sequences, c.heads, c.tokens, c.rotary});
  std::string three = typeOf(c.query()) + ", " + typeOf(c.keyValue()) + ", " + heads;
  return "func.func @f(" + parameters + ") -> (" + typeOf(c.query()) + ", " + typeOf(c.keyValue()) +
         ", " + typeOf(c.keyRotary()) +
         ") {\n  %g:3 = hadal.kernel(%p0, %p1, %p2, %p3, %p4, %p5) : (" + operands + ") -> (" +
         three + ") {\n  ^bb0(" + arguments +
         "):\n    %x, %y, %z = hadal.attention_gradient_heads " + names + " " + attributes(c) +
         " : " + operands + "\n    hadal.yield %x, %y, %z : " + three +
         "\n  }\n  %s = hadal.kernel(%g#2) : (" + heads + ") -> " + typeOf(c.keyRotary()) +
         " {\n  ^bb0(%a: " + heads + "):\n    %x = hadal.sum_heads %a : " + heads +
         "\n    hadal.yield %x : " + typeOf(c.keyRotary()) +
         "\n  }\n  return %g#0, %g#1, %s : " + typeOf(c.query()) + ", " + typeOf(c.keyValue()) +
         ", " + typeOf(c.keyRotary()) + "\n}\n";
}

HostTensor f32Of(const std::vector<int64_t> &shape, const std::vector<double> &values) {
  return tensorOf(shape, std::vector<float>(values.begin(), values.end()));
}

class AttentionKernel : public testing::TestWithParam<AttentionCase> {
protected:
  AttentionCase c = GetParam();
  HostTensor query = randomTensor(c.query(), 1, 2.0), keyValue = randomTensor(c.keyValue(), 2, 2.0);
  HostTensor keyRotary = randomTensor(c.keyRotary(), 3, 2.0),
             gradient = randomTensor(c.output(), 4);
};

TEST_P(AttentionKernel, Forward) {
  AttentionResults expected = attention(c, query, keyValue, keyRotary, nullptr);
  KernelHarness harness(forwardModule(c));
  auto results = harness.runEveryCut({query, keyValue, keyRotary});
  EXPECT_LT(relativeError(results[0], expected.output), 1e-6);
  EXPECT_LT(relativeError(results[1], expected.logs), 1e-6);
}

TEST_P(AttentionKernel, Gradient) {
  AttentionResults expected = attention(c, query, keyValue, keyRotary, &gradient);
  KernelHarness harness(gradientModule(c));
  auto results =
      harness.runEveryCut({gradient, query, keyValue, keyRotary, f32Of(c.output(), expected.output),
                           f32Of(c.logs(), expected.logs)});
  EXPECT_LT(relativeError(results[0], expected.query), 3e-6);
  EXPECT_LT(relativeError(results[1], expected.keyValue), 3e-6);
  EXPECT_LT(relativeError(results[2], expected.keyRotary), 3e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionKernel,
    testing::Values(AttentionCase{1, 1, 1, 1, 2, 1}, AttentionCase{2, 1, 3, 4, 2, 5},
                    AttentionCase{1, 17, 2, 8, 8, 8}, AttentionCase{3, 50, 3, 5, 4, 7},
                    AttentionCase{1, 97, 1, 1, 2, 1}, AttentionCase{2, 129, 2, 33, 6, 19},
                    AttentionCase{1, 200, 3, 32, 16, 32}),
    [](const auto &info) {
      const AttentionCase &c = info.param;
      return "B" + std::to_string(c.sequences) + "T" + std::to_string(c.tokens) + "H" +
             std::to_string(c.heads) + "n" + std::to_string(c.nope) + "r" +
             std::to_string(c.rotary) + "v" + std::to_string(c.values);
    });

// Code for registers of 16 lanes, run in halves where the machine has none.
TEST(AttentionKernels, WideRegisters) {
  AttentionCase c{2, 129, 2, 33, 6, 19};
  HostTensor query = randomTensor(c.query(), 1, 2.0), keyValue = randomTensor(c.keyValue(), 2, 2.0);
  HostTensor keyRotary = randomTensor(c.keyRotary(), 3, 2.0),
             gradient = randomTensor(c.output(), 4);
  AttentionResults expected = attention(c, query, keyValue, keyRotary, &gradient);
  std::string host = hadal::cpu::hostCpu();
  auto forward =
      KernelHarness(forwardModule(c), "x86-64-v4", host).run({query, keyValue, keyRotary});
  EXPECT_LT(relativeError(forward[0], expected.output), 1e-6);
  EXPECT_LT(relativeError(forward[1], expected.logs), 1e-6);
  auto gradients = KernelHarness(gradientModule(c), "x86-64-v4", host)
                       .run({gradient, query, keyValue, keyRotary, forward[0], forward[1]});
  EXPECT_LT(relativeError(gradients[0], expected.query), 3e-6);
  EXPECT_LT(relativeError(gradients[1], expected.keyValue), 3e-6);
  EXPECT_LT(relativeError(gradients[2], expected.keyRotary), 3e-6);
}

// Rows do not know how many follow them: the start of a long sequence has the bits of a short one.
TEST(AttentionKernels, RowsDoNotDependOnTokenCount) {
  AttentionCase many{1, 150, 2, 8, 4, 8}, few{1, 40, 2, 8, 4, 8};
  HostTensor query = randomTensor(many.query(), 1), keyValue = randomTensor(many.keyValue(), 2);
  HostTensor keyRotary = randomTensor(many.keyRotary(), 3);
  auto start = [](HostTensor tensor, std::vector<int64_t> shape) {
    tensor.shape = std::move(shape);
    tensor.bytes.resize(size_t(tensor.elements()) * 4);
    return tensor;
  };
  HostTensor all = KernelHarness(forwardModule(many)).run({query, keyValue, keyRotary})[0];
  HostTensor part = KernelHarness(forwardModule(few))
                        .run({start(query, few.query()), start(keyValue, few.keyValue()),
                              start(keyRotary, few.keyRotary())})[0];
  EXPECT_TRUE(start(all, few.output()).sameBits(part));
}

// Large scores neither overflow nor lose the sum.
TEST(AttentionKernels, LargeScores) {
  AttentionCase c{1, 60, 1, 8, 2, 4};
  HostTensor query = randomTensor(c.query(), 1, 60), keyValue = randomTensor(c.keyValue(), 2, 60);
  HostTensor keyRotary = randomTensor(c.keyRotary(), 3, 60);
  AttentionResults expected = attention(c, query, keyValue, keyRotary, nullptr);
  auto results = KernelHarness(forwardModule(c)).run({query, keyValue, keyRotary});
  EXPECT_LT(relativeError(results[0], expected.output), 1e-3);
  EXPECT_LT(relativeError(results[1], expected.logs), 1e-6);
}

} // namespace
