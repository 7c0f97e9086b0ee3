// SPDX-License-Identifier: Apache-2.0
//
// See TestGradients.h.

#include "test/unit/dialects/TestGradients.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace hadal::reference {

namespace {

class Check {
public:
  explicit Check(const GradientCase &test)
      : test(test), module(test.text), random(unsigned(std::hash<std::string>()(test.text))) {}

  void run() {
    if (!*module)
      return;
    function = module.function("f");
    op = &function.getBody().front().front();
    drawArguments();
    buildFunction();
    ASSERT_TRUE(succeeded(verify(*module))) << test.text;
    computeGradients();
    for (unsigned i = 0; i < op->getNumOperands(); ++i)
      if (!arguments[i]->isInteger && !test.constant.count(i))
        compareOperand(i);
  }

private:
  void drawArguments() {
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto given = test.given.find(i);
      arguments.push_back(
          given != test.given.end()
              ? given->second
              : randomReals(shapeOf(function.getArgumentTypes()[i]), -1, 1, random));
    }
    for (unsigned result : test.seeded)
      seeds[result] = randomReals(shapeOf(op->getResult(result).getType()), -1, 1, random);
    for (unsigned operand : test.accumulated)
      accumulators[operand] = randomReals(arguments[operand]->shape, -1, 1, random);
  }

  /// @g: the arguments of @f, the seeds, the accumulators -> the gradients there are.
  void buildFunction() {
    OpBuilder builder(function);
    SmallVector<Type> types(function.getArgumentTypes());
    for (auto &[result, seed] : seeds) {
      auto type = cast<RankedTensorType>(op->getResult(result).getType());
      types.push_back(type.clone(builder.getF32Type())); // a loss is f64, its seed f32
    }
    for (auto &[operand, accumulator] : accumulators)
      types.push_back(function.getArgumentTypes()[operand]);
    auto gradient =
        func::FuncOp::create(builder, function.getLoc(), "g", builder.getFunctionType(types, {}));
    Block *body = gradient.addEntryBlock();
    builder.setInsertionPointToEnd(body);
    IRMapping mapping;
    mapping.map(function.getArguments(), body->getArguments().take_front(arguments.size()));
    auto copy = cast<DifferentiableOpInterface>(builder.clone(*op, mapping));

    unsigned next = unsigned(arguments.size());
    SmallVector<Value> resultGradients(op->getNumResults());
    for (auto &[result, seed] : seeds)
      resultGradients[result] = body->getArgument(next++);
    std::map<unsigned, Value> sums;
    for (auto &[operand, accumulator] : accumulators)
      sums[operand] = body->getArgument(next++);
    SmallVector<Value> all =
        copy.buildGradient(builder, resultGradients, [&](unsigned operand) -> Value {
          auto sum = sums.find(operand);
          return sum == sums.end() ? Value() : sum->second;
        });
    ASSERT_EQ(all.size(), op->getNumOperands());
    SmallVector<Value> returned;
    for (auto [operand, value] : llvm::enumerate(all)) {
      if (!value)
        continue;
      EXPECT_EQ(value.getType(), op->getOperand(operand).getType());
      places[unsigned(operand)] = returned.size();
      returned.push_back(value);
    }
    func::ReturnOp::create(builder, function.getLoc(), returned);
    gradient.setFunctionType(builder.getFunctionType(types, ValueRange(returned).getTypes()));
  }

  void computeGradients() {
    Interpreter::Values all = arguments;
    for (auto &[result, seed] : seeds)
      all.push_back(seed);
    for (auto &[operand, accumulator] : accumulators)
      all.push_back(accumulator);
    gradients = module.call("g", all);
    ASSERT_EQ(gradients.size(), places.size()) << module.lastError();
  }

  /// sum over the seeded results of seed times result.
  double loss(const Interpreter::Values &values) {
    Interpreter::Values results = module.call("f", values);
    EXPECT_FALSE(results.empty()) << module.lastError();
    double sum = 0;
    for (auto &[result, seed] : seeds)
      for (size_t i = 0; i < seed->reals.size(); ++i)
        sum += seed->reals[i] * results[result]->reals[i];
    return sum;
  }

  double slope(unsigned operand, size_t element) {
    constexpr double kStep = 1e-5;
    double ends[2];
    for (int side = 0; side < 2; ++side) {
      Interpreter::Values values = arguments;
      Tensor moved = *arguments[operand];
      moved.reals[element] += side ? kStep : -kStep;
      values[operand] = std::make_shared<Tensor>(std::move(moved));
      ends[side] = loss(values);
    }
    return (ends[1] - ends[0]) / (2 * kStep);
  }

  void compareOperand(unsigned operand) {
    auto place = places.find(operand);
    for (size_t i = 0; i < arguments[operand]->reals.size(); ++i) {
      double built = place == places.end() ? 0 : gradients[place->second]->reals[i];
      if (auto accumulator = accumulators.find(operand); accumulator != accumulators.end())
        built -= accumulator->second->reals[i];
      double true_slope = slope(operand, i);
      ASSERT_NEAR(built, true_slope, 1e-7 * std::fmax(1, std::fabs(true_slope)))
          << "operand " << operand << ", element " << i << " of" << test.text;
    }
  }

  const GradientCase &test;
  TestModule module;
  std::mt19937 random;
  func::FuncOp function;
  Operation *op = nullptr;
  Interpreter::Values arguments, gradients;
  std::map<unsigned, TensorPtr> seeds, accumulators;
  std::map<unsigned, size_t> places; ///< of an operand's gradient among the results of @g
};

} // namespace

void expectGradients(const GradientCase &test) { Check(test).run(); }

} // namespace hadal::reference
