// SPDX-License-Identifier: Apache-2.0
//
// Gradients of whole small models, computed by the interpreter: against finite differences of the
// losses, under every policy of what is recomputed, and with the weight gradients put off until
// other micro-batches have run.

#include "dialects/Hadal/Reference/Interpreter.h"
#include "passes/Differentiate/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace mlir;
using namespace hadal;
using namespace hadal::reference;

namespace {

const std::map<std::string, double> kSeeds = {
    {"seed.main", 0.5}, {"seed.mtp", 0.15}, {"seed.balance", 0.25}};

/// Values in [-1, 1) that depend on name and element only.
double valueOf(const std::string &name, size_t element) {
  uint64_t state = 0x9E3779B97F4A7C15u * (element + 1);
  for (char letter : name)
    state = (state ^ uint64_t(letter)) * 0x100000001B3u;
  state ^= state >> 31;
  state *= 0x94D049BB133111EBu;
  return double(state >> 11) / double(uint64_t(1) << 52) - 1;
}

TensorPtr tokens(RankedTensorType type, size_t seed) {
  Array<int64_t> ids(Shape(type.getShape()));
  for (size_t i = 0; i < ids.data.size(); ++i)
    ids.data[i] = int64_t((valueOf("tokens" + std::to_string(seed), i) + 1) * 4);
  return std::make_shared<Tensor>(ids);
}

/// A model of test/passes/Differentiate, differentiated, with the interpreter's memory.
class Model {
public:
  explicit Model(const std::string &file, const std::string &options = "") {
    static const bool registered = (registerHadalDifferentiatePasses(), true);
    (void)registered;
    context.loadDialect<HadalDialect, func::FuncDialect>();
    module = parseSourceFile<ModuleOp>(HADAL_TEST_DIR "/passes/Differentiate/" + file, &context);
    if (!module)
      return;
    OpBuilder builder(&context);
    (*module)->setAttr(kProgramsAttr, builder.getStrArrayAttr({"train", "evaluate"}));
    PassManager manager(&context, ModuleOp::getOperationName());
    valid = succeeded(parsePassPipeline("hadal-differentiate{" + options + "}", manager)) &&
            succeeded(manager.run(*module)) && succeeded(verify(*module));
  }

  /// Gives every bound argument of every component a value. Call when the module is complete.
  void begin() {
    interpreter = std::make_unique<Interpreter>(*module);
    module->walk([&](ApplyOp apply) {
      auto component = module->lookupSymbol<func::FuncOp>(apply.getComponent());
      for (unsigned i = 0; i < component.getNumArguments(); ++i)
        if (BindingAttr binding = bindingOf(component, i))
          fill(binding.getKind(), boundName(binding, apply), component.getArgumentTypes()[i]);
    });
  }

  /// The losses of one micro-batch, weighted by their seeds.
  double loss(size_t microBatch) {
    interpreter->outputs.clear();
    EXPECT_TRUE(succeeded(interpreter->call("evaluate", {batch(microBatch)})));
    double sum = 0;
    for (const auto &[name, tensor] : interpreter->outputs)
      if (StringRef(name).contains("loss"))
        sum += tensor->reals[0] *
               kSeeds.at(StringRef(name).starts_with("mtp") ? "seed.mtp" : "seed.main");
    return sum;
  }

  TensorPtr batch(size_t microBatch) {
    auto program = module->lookupSymbol<func::FuncOp>("gradients");
    return tokens(cast<RankedTensorType>(program.getArgumentTypes()[0]), microBatch);
  }

  /// Gradients by weight, the second accumulator of a weight added; they start at zero again.
  std::map<std::string, std::vector<double>> takeGradients() {
    std::map<std::string, std::vector<double>> gradients;
    for (auto &[name, tensor] : interpreter->store.take(BindingKind::Gradient)) {
      std::vector<double> &sum = gradients[StringRef(name).split('#').first.str()];
      sum.resize(tensor->reals.size());
      for (size_t i = 0; i < sum.size(); ++i)
        sum[i] += tensor->reals[i];
    }
    return gradients;
  }

  void call(StringRef program, std::vector<TensorPtr> arguments) {
    EXPECT_TRUE(succeeded(interpreter->call(program, arguments)));
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<Interpreter> interpreter;
  bool valid = false;

private:
  void fill(BindingKind kind, const std::string &name, Type type) {
    if (kind == BindingKind::Gradient || kind == BindingKind::State)
      return;
    auto tensor = cast<RankedTensorType>(type);
    Array<double> values{Shape(tensor.getShape())};
    for (size_t i = 0; i < values.data.size(); ++i)
      values.data[i] = kind == BindingKind::Scalar        ? kSeeds.at(name)
                       : name == "rotary_cos"             ? std::cos(0.3 * double(i))
                       : name == "rotary_sin"             ? std::sin(0.3 * double(i))
                       : StringRef(name).contains("norm") ? 1 + 0.2 * valueOf(name, i)
                                                          : 0.7 * valueOf(name, i);
    interpreter->store.set(kind, name, Tensor(values));
  }
};

class GradientsOf : public testing::TestWithParam<const char *> {};

TEST_P(GradientsOf, EqualFiniteDifferences) {
  Model model(GetParam());
  ASSERT_TRUE(model.valid);
  model.begin();
  model.call("gradients", {model.batch(0)});
  auto gradients = model.takeGradients();
  Store &store = model.interpreter->store;
  Store::Named weights = store.all(BindingKind::Weight);
  const double step = 1e-5;
  double largest = 0;
  for (const auto &[name, tensor] : weights) {
    if (StringRef(name).ends_with("e_score_correction_bias")) {
      EXPECT_EQ(gradients.count(name), 0u);
      continue;
    }
    ASSERT_EQ(gradients[name].size(), tensor->reals.size()) << name;
    for (size_t i = 0; i < tensor->reals.size(); i += 1 + tensor->reals.size() / 16) {
      Tensor moved = *tensor;
      moved.reals[i] = tensor->reals[i] + step;
      store.set(BindingKind::Weight, name, moved);
      double above = model.loss(0);
      moved.reals[i] = tensor->reals[i] - step;
      store.set(BindingKind::Weight, name, moved);
      double below = model.loss(0);
      store.set(BindingKind::Weight, name, tensor);
      largest = std::max(largest, std::abs(gradients[name][i]));
      EXPECT_NEAR(gradients[name][i], (above - below) / (2 * step), 1e-8)
          << name << "[" << i << "]";
    }
  }
  EXPECT_GT(largest, 1e-2);
}

TEST_P(GradientsOf, DoNotDependOnWhatIsRecomputed) {
  std::map<std::string, std::vector<double>> first;
  for (const char *options : {"save-all", "recompute=norms", "recompute=mla_up", "recompute=swiglu",
                              "recompute=norms,mla_up,swiglu"}) {
    Model model(GetParam(), options);
    ASSERT_TRUE(model.valid) << options;
    model.begin();
    model.call("gradients", {model.batch(0)});
    auto gradients = model.takeGradients();
    ASSERT_FALSE(gradients.empty());
    if (first.empty())
      first = gradients;
    EXPECT_EQ(first, gradients) << options;
  }
}

/// Writes a program that runs `count` micro-batches of @gradients: all F, then all B, then all W.
void writePutOffProgram(ModuleOp module, unsigned count) {
  auto gradients = module.lookupSymbol<func::FuncOp>("gradients");
  OpBuilder builder(module.getContext());
  builder.setInsertionPointAfter(gradients);
  SmallVector<Type> types(count, gradients.getArgumentTypes()[0]);
  auto program =
      func::FuncOp::create(builder, module.getLoc(), "put_off", builder.getFunctionType(types, {}));
  program->setAttr(kProgramAttr, builder.getUnitAttr());
  builder.setInsertionPointToEnd(program.addEntryBlock());
  std::vector<IRMapping> mappings(count);
  for (unsigned m = 0; m < count; ++m)
    mappings[m].map(gradients.getArgument(0), program.getArgument(m));
  for (PhaseKind phase : {PhaseKind::Forward, PhaseKind::Backward, PhaseKind::WeightGradient})
    for (unsigned m = 0; m < count; ++m)
      for (auto apply : gradients.getOps<ApplyOp>()) {
        auto component = module.lookupSymbol<func::FuncOp>(apply.getComponent());
        if (component->getAttrOfType<PhaseKindAttr>(kPhaseAttr).getValue() == phase)
          builder.clone(*apply, mappings[m]);
      }
  func::ReturnOp::create(builder, module.getLoc());
}

TEST_P(GradientsOf, MayWaitUntilOtherMicroBatchesHaveRun) {
  Model model(GetParam(), "recompute=norms,swiglu");
  ASSERT_TRUE(model.valid);
  writePutOffProgram(*model.module, 3);
  ASSERT_TRUE(succeeded(verify(*model.module)));
  model.begin();
  for (size_t m : {0, 1, 2})
    model.call("gradients", {model.batch(m)});
  auto together = model.takeGradients();
  model.interpreter->store.take(BindingKind::State);
  model.call("put_off", {model.batch(0), model.batch(1), model.batch(2)});
  EXPECT_EQ(together, model.takeGradients());
}

INSTANTIATE_TEST_SUITE_P(Models, GradientsOf,
                         testing::Values("differentiate.mlir", "recompute.mlir", "tied.mlir"),
                         [](const auto &info) {
                           return llvm::StringRef(info.param).drop_back(5).str();
                         });

} // namespace
