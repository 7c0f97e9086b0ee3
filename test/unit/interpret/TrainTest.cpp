// SPDX-License-Identifier: Apache-2.0
//
// Training by the programs @gradients and @update against the stored run.

#include "test/unit/interpret/OracleModel.h"

#include "frontend/WeightNames.h"
#include "runtime/checkpoint/Safetensors.h"
#include "tools/hadal-interpret/Step.h"
#include "tools/hadal-interpret/TensorFile.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace hadal;
using namespace hadal::reference;
using hadal::tools::ModelInputs;
using hadal::tools::StepRows;

namespace {

class InterpretedTraining : public testing::TestWithParam<Stage> {
protected:
  InterpretedTraining()
      : model("training", GetParam()), inputs(*model.module, "training"),
        table(rt::readTokenTable(model.path("tokens.safetensors"), inputs.spec.vocabSize)) {}

  /// One step; `want` is its line of the log.
  void step(const nlohmann::json &want) {
    int64_t number = want["step"], rows = inputs.plan.microBatchCount() * inputs.plan.sequences;
    rt::TokenTable part{rows, table.columns, {}};
    auto begin = table.ids.begin() + (number - 1) * rows * table.columns;
    part.ids.assign(begin, begin + rows * table.columns);
    model.interpreter->store.take(BindingKind::Gradient);
    model.interpreter->store.take(BindingKind::State);
    double mainLoss = 0, mtpLoss = 0;
    llvm::FailureOr<tools::Gradients> gradients = tools::computeGradients(
        *model.module, *model.group, inputs, StepRows(inputs, part, "tokens"), [&] {
          mainLoss += output("main_loss") / double(inputs.plan.microBatchCount());
          mtpLoss += output("mtp_loss.1") / double(inputs.plan.microBatchCount());
        });
    ASSERT_TRUE(succeeded(gradients));
    for (auto &[name, gradient] : *gradients)
      model.interpreter->store.set(BindingKind::Gradient, name, std::move(gradient));
    EXPECT_NEAR(mainLoss, want["main_loss"], 1e-6);
    EXPECT_NEAR(mtpLoss, want["mtp_losses"][0], 1e-6);
    for (auto &[name, counts] : want["expert_counts"].items()) {
      std::string layer = name.substr(13, name.find('.', 13) - 13); // model.layers.N.mlp
      EXPECT_EQ(model.interpreter->store.find(BindingKind::State, "counts." + layer)->integers,
                counts.get<std::vector<int64_t>>());
    }
    update(number, want["learning_rate"]);
    EXPECT_NEAR(output("gradient_norm"), want["gradient_norm"], 1e-6);
  }

  void update(int64_t number, double rate) {
    model.setScalar("learning_rate", Tensor(rate));
    model.setScalar("correction1", Tensor(1 - std::pow(inputs.plan.beta1, double(number))));
    model.setScalar("correction2", Tensor(1 - std::pow(inputs.plan.beta2, double(number))));
    model.setScalar("bias_speed", Tensor(inputs.plan.biasUpdateSpeed.front().value));
    ASSERT_TRUE(succeeded(model.interpreter->call("update", {})));
  }

  double output(const std::string &name) {
    auto found = model.interpreter->outputs.find(name);
    return found == model.interpreter->outputs.end() ? NAN : found->second->reals.front();
  }

  OracleModel model;
  ModelInputs inputs;
  rt::TokenTable table;
};

TEST_P(InterpretedTraining, FollowsTheLogAndEndsWithTheTrainedWeights) {
  for (const nlohmann::json &want : model.json("log.json")) {
    step(want);
    ASSERT_FALSE(HasFailure()) << "step " << want["step"];
  }
  rt::SafetensorsFile trained(model.path("trained.safetensors"));
  for (const ParameterInfo &info : parameters(inputs.spec)) {
    TensorPtr weight = model.interpreter->store.find(BindingKind::Weight, info.name);
    int64_t parts = info.experts ? info.experts : 1, elements = info.elements() / parts;
    for (int64_t part = 0; part < parts; ++part) {
      std::string name = expandName(info.name, part);
      Tensor want = tools::readTensor(trained, trained.get(name));
      double off = 0, size = 0;
      for (int64_t i = 0; i < elements; ++i) {
        off += std::pow(weight->reals[size_t(part * elements + i)] - want.reals[size_t(i)], 2);
        size += std::pow(want.reals[size_t(i)], 2);
      }
      EXPECT_LE(std::sqrt(off), 1e-6 * std::sqrt(size)) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Oracle, InterpretedTraining,
                         testing::Values(Stage::Imported, Stage::Fused));

} // namespace
