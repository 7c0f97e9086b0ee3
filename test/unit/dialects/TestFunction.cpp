// SPDX-License-Identifier: Apache-2.0
//
// See TestFunction.h.

#include "test/unit/dialects/TestFunction.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace hadal::reference {

TensorPtr reals(Shape shape, std::vector<double> values) {
  Array<double> array;
  array.shape = std::move(shape);
  array.data = std::move(values);
  return std::make_shared<Tensor>(array);
}

TensorPtr integers(Shape shape, std::vector<int64_t> values) {
  Array<int64_t> array;
  array.shape = std::move(shape);
  array.data = std::move(values);
  return std::make_shared<Tensor>(array);
}

TensorPtr scalar(double value) { return std::make_shared<Tensor>(value); }
TensorPtr integerScalar(int64_t value) { return std::make_shared<Tensor>(Tensor::integer(value)); }

TensorPtr randomReals(Shape shape, double low, double high, std::mt19937 &random) {
  Array<double> array(std::move(shape));
  std::uniform_real_distribution<double> draw(low, high);
  for (double &value : array.data)
    value = draw(random);
  return std::make_shared<Tensor>(array);
}

TensorPtr randomIntegers(Shape shape, int64_t low, int64_t high, std::mt19937 &random) {
  Array<int64_t> array(std::move(shape));
  std::uniform_int_distribution<int64_t> draw(low, high);
  for (int64_t &value : array.data)
    value = draw(random);
  return std::make_shared<Tensor>(array);
}

Routed randomRouting(int64_t sequences, int64_t tokens, int64_t topK, int64_t experts,
                     int64_t excluded, std::mt19937 &random) {
  Array<int64_t> chosen({sequences, tokens, topK});
  for (int64_t token = 0; token < sequences * tokens; ++token) {
    std::vector<int64_t> order;
    for (int64_t e = 0; e < excluded; ++e)
      order.push_back(e);
    std::shuffle(order.begin(), order.end(), random);
    std::sort(order.begin(), order.begin() + topK);
    std::copy_n(order.begin(), topK, chosen.data.begin() + token * topK);
  }
  auto ids = std::make_shared<Tensor>(chosen);
  std::string text =
      llvm::formatv(R"(
    func.func @f(%e: tensor<{0}x{1}x{2}xi32>)
        -> (tensor<{3}xi64>, tensor<{4}xi64>, tensor<{5}xi32>, tensor<{0}x{1}x{2}xi32>) {{
      %c, %o, %s, %l = hadal.sort_by_expert %e {{expert_count = {3}} : tensor<{0}x{1}x{2}xi32>
      return %c, %o, %s, %l
          : tensor<{3}xi64>, tensor<{4}xi64>, tensor<{5}xi32>, tensor<{0}x{1}x{2}xi32>
    })",
                    sequences, tokens, topK, experts, experts + 1, sequences * tokens * topK);
  Interpreter::Values sorted = callText(text, {ids});
  if (sorted.empty())
    return {};
  return {ids, sorted[0], sorted[1], sorted[2], sorted[3]};
}

double distance(const Tensor &a, const Tensor &b) {
  if (a.shape != b.shape || a.reals.size() != b.reals.size())
    return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < a.reals.size(); ++i)
    largest = std::fmax(largest, std::isnan(a.reals[i] - b.reals[i])
                                     ? INFINITY
                                     : std::fabs(a.reals[i] - b.reals[i]));
  return largest;
}

TestModule::TestModule(const std::string &text) {
  context.loadDialect<HadalDialect, func::FuncDialect, arith::ArithDialect>();
  module = parseSourceString<ModuleOp>(text, &context);
  EXPECT_TRUE(module) << text;
}

Interpreter::Values TestModule::call(llvm::StringRef name, const Interpreter::Values &arguments,
                                     Precision precision) {
  if (!module)
    return {};
  Interpreter interpreter(*module, precision);
  return call(interpreter, name, arguments);
}

Interpreter::Values TestModule::call(Interpreter &interpreter, llvm::StringRef name,
                                     const Interpreter::Values &arguments) {
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    error = diagnostic.str();
    return success();
  });
  FailureOr<Interpreter::Values> results = interpreter.call(name, arguments);
  return succeeded(results) ? *results : Interpreter::Values();
}

Interpreter::Values callText(const std::string &text, const Interpreter::Values &arguments,
                             Precision precision) {
  TestModule module(text);
  Interpreter::Values results = module.call("f", arguments, precision);
  EXPECT_FALSE(results.empty()) << module.lastError();
  return results;
}

} // namespace hadal::reference
