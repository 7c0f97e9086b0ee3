// SPDX-License-Identifier: Apache-2.0
//
// Experts on several ranks: all members of a group, interpreted together, against the same model on
// one rank that sees the members' tokens one after another.

#include "dialects/Hadal/Reference/Group.h"
#include "frontend/BuildModel.h"
#include "passes/Differentiate/Passes.h"
#include "passes/Fuse/Passes.h"
#include "passes/Partition/Passes.h"
#include "test/unit/frontend/TestInputs.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <random>

using namespace mlir;
using namespace hadal;
using namespace hadal::reference;
using hadal::test::Fields;

namespace {

/// A model and how its experts are spread.
struct Shape {
  int64_t members, experts, chosen, sequences = 1, tokens = 5;
  int64_t depths = 1;                               ///< of MTP
  std::vector<int64_t> favoured = {}, shunned = {}; ///< experts that are always, never chosen
};

std::string label(const testing::TestParamInfo<Shape> &info) {
  const Shape &s = info.param;
  return "Case" + std::to_string(info.index) + "Members" + std::to_string(s.members) + "Experts" +
         std::to_string(s.experts) + "Of" + std::to_string(s.chosen);
}

class Model {
public:
  Model(const Shape &shape, bool partitioned, bool fused = false) {
    context.loadDialect<HadalDialect, func::FuncDialect>();
    auto number = [](int64_t value) { return std::to_string(value); };
    ModelSpec spec = test::validSpec({{"vocab_size", "11"},
                                      {"hidden_size", "6"},
                                      {"intermediate_size", "5"},
                                      {"moe_intermediate_size", "3"},
                                      {"num_attention_heads", "2"},
                                      {"num_key_value_heads", "2"},
                                      {"n_routed_experts", number(shape.experts)},
                                      {"num_experts_per_tok", number(shape.chosen)},
                                      {"n_group", "1"},
                                      {"topk_group", "1"},
                                      {"num_nextn_predict_layers", number(shape.depths)},
                                      {"q_lora_rank", "4"},
                                      {"kv_lora_rank", "4"},
                                      {"qk_nope_head_dim", "2"},
                                      {"qk_rope_head_dim", "2"},
                                      {"v_head_dim", "3"}});
    std::string text =
        test::planText({{"micro_batch", "{\"sequences\": " + number(shape.sequences) +
                                            ", \"tokens\": " + number(shape.tokens) + "}"},
                        {"data_parallel", number(shape.members)},
                        {"expert_parallel", number(partitioned ? shape.members : 1)},
                        {"programs", "[\"train\", \"evaluate\"]"}});
    Checked<Plan> plan = usablePlan(text, "plan.json", spec);
    EXPECT_TRUE(bool(plan)) << (plan ? "" : plan.error().message());
    if (!plan)
      return;
    module = buildModel(context, spec, *plan, "cpu", "znver3");
    PassManager manager(&context);
    manager.addPass(createPartitionExpertsPass());
    manager.addPass(createHadalDifferentiate());
    if (fused) {
      manager.addPass(createDecomposePass());
      manager.addPass(createRowClassesPass());
      manager.addPass(createFusePass());
    }
    valid = succeeded(manager.run(*module)) && succeeded(verify(*module));
  }

  /// Every bound weight, table and scalar of the model: names and types.
  std::map<std::pair<BindingKind, std::string>, RankedTensorType> bound() {
    std::map<std::pair<BindingKind, std::string>, RankedTensorType> found;
    module->walk([&](ApplyOp apply) {
      auto component = module->lookupSymbol<func::FuncOp>(apply.getComponent());
      for (unsigned i = 0; i < component.getNumArguments(); ++i)
        if (BindingAttr binding = bindingOf(component, i))
          found[{binding.getKind(), boundName(binding, apply)}] =
              cast<RankedTensorType>(component.getArgumentTypes()[i]);
    });
    return found;
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  bool valid = false;
};

class ExpertParallel : public testing::TestWithParam<Shape> {
protected:
  void SetUp() override { random.seed(unsigned(GetParam().experts * 7 + GetParam().tokens)); }

  double draw() { return std::uniform_real_distribution<double>(-1, 1)(random); }

  /// Values of everything that is bound on one rank.
  void fill(Model &whole, Store &store) {
    for (const auto &[key, type] : whole.bound()) {
      auto [kind, name] = key;
      if (kind == BindingKind::Gradient || kind == BindingKind::State)
        continue;
      Array<double> values{reference::Shape(type.getShape())};
      for (double &value : values.data)
        value = kind == BindingKind::Scalar          ? 0.5
                : StringRef(name).contains("norm")   ? 1 + 0.2 * draw()
                : StringRef(name).ends_with("_bias") ? 0
                                                     : 0.8 * draw();
      if (StringRef(name).ends_with("_bias")) {
        for (int64_t expert : GetParam().favoured)
          values.data[size_t(expert)] = 10;
        for (int64_t expert : GetParam().shunned)
          values.data[size_t(expert)] = -10;
      }
      store.set(kind, name, Tensor(values));
    }
  }

  /// The same for a member: its slice where that is smaller.
  void share(Model &parts, const Store &whole, Interpreter &rank, int64_t member) {
    for (const auto &[key, type] : parts.bound()) {
      auto [kind, name] = key;
      TensorPtr from = whole.find(kind, name);
      if (!from || kind == BindingKind::Gradient || kind == BindingKind::State)
        continue;
      rank.store.set(kind, name, slice(*from, type.getNumElements(), type.getShape(), member));
    }
  }

  static Tensor slice(const Tensor &from, int64_t elements, ArrayRef<int64_t> shape,
                      int64_t member) {
    Tensor part = from;
    part.shape = reference::Shape(shape);
    if (elements < int64_t(from.reals.size()))
      part.reals.assign(from.reals.begin() + member * elements,
                        from.reals.begin() + (member + 1) * elements);
    return part;
  }

  TensorPtr tokens() {
    Array<int64_t> ids({GetParam().sequences, GetParam().tokens + 1});
    for (int64_t &id : ids.data)
      id = std::uniform_int_distribution<int64_t>(0, 10)(random);
    return std::make_shared<Tensor>(ids);
  }

  void expectNear(const Tensor &expected, const Tensor &found, const std::string &name) {
    ASSERT_EQ(expected.shape, found.shape) << name;
    EXPECT_EQ(expected.integers, found.integers) << name;
    for (size_t i = 0; i < expected.reals.size(); ++i)
      ASSERT_NEAR(expected.reals[i], found.reals[i], 1e-10) << name << "[" << i << "]";
  }

  void compareOutputs(const std::map<std::string, TensorPtr> &expected,
                      const std::map<std::string, TensorPtr> &found) {
    ASSERT_EQ(expected.size(), found.size());
    for (const auto &[name, tensor] : expected) {
      ASSERT_TRUE(found.count(name)) << name;
      expectNear(*tensor, *found.at(name), name);
    }
  }

  /// Runs both, on the same tokens, and compares outputs and gradients.
  void compare(bool fused) {
    const Shape &shape = GetParam();
    Model whole(shape, false), parts(shape, true, fused);
    ASSERT_TRUE(whole.valid && parts.valid);
    Interpreter one(*whole.module);
    fill(whole, one.store);
    Group group(*parts.module, shape.members, shape.experts);
    std::vector<Interpreter::Values> batches;
    for (int64_t member = 0; member < shape.members; ++member) {
      share(parts, one.store, group[member], member);
      batches.push_back({tokens()});
    }
    for (const char *program : {"evaluate", "gradients"}) {
      ASSERT_TRUE(succeeded(group.call(program, batches)));
      for (int64_t member = 0; member < shape.members; ++member) {
        one.outputs.clear();
        one.store.take(BindingKind::State); // counts are a rank's own here
        ASSERT_TRUE(succeeded(one.call(program, batches[size_t(member)])));
        compareOutputs(one.outputs, group[member].outputs);
        group[member].outputs.clear();
        group[member].store.take(BindingKind::State);
      }
    }
    compareGradients(one.store, group);
  }

  /// Gradients add up over the ranks; those of a slice stand on its member.
  void compareGradients(const Store &one, Group &group) {
    int64_t slices = 0;
    for (const auto &[name, tensor] : one.all(BindingKind::Gradient)) {
      TensorPtr first = group[0].store.find(BindingKind::Gradient, name);
      ASSERT_TRUE(first) << name;
      if (first->elements() < tensor->elements()) {
        for (int64_t member = 0; member < group.size(); ++member) {
          TensorPtr part = group[member].store.find(BindingKind::Gradient, name);
          expectNear(slice(*tensor, part->elements(), part->shape, member), *part, name);
        }
        ++slices;
        continue;
      }
      Tensor sum = *first;
      for (int64_t member = 1; member < group.size(); ++member)
        for (size_t i = 0; i < sum.reals.size(); ++i)
          sum.reals[i] += group[member].store.find(BindingKind::Gradient, name)->reals[i];
      expectNear(*tensor, sum, name);
    }
    EXPECT_EQ(slices, 3 * (1 + GetParam().depths));
  }

  std::mt19937 random;
};

/// The losses of all members, weighted by their seeds.
double lossOf(Group &group, const std::vector<Interpreter::Values> &batches) {
  double sum = 0;
  EXPECT_TRUE(succeeded(group.call("evaluate", batches)));
  for (int64_t member = 0; member < group.size(); ++member) {
    for (const auto &[name, tensor] : group[member].outputs)
      if (StringRef(name).contains("loss"))
        sum += 0.5 * tensor->reals[0];
    group[member].outputs.clear();
  }
  return sum;
}

TEST_P(ExpertParallel, EqualsOneRank) { compare(false); }

TEST_P(ExpertParallel, GradientsEqualFiniteDifferences) {
  const Shape &shape = GetParam();
  Model whole(shape, false), parts(shape, true);
  ASSERT_TRUE(whole.valid && parts.valid);
  Store values;
  fill(whole, values);
  Group group(*parts.module, shape.members, shape.experts);
  std::vector<Interpreter::Values> batches;
  for (int64_t member = 0; member < shape.members; ++member) {
    share(parts, values, group[member], member);
    batches.push_back({tokens()});
  }
  ASSERT_TRUE(succeeded(group.call("gradients", batches)));
  const double step = 1e-5;
  size_t checked = 0;
  const Store::Named weights = group[0].store.all(BindingKind::Weight);
  for (const auto &entry : weights) {
    const std::string &name = entry.first;
    const TensorPtr &tensor = entry.second;
    bool isSlice = StringRef(name).contains("{expert}");
    if (!isSlice && !StringRef(name).contains("layers.1"))
      continue; // the layer with experts, and what comes before it by way of its norm
    size_t element = tensor->reals.size() / 2;
    double sum = 0;
    auto moved = [&](double by) {
      for (int64_t member = 0; member < (isSlice ? 1 : shape.members); ++member) {
        Tensor other = *tensor;
        other.reals[element] += by;
        group[member].store.set(BindingKind::Weight, name, other);
      }
      return lossOf(group, batches);
    };
    if (!group[0].store.find(BindingKind::Gradient, name))
      continue; // the selection bias
    for (int64_t member = 0; member < (isSlice ? 1 : shape.members); ++member)
      sum += group[member].store.find(BindingKind::Gradient, name)->reals[element];
    double difference = (moved(step) - moved(-step)) / (2 * step);
    moved(0);
    EXPECT_NEAR(sum, difference, 1e-8) << name;
    ++checked;
  }
  EXPECT_GT(checked, 8u);
}

TEST(Group, RefusesOtherNumbersOfMembers) {
  Model parts({2, 4, 2}, true);
  ASSERT_TRUE(parts.valid);
  std::string error;
  ScopedDiagnosticHandler handler(&parts.context,
                                  [&](Diagnostic &diagnostic) { error = diagnostic.str(); });
  Interpreter alone(*parts.module);
  EXPECT_TRUE(failed(alone.execute(
      *parts.module->lookupSymbol<func::FuncOp>("evaluate").getOps<ExchangeOp>().begin(),
      *std::make_unique<Frame>(reference::Precision::F64))));
  EXPECT_EQ(error, "'hadal.exchange' op moves rows between ranks: expected a group of 2 members to "
                   "be interpreted together, found one rank");
}

TEST_P(ExpertParallel, EqualsOneRankInKernels) { compare(true); }

INSTANTIATE_TEST_SUITE_P(Layouts, ExpertParallel,
                         testing::Values(Shape{2, 4, 2}, Shape{2, 4, 1, 2, 3}, Shape{3, 6, 4, 2, 4},
                                         Shape{4, 8, 3, 1, 6, 2},
                                         Shape{4, 4, 2, 1, 4},         // one expert a member
                                         Shape{2, 4, 1, 1, 5, 1, {3}}, // one expert gets all tokens
                                         Shape{3, 6, 2, 1, 4, 1, {}, {2, 3}}, // a member gets none
                                         Shape{2, 6, 2, 2, 3, 1, {}, {0, 5, 3}}, // empty experts
                                         Shape{2, 4, 3, 1, 1, 0},                // one token
                                         Shape{2, 4, 4, 1, 3}),                  // every expert
                         label);

} // namespace
