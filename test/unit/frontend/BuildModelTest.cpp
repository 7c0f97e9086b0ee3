// SPDX-License-Identifier: Apache-2.0
//
// The module of a spec and a plan: bindings, programs, and every choice that changes them.

#include "frontend/BuildModel.h"
#include "dialects/Hadal/Hadal.h"
#include "frontend/WeightNames.h"
#include "test/unit/frontend/TestInputs.h"

#include "mlir/IR/Verifier.h"

#include <map>
#include <set>

using namespace hadal;
using namespace hadal::test;
using namespace mlir;

namespace {

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// The module of a spec and a plan, verified.
struct Built {
  MLIRContext context;
  OwningOpRef<ModuleOp> module;

  explicit Built(const ModelSpec &spec, const Fields &planChanges = {}) {
    Checked<Plan> plan = usablePlan(planText(planChanges), "plan.json", spec);
    EXPECT_TRUE(bool(plan)) << (plan ? "" : plan.error().message());
    if (!plan)
      return;
    EXPECT_FALSE(checkSizes(spec, *plan).has_value());
    module = buildModel(context, spec, *plan, "cpu", "znver3");
    EXPECT_TRUE(succeeded(verify(*module)));
  }

  func::FuncOp function(StringRef name) { return module->lookupSymbol<func::FuncOp>(name); }

  /// What a program binds of one kind: names and shapes.
  Shapes bound(StringRef program, BindingKind kind) {
    Shapes shapes;
    function(program).walk([&](ApplyOp apply) {
      func::FuncOp component = function(apply.getComponent());
      for (unsigned i = 0; i < component.getNumArguments(); ++i)
        if (BindingAttr binding = bindingOf(component, i); binding && binding.getKind() == kind) {
          auto type = cast<RankedTensorType>(component.getArgumentTypes()[i]);
          std::vector<int64_t> shape = type.getShape();
          auto [at, added] = shapes.emplace(boundName(binding, apply), shape);
          EXPECT_EQ(at->second, shape) << at->first;
        }
    });
    return shapes;
  }

  std::set<std::string> outputs(StringRef program) {
    std::set<std::string> names;
    function(program).walk(
        [&](OutputOp output) { EXPECT_TRUE(names.insert(output.getName().str()).second); });
    return names;
  }

  /// The only op of a type in a component.
  template <typename OpTy> OpTy only(StringRef component) {
    OpTy found;
    function(component).walk([&](OpTy op) {
      EXPECT_FALSE(found);
      found = op;
    });
    EXPECT_TRUE(found);
    return found;
  }
};

Shapes parameterShapes(const ModelSpec &spec, bool multiToken) {
  Shapes shapes;
  for (const ParameterInfo &info : parameters(spec))
    if (multiToken || info.layer < spec.numHiddenLayers)
      shapes[info.name] = info.shape;
  return shapes;
}

TEST(BuildModel, ProgramsBindEveryParameter) {
  const std::vector<Fields> configs = {
      {},
      {{"q_lora_rank", "null"}},
      {{"n_shared_experts", "0"}},
      {{"first_k_dense_replace", "0"}, {"num_nextn_predict_layers", "3"}},
      {{"first_k_dense_replace", "2"}, {"num_nextn_predict_layers", "0"}},
  };
  for (const Fields &config : configs) {
    ModelSpec spec = validSpec(config);
    Built built(spec);
    EXPECT_EQ(built.bound("evaluate", BindingKind::Weight), parameterShapes(spec, true));
    EXPECT_EQ(built.bound("prefill", BindingKind::Weight), parameterShapes(spec, false));
    EXPECT_EQ(built.bound("decode", BindingKind::Weight), parameterShapes(spec, false));
  }
}

TEST(BuildModel, ReferenceCases) {
  for (const char *name : {"dense", "groups", "mtp", "mtp-two-depths", "odd-sizes", "one-token",
                           "plain-query", "training", "yarn", "yarn-amplitude"}) {
    std::string folder = testPath(std::string("oracle/") + name);
    MLIRContext context;
    auto module = importModel(context, folder + "/config.json", folder + "/plan.json", "cpu", "x");
    ASSERT_TRUE(succeeded(module)) << name;
    EXPECT_TRUE(succeeded(verify(**module))) << name;
  }
}

TEST(BuildModel, StatesAndScalars) {
  Built built(validSpec());
  EXPECT_EQ(built.bound("evaluate", BindingKind::State),
            (Shapes{{"counts.1", {16}}, {"counts.2", {16}}}));
  EXPECT_EQ(built.bound("evaluate", BindingKind::Scalar), Shapes());
  EXPECT_EQ(built.bound("evaluate", BindingKind::Constant),
            (Shapes{{"rotary_cos", {128, 4}}, {"rotary_sin", {128, 4}}}));
  for (const char *program : {"prefill", "decode"}) {
    EXPECT_EQ(built.bound(program, BindingKind::State),
              (Shapes{{"cache.0", {2, 64, 32}}, {"cache.1", {2, 64, 32}}, {"block_table", {2}}}));
    EXPECT_EQ(built.bound(program, BindingKind::Scalar), (Shapes{{"position", {}}, {"valid", {}}}));
  }
}

TEST(BuildModel, TablesEndWithACacheBlock) {
  Built built(validSpec({{"max_position_embeddings", "65"}}));
  EXPECT_EQ(built.bound("prefill", BindingKind::Constant),
            (Shapes{{"rotary_cos", {128, 4}}, {"rotary_sin", {128, 4}}}));
  EXPECT_EQ(built.bound("decode", BindingKind::State)["cache.0"],
            (std::vector<int64_t>{2, 64, 32}));
}

TEST(BuildModel, Outputs) {
  Built built(validSpec());
  EXPECT_EQ(built.outputs("evaluate"),
            (std::set<std::string>{"logits", "main_loss", "mtp_logits.1", "mtp_loss.1", "experts.1",
                                   "experts.2", "expert_weights.1", "expert_weights.2", "counts.1",
                                   "counts.2", "balance_loss.1", "balance_loss.2"}));
  EXPECT_EQ(built.outputs("prefill"), std::set<std::string>{"logits"});
  EXPECT_EQ(built.outputs("decode"), std::set<std::string>{"logits"});
}

TEST(BuildModel, NoBalanceLossWithoutWeight) {
  Built built(validSpec({{"aux_loss_alpha", "0.0"}}));
  EXPECT_EQ(built.outputs("evaluate").count("balance_loss.1"), 0u);
  built.module->walk([](SequenceBalanceOp op) { FAIL(); });
  // The plan has the last word.
  Built again(validSpec({{"aux_loss_alpha", "0.0"}}),
              {{"router", "{\"sequence_balance_alpha\": 0.5}"}});
  EXPECT_EQ(again.only<SequenceBalanceOp>("attn_moe").getAlpha().convertToDouble(), 0.5);
}

TEST(BuildModel, ProgramsOfThePlan) {
  struct Case {
    const char *programs;
    bool evaluate, generate;
  };
  for (const Case &one :
       {Case{"[\"train\"]", true, false}, Case{"[\"evaluate\"]", true, false},
        Case{"[\"generate\"]", false, true}, Case{"[\"train\", \"generate\"]", true, true}}) {
    Built built(validSpec(), {{"programs", one.programs}});
    EXPECT_EQ(bool(built.function("evaluate")), one.evaluate) << one.programs;
    EXPECT_EQ(bool(built.function("prefill")), one.generate) << one.programs;
    EXPECT_EQ(bool(built.function("decode")), one.generate) << one.programs;
  }
}

TEST(BuildModel, LossesAndTheirSeeds) {
  Built built(validSpec());
  auto seedOf = [&](StringRef name, unsigned result) {
    auto seed = built.function(name).getResultAttrOfType<StringAttr>(result, kSeedAttr);
    return seed ? seed.getValue() : StringRef("none");
  };
  EXPECT_EQ(seedOf("head_loss", 0), "seed.main");
  EXPECT_EQ(seedOf("head_loss", 1), "none");
  EXPECT_EQ(seedOf("mtp1_head_loss", 0), "seed.mtp");
  EXPECT_EQ(seedOf("attn_moe", 8), "seed.balance");
  EXPECT_EQ(seedOf("mtp1_attn_moe", 8), "seed.balance");
}

TEST(BuildModel, DepthsOfMultiToken) {
  Built built(validSpec({{"num_nextn_predict_layers", "2"}}));
  for (int64_t depth : {1, 2}) {
    std::string prefix = "mtp" + std::to_string(depth) + "_";
    auto embedding = built.only<EmbeddingOp>(prefix + "join");
    EXPECT_EQ(int64_t(embedding.getOffset()), depth);
    EXPECT_EQ(int64_t(embedding.getTokens()), 17 - depth);
    auto loss = built.only<CrossEntropyOp>(prefix + "head_loss");
    EXPECT_EQ(int64_t(loss.getOffset()), depth + 1);
    EXPECT_EQ(loss.getDivisor(), 2u * 17u);
    // Depth 1 takes the final-normed state of all positions, depth 2 that of depth 1.
    auto join = built.only<MtpJoinOp>(prefix + "join");
    EXPECT_EQ(join.getHidden().getType().getDimSize(1), depth == 1 ? 17 : 16);
  }
  EXPECT_EQ(built.only<CrossEntropyOp>("head_loss").getOffset(), 1u);
}

/// Which component made the hidden state that the first depth joins.
StringRef joined(Built &built) {
  StringRef maker;
  built.function("evaluate").walk([&](ApplyOp apply) {
    if (apply.getComponent() == "mtp1_join")
      maker = apply.getInputs()[1].getDefiningOp<ApplyOp>().getComponent();
  });
  return maker;
}

TEST(BuildModel, ChoicesOfMultiToken) {
  ModelSpec spec = validSpec();
  Built usual(spec);
  EXPECT_EQ(joined(usual), "final_norm");
  EXPECT_EQ(usual.only<MtpJoinOp>("mtp1_join").getHalfOrder(), HalfOrder::EmbeddingFirst);
  spec.mtpInput = MtpInput::Raw;
  spec.mtpHalfOrder = MtpHalfOrder::HiddenFirst;
  spec.mtpLossNormalisation = MtpLossNormalisation::Valid;
  Built other(spec);
  EXPECT_EQ(joined(other), "mlp_moe");
  EXPECT_EQ(other.only<MtpJoinOp>("mtp1_join").getHalfOrder(), HalfOrder::HiddenFirst);
  EXPECT_EQ(other.only<CrossEntropyOp>("mtp1_head_loss").getDivisor(), 2u * 16u);
  EXPECT_EQ(other.only<CrossEntropyOp>("head_loss").getDivisor(), 2u * 17u);
}

TEST(BuildModel, NumbersOfTheConfig) {
  ModelSpec spec = validSpec({{"rms_norm_eps", "1e-05"}, {"norm_topk_prob", "false"}});
  spec.latentNormEps = 1e-3;
  spec.topkWeightSumEps = 0.5;
  Built built(spec);
  std::vector<double> epsilons;
  built.function("attn_moe").walk([&](RmsNormOp op) {
    epsilons.push_back(op.getEpsilon().convertToDouble());
  });
  EXPECT_EQ(epsilons, (std::vector<double>{1e-5, 1e-3, 1e-3, 1e-5}));
  auto route = built.only<RouteOp>("attn_moe");
  EXPECT_EQ(route.getEpsilon().convertToDouble(), 0.5);
  EXPECT_EQ(route.getScalingFactor().convertToDouble(), 2.5);
  EXPECT_FALSE(route.getNormalize());
  EXPECT_EQ(route.getGroups(), 4u);
  EXPECT_EQ(route.getKeptGroups(), 2u);
  EXPECT_EQ(built.only<AttentionOp>("attn_moe").getScale().convertToDouble(), spec.softmaxScale());
  EXPECT_EQ(built.only<CachedAttentionOp>("attn_moe_decode").getScale().convertToDouble(),
            spec.softmaxScale());
}

TEST(BuildModel, TheCacheIsUpdatedInPlace) {
  Built built(validSpec());
  func::FuncOp component = built.function("attn_moe_prefill");
  unsigned cache = component.getNumResults() - 1;
  int64_t argument = updatedArgument(component, cache);
  ASSERT_GE(argument, 0);
  EXPECT_EQ(bindingOf(component, argument).getName(), "cache.{layer}");
  for (unsigned result = 0; result < cache; ++result)
    EXPECT_EQ(updatedArgument(component, result), -1) << result;
}

TEST(BuildModel, RefusesTensorsThatCannotBeCounted) {
  ModelSpec spec = validSpec({{"num_attention_heads", "1000000"},
                              {"num_key_value_heads", "1000000"},
                              {"qk_nope_head_dim", "1000"},
                              {"max_position_embeddings", "1000000"}});
  Checked<Plan> plan = usablePlan(
      planText({{"micro_batch", "{\"sequences\": 500, \"tokens\": 1000000}"}}), "plan.json", spec);
  ASSERT_TRUE(bool(plan)) << plan.error().message();
  std::optional<InputError> error = checkSizes(spec, *plan);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->place, "micro_batch");
}

} // namespace
