// SPDX-License-Identifier: Apache-2.0
//
// Greedy generation by the programs @prefill and @decode, as imported and as absorbed and fused.

#include "test/unit/interpret/OracleModel.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace hadal;
using namespace hadal::reference;

namespace {

class Generator {
public:
  explicit Generator(OracleModel &model) : model(model), interpreter(*model.interpreter) {
    setBlockTable();
  }

  /// Runs a program on `ids`, filled up with zeros; the most likely next id.
  int64_t run(llvm::StringRef program, std::vector<int64_t> ids, int64_t position) {
    auto function = model.module->lookupSymbol<mlir::func::FuncOp>(program);
    Array<int64_t> tokens(shapeOf(function.getArgumentTypes()[0]));
    std::copy(ids.begin(), ids.end(), tokens.data.begin());
    model.setScalar("position", Tensor::integer(position));
    model.setScalar("valid", Tensor::integer(int64_t(ids.size())));
    if (failed(interpreter.call(program, {std::make_shared<Tensor>(tokens)})))
      return -1;
    const std::vector<double> &logits = interpreter.outputs.at("logits")->reals;
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  }

private:
  /// The blocks of the cache in reverse: their order must not matter.
  void setBlockTable() {
    model.module->walk([&](mlir::func::FuncOp function) {
      for (unsigned i = 0; i < function.getNumArguments(); ++i) {
        BindingAttr binding = bindingOf(function, i);
        if (!binding || binding.getName() != "block_table")
          continue;
        Array<int64_t> table(shapeOf(function.getArgumentTypes()[i]));
        for (int64_t block = 0; block < table.elements(); ++block)
          table(block) = table.elements() - 1 - block;
        interpreter.store.set(BindingKind::State, "block_table", Tensor(table));
      }
    });
  }

  OracleModel &model;
  Interpreter &interpreter;
};

class InterpretedGeneration : public testing::TestWithParam<std::tuple<const char *, Stage>> {};

TEST_P(InterpretedGeneration, IsTheGreedyContinuation) {
  auto [name, stage] = GetParam();
  OracleModel model(name, stage);
  Generator generator(model);
  nlohmann::json greedy = model.json("greedy.json");
  auto prompt = greedy["prompt"].get<std::vector<int64_t>>();
  auto expected = greedy["continuation"].get<std::vector<int64_t>>();
  std::vector<int64_t> continuation = {generator.run("prefill", prompt, 0)};
  for (int64_t position = int64_t(prompt.size()); continuation.size() < expected.size(); ++position)
    continuation.push_back(generator.run("decode", {continuation.back()}, position));
  EXPECT_EQ(continuation, expected);
}

INSTANTIATE_TEST_SUITE_P(Oracle, InterpretedGeneration,
                         testing::Combine(testing::Values("groups", "mtp", "plain-query", "yarn"),
                                          testing::Values(Stage::Imported, Stage::Fused)));

/// A prompt that takes two calls of @prefill: the tokens of prompt and continuation together.
TEST(InterpretedPrefill, GoesOnBehindItsFirstBlock) {
  OracleModel model("groups", Stage::Fused);
  nlohmann::json greedy = model.json("greedy.json");
  auto ids = greedy["prompt"].get<std::vector<int64_t>>();
  while (ids.size() < 70)
    ids.push_back(int64_t(ids.size() * 7 % 11));
  Generator whole(model);
  whole.run("prefill", {ids.begin(), ids.begin() + 64}, 0);
  int64_t fromPrefill = whole.run("prefill", {ids.begin() + 64, ids.end()}, 64);
  TensorPtr logits = model.interpreter->outputs.at("logits");
  model.interpreter->store.take(BindingKind::State);

  Generator stepwise(model);
  stepwise.run("prefill", {ids.begin(), ids.begin() + 60}, 0);
  int64_t fromDecode = -1;
  for (int64_t position = 60; position < 70; ++position)
    fromDecode = stepwise.run("decode", {ids[size_t(position)]}, position);
  EXPECT_EQ(fromPrefill, fromDecode);
  for (size_t i = 0; i < logits->reals.size(); ++i)
    EXPECT_NEAR(logits->reals[i], model.interpreter->outputs.at("logits")->reals[i], 1e-11);
}

} // namespace
