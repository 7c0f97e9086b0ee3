// SPDX-License-Identifier: Apache-2.0
//
// See OracleModel.h.

#include "test/unit/interpret/OracleModel.h"

#include "frontend/BuildModel.h"
#include "passes/Differentiate/Passes.h"
#include "passes/Fuse/Passes.h"
#include "tools/hadal-interpret/Inputs.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Pass/PassManager.h"

#include <fstream>
#include <stdexcept>

using namespace mlir;

namespace hadal {

static void lower(ModuleOp module, Stage stage) {
  PassManager passes(module.getContext());
  passes.addPass(createHadalDifferentiate());
  passes.addPass(createHadalBuildUpdate());
  if (stage == Stage::Fused) {
    passes.addPass(createAbsorbProjectionsPass());
    passes.addPass(createDecomposePass());
    passes.addPass(createFusePass());
  }
  if (failed(passes.run(module)))
    throw std::runtime_error("passes failed");
}

OracleModel::OracleModel(const std::string &name, Stage stage)
    : folder(std::string(HADAL_TEST_DIR) + "/oracle/" + name) {
  context.loadDialect<HadalDialect, func::FuncDialect, arith::ArithDialect>();
  auto imported = importModel(context, path("config.json"), path("plan.json"), "cpu", "znver3");
  if (failed(imported))
    throw std::runtime_error(name + ": import failed");
  module = std::move(*imported);
  lower(*module, stage);
  tools::ModelInputs inputs(*module, name);
  group.emplace(*module, 1, inputs.spec.numRoutedExperts);
  interpreter = &(*group)[0];
  inputs.loadWeights(path("model.safetensors"), interpreter->store);
  inputs.makeRotaryTables(*module, interpreter->store);
  inputs.setSeeds(interpreter->store);
}

nlohmann::json OracleModel::json(const std::string &file) const {
  std::ifstream stream(path(file));
  return nlohmann::json::parse(stream);
}

} // namespace hadal
