// SPDX-License-Identifier: Apache-2.0
//
// Bundles for many ranks: every schedule and layout gives a table that can be proved; what a rank
// holds, in which groups, and how much room it has.

#include "codegen/Bundle/ExportBundle.h"
#include "frontend/BuildModel.h"
#include "passes/Pipelines/Pipelines.h"
#include "runtime/program/Header.h"
#include "runtime/program/Validate.h"
#include "test/unit/frontend/TestInputs.h"

#include "dialects/Pipe/Pipe.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace hadal;

namespace {

struct Grid {
  const char *schedule;
  int64_t ranks, microBatches, replicas = 1, members = 1, layers = 4, depths = 1;
  const char *overlap = "paper";
};

/// The table of a dry bundle.
class Exported {
public:
  explicit Exported(const Grid &grid) {
    context.loadDialect<HadalDialect, func::FuncDialect, pipe::PipeDialect>();
    auto number = [](int64_t value) { return std::to_string(value); };
    ModelSpec spec = test::validSpec({{"vocab_size", "1500"},
                                      {"num_hidden_layers", number(grid.layers)},
                                      {"num_nextn_predict_layers", number(grid.depths)}});
    std::string text = test::planText(
        {{"micro_batch", "{\"sequences\": 1, \"tokens\": 5}"},
         {"pipeline", "{\"ranks\": " + number(grid.ranks) + ", \"schedule\": \"" + grid.schedule +
                          "\", \"micro_batches\": " + number(grid.microBatches) +
                          ", \"overlap\": \"" + grid.overlap + "\"}"},
         {"data_parallel", number(grid.replicas)},
         {"expert_parallel", number(grid.members)},
         {"programs", "[\"train\", \"generate\", \"evaluate\"]"}});
    Checked<Plan> plan = usablePlan(text, "plan.json", spec, Purpose::DryRun);
    EXPECT_TRUE(bool(plan)) << (plan ? "" : plan.error().message());
    if (!plan)
      return;
    module = buildModel(context, spec, *plan, "cpu", "znver3", Purpose::DryRun);
    for (const PipelinePhase &phase : hadalPhases()) {
      PassManager manager(&context);
      phase.build(manager);
      if (!phase.makesCode && failed(manager.run(*module)))
        return;
    }
    llvm::raw_string_ostream stream(file);
    rt::BundleParts parts;
    if (succeeded(exportBundle(*module, stream)) && rt::openBundle(file, parts).empty())
      table = bundle::GetBundle(parts.table.data());
  }

  /// The holding of a parameter on a pipeline rank; null where it has none.
  const bundle::Holding *holding(uint32_t rank, const std::string &name) const {
    for (const bundle::Holding *each : *table->roles()->Get(rank)->holdings())
      if (table->parameters()->Get(each->parameter())->name()->str() == name)
        return each;
    return nullptr;
  }
  std::vector<uint32_t> ranksOf(const bundle::Holding *holding) const {
    if (holding->group() < 0)
      return {};
    const auto *ranks = table->groups()->Get(uint32_t(holding->group()))->pipeline_ranks();
    return {ranks->begin(), ranks->end()};
  }
  uint64_t bytes(int64_t storage) const {
    return table->storages()->Get(uint32_t(storage))->bytes();
  }

  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  std::string file;
  const bundle::Bundle *table = nullptr;
};

const std::string kEmbedding = "model.embed_tokens.weight", kHead = "lm_head.weight",
                  kExperts = "model.layers.1.mlp.experts.{expert}.up_proj.weight",
                  kNorm = "model.layers.1.input_layernorm.weight";

class EveryLayout : public testing::TestWithParam<Grid> {};

TEST_P(EveryLayout, IsProved) {
  Exported out(GetParam());
  ASSERT_TRUE(out.table);
  rt::Validation proof = rt::validate(*out.table);
  EXPECT_EQ(proof.error, "");
  const auto ranks = size_t(GetParam().ranks);
  ASSERT_EQ(out.table->roles()->size(), ranks);
  std::map<std::string, size_t> programs;
  for (const bundle::Program *program : *out.table->programs())
    ++programs[program->name()->str()];
  EXPECT_EQ(programs, (std::map<std::string, size_t>{{"decode", 1},
                                                     {"evaluate", ranks},
                                                     {"gradients", ranks},
                                                     {"prefill", 1},
                                                     {"update", ranks}}));
  // Every parameter is held, and trained where it is to be.
  for (const bundle::Parameter *parameter : *out.table->parameters()) {
    int holders = 0;
    for (uint32_t rank = 0; rank < ranks; ++rank)
      if (const bundle::Holding *holding = out.holding(rank, parameter->name()->str())) {
        ++holders;
        EXPECT_EQ(holding->gradient() >= 0, parameter->trained()) << parameter->name()->str();
        EXPECT_EQ(holding->moment1() >= 0, parameter->trained());
      }
    EXPECT_GT(holders, 0) << parameter->name()->str();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Bundles, EveryLayout,
    testing::Values(Grid{"1f1b", 1, 3}, Grid{"1f1b", 2, 3}, Grid{"1f1b", 3, 1},
                    Grid{"1f1b", 1, 2, 2}, Grid{"1f1b", 2, 2, 2, 2}, Grid{"1f1b", 6, 4},
                    Grid{"zb1p", 3, 5}, Grid{"zb1p", 2, 3, 4, 2}, Grid{"zb1p", 1, 2, 2, 2},
                    Grid{"dualpipe", 2, 4}, Grid{"dualpipe", 4, 8}, Grid{"dualpipe", 4, 10, 2, 2},
                    Grid{"dualpipe", 2, 6, 2, 2, 4, 2, "searched"},
                    Grid{"dualpipe", 2, 4, 2, 2, 5, 0, "none"}, Grid{"dualpipev", 1, 2},
                    Grid{"dualpipev", 2, 5}, Grid{"dualpipev", 2, 4, 4, 4, 4, 2},
                    Grid{"dualpipev", 2, 4, 2, 2, 4, 1, "searched"}));

TEST(BundleRanks, OneRankHoldsEverythingWhole) {
  Exported out({"1f1b", 1, 2});
  ASSERT_TRUE(out.table);
  const bundle::Holding *holding = out.holding(0, kExperts);
  ASSERT_TRUE(holding);
  EXPECT_EQ(holding->group(), -1);
  EXPECT_EQ(holding->experts(), 16);
  EXPECT_EQ(holding->shard_elements(), holding->elements());
  const bundle::Parameter *parameter = out.table->parameters()->Get(holding->parameter());
  EXPECT_EQ(holding->storage(), parameter->storage());
  EXPECT_EQ(holding->gradient(), parameter->gradient());
  EXPECT_EQ(out.table->groups() ? out.table->groups()->size() : 0, 0u);
}

TEST(BundleRanks, BothEndsHoldTheEmbedding) {
  Exported out({"1f1b", 2, 3});
  ASSERT_TRUE(out.table);
  const bundle::Holding *first = out.holding(0, kEmbedding), *last = out.holding(1, kEmbedding);
  ASSERT_TRUE(first && last);
  EXPECT_EQ(out.ranksOf(first), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(out.ranksOf(last), (std::vector<uint32_t>{0, 1}));
  // 1,500 x 48 elements are two blocks: one each.
  EXPECT_EQ(first->elements(), 72000);
  EXPECT_EQ(first->shard_elements(), 65536);
  EXPECT_EQ(out.bytes(first->storage()), 2 * 65536 * 4u);
  EXPECT_EQ(out.bytes(first->gradient()), 2 * 65536 * 4u);
  EXPECT_EQ(out.bytes(first->moment1()), 65536 * 4u);
  EXPECT_FALSE(out.holding(0, kHead));
  ASSERT_TRUE(out.holding(1, kHead));
  EXPECT_EQ(out.holding(1, kHead)->group(), -1);
}

TEST(BundleRanks, CopiesOfTheOtherDirection) {
  Exported out({"dualpipe", 4, 8});
  ASSERT_TRUE(out.table);
  for (uint32_t rank : {0, 3}) {
    ASSERT_TRUE(out.holding(rank, kHead) && out.holding(rank, kEmbedding));
    EXPECT_EQ(out.ranksOf(out.holding(rank, kEmbedding)), (std::vector<uint32_t>{0, 3}));
    // Direction 0 ends on the last rank.
    EXPECT_EQ(out.ranksOf(out.holding(rank, kHead)), (std::vector<uint32_t>{3, 0}));
    EXPECT_FALSE(out.holding(rank == 0 ? 1 : 2, kHead));
  }
}

TEST(BundleRanks, MembersHoldSlicesOfTheExperts) {
  Exported out({"1f1b", 1, 2, 4, 2});
  ASSERT_TRUE(out.table);
  const bundle::Holding *experts = out.holding(0, kExperts), *norm = out.holding(0, kNorm);
  ASSERT_TRUE(experts && norm);
  EXPECT_EQ(experts->experts(), 8);
  EXPECT_EQ(experts->elements(), 8 * 24 * 48);
  EXPECT_EQ(out.table->groups()->Get(uint32_t(experts->group()))->scope(),
            bundle::GroupScope::expert_holders);
  // Two of the four replicas have the same experts; less than a block, so that the first has all.
  EXPECT_EQ(experts->shard_elements(), experts->elements());
  EXPECT_EQ(out.bytes(experts->storage()), uint64_t(2 * experts->elements() * 4));
  EXPECT_EQ(out.bytes(norm->storage()), 4 * 48 * 4u);
  // Generation has all experts, in memory of its own.
  const bundle::Parameter *whole = out.table->parameters()->Get(experts->parameter());
  EXPECT_NE(whole->storage(), experts->storage());
  EXPECT_EQ(out.bytes(whole->storage()), 16 * 24 * 48 * 4u);
  EXPECT_EQ(whole->gradient(), -1);
}

} // namespace
