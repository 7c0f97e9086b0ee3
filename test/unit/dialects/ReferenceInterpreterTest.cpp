// SPDX-License-Identifier: Apache-2.0
//
// Calls, bindings, kernels, outputs, and what the interpreter refuses.

#include "test/unit/dialects/TestFunction.h"

#include <gmock/gmock.h>

using namespace hadal;
using namespace hadal::reference;
using testing::ElementsAre;
using testing::HasSubstr;

/// A component with a weight, an accumulator and a counter of its layer; a program applies it
/// twice.
static const char *kProgram = R"(
  func.func private @layer(%x: tensor<1x2xf32>,
      %w: tensor<2x2xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">},
      %g: tensor<2x2xf32> {hadal.bind = #hadal.binding<gradient, "w.{layer}">},
      %n: tensor<2xi64>,
      %c: tensor<2xi64> {hadal.bind = #hadal.binding<state, "counts.{layer}">})
      -> (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xi64>) {
    %0 = hadal.linear %x, %w : tensor<1x2xf32>, tensor<2x2xf32>
    %1 = hadal.weight_gradient %0, %x, %g : tensor<1x2xf32>, tensor<1x2xf32>, tensor<2x2xf32>
    %2 = hadal.accumulate_counts %n, %c : tensor<2xi64>, tensor<2xi64>
    return %0, %1, %2 : tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xi64>
  }
  func.func @main(%x: tensor<1x2xf32>, %n: tensor<2xi64>) attributes {hadal.program} {
    %0:3 = hadal.apply @layer layer 0 (%x, %n)
        : (tensor<1x2xf32>, tensor<2xi64>) -> (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xi64>)
    %1:3 = hadal.apply @layer layer 1 (%0#0, %n)
        : (tensor<1x2xf32>, tensor<2xi64>) -> (tensor<1x2xf32>, tensor<2x2xf32>, tensor<2xi64>)
    hadal.output "y", %1#0 : tensor<1x2xf32>
    hadal.output "counts.1", %1#2 : tensor<2xi64>
    return
  })";

TEST(ReferenceInterpreter, BindsByLayerAndWritesBackWhatIsUpdated) {
  TestModule module(kProgram);
  Interpreter interpreter(*module);
  interpreter.store.set(BindingKind::Weight, "w.0", reals({2, 2}, {1, 0, 0, 2}));
  interpreter.store.set(BindingKind::Weight, "w.1", reals({2, 2}, {0, 1, 1, 0}));
  for (int run = 0; run < 2; ++run) {
    module.call(interpreter, "main", {reals({1, 2}, {3, 4}), integers({2}, {1, 5})});
    ASSERT_EQ(module.lastError(), "");
  }
  EXPECT_THAT(interpreter.outputs.at("y")->reals, ElementsAre(8, 3));
  EXPECT_THAT(interpreter.outputs.at("counts.1")->integers, ElementsAre(2, 10));
  const Store &store = interpreter.store;
  EXPECT_THAT(store.find(BindingKind::State, "counts.0")->integers, ElementsAre(2, 10));
  // Twice the outer product of [3, 8] and [3, 4].
  EXPECT_THAT(store.find(BindingKind::Gradient, "w.0")->reals, ElementsAre(18, 24, 48, 64));
  EXPECT_THAT(store.find(BindingKind::Weight, "w.0")->reals, ElementsAre(1, 0, 0, 2));
}

TEST(ReferenceInterpreter, NamesTheWeightThatIsMissing) {
  TestModule module(kProgram);
  Interpreter interpreter(*module);
  interpreter.store.set(BindingKind::Weight, "w.0", reals({2, 2}, {1, 0, 0, 2}));
  module.call(interpreter, "main", {reals({1, 2}, {3, 4}), integers({2}, {1, 5})});
  EXPECT_EQ(module.lastError(),
            "argument 1 of @layer is bound to weight 'w.1', which is not there");
}

TEST(ReferenceInterpreter, RefusesArgumentsOfAnotherShapeOrNumber) {
  TestModule module(kProgram);
  EXPECT_TRUE(module.call("main", {reals({2, 1}, {3, 4}), integers({2}, {1, 5})}).empty());
  EXPECT_EQ(module.lastError(),
            "argument 0 of @main expects 'tensor<1x2xf32>', found floats [2, 1]");
  EXPECT_TRUE(module.call("main", {reals({1, 2}, {3, 4})}).empty());
  EXPECT_EQ(module.lastError(), "argument 1 of @main is not given");
  EXPECT_TRUE(module.call("nothing", {}).empty());
  EXPECT_THAT(module.lastError(), HasSubstr("has no function @nothing"));
}

TEST(ReferenceInterpreter, RunsKernels) {
  auto y = callText(R"(
    func.func @f(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
      %0 = hadal.kernel(%y, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32> {
      ^bb0(%a: tensor<2xf32>, %b: tensor<2xf32>):
        %1 = hadal.add %a, %b : tensor<2xf32>, tensor<2xf32>
        %2 = hadal.add %1, %a : tensor<2xf32>, tensor<2xf32>
        hadal.yield %2 : tensor<2xf32>
      }
      return %0 : tensor<2xf32>
    })",
                    {reals({2}, {1, 2}), reals({2}, {10, 20})});
  EXPECT_THAT(y.at(0)->reals, ElementsAre(21, 42));
}

TEST(ReferenceInterpreter, NamesAnOpItDoesNotKnow) {
  TestModule module(R"(
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %0 = arith.negf %x : tensor<2xf32>
      return %0 : tensor<2xf32>
    })");
  EXPECT_TRUE(module.call("f", {reals({2}, {1, 2})}).empty());
  EXPECT_EQ(module.lastError(), "'arith.negf' op is unknown to the reference interpreter");
}

TEST(ReferenceInterpreter, RefusesIdsOutsideTheTable) {
  TestModule module(R"(
    func.func @f(%i: tensor<1x2xi32>, %t: tensor<3x1xf32>) -> tensor<1x2x1xf32> {
      %0 = hadal.embedding %i, %t {offset = 0, tokens = 2} : tensor<1x2xi32>, tensor<3x1xf32>
      return %0 : tensor<1x2x1xf32>
    })");
  EXPECT_TRUE(module.call("f", {integers({1, 2}, {0, 3}), reals({3, 1}, {1, 2, 3})}).empty());
  EXPECT_EQ(module.lastError(),
            "'hadal.embedding' op expected ids from 0 to 2, found 3 at flat index 1");
}

/// Every op of the dialect but what holds functions together has a rule.
TEST(ReferenceInterpreter, KnowsEveryOpOfTheDialect) {
  mlir::MLIRContext context;
  context.loadDialect<HadalDialect>();
  int known = 0;
  for (mlir::RegisteredOperationName name : context.getRegisteredOperations()) {
    llvm::StringRef op = name.getStringRef();
    if (!op.starts_with("hadal.") || op == "hadal.apply" || op == "hadal.exchange" ||
        op == "hadal.output" || op == "hadal.kernel" || op == "hadal.yield")
      continue;
    EXPECT_TRUE(RuleTable::get().has(op)) << op.str();
    ++known;
  }
  EXPECT_GE(known, 48);
}
