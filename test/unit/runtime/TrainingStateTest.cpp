// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints over ranks: saved under one layout, resumed under another, bit for bit.

#include "runtime/checkpoint/Weights.h"
#include "runtime/train/TransportPeers.h"
#include "runtime/transport/LocalTransport.h"
#include "test/unit/runtime/TrainingStateFixture.h"

#include <random>

using namespace hadal::rt;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

TEST_F(TrainingStates, SavedUnderOneLayoutResumedUnderAnother) {
  const std::vector<TestLayout> layouts = {{"1f1b", 1, 1, 1, 8, 2},
                                           {"dualpipe", 2, 1, 1, 8, 2},
                                           {"dualpipe", 4, 2, 2, 4, 2},
                                           {"dualpipev", 2, 4, 4, 4, 1},
                                           {"zb1p", 1, 8, 8, 1, 2}};
  int step = 0;
  for (const TestLayout &from : layouts) {
    save(from, ++step);
    for (const TestLayout &to : layouts)
      EXPECT_EQ(wrongAfterResume(to, step), 0) << from.text() << " to " << to.text();
  }
  EXPECT_EQ(said, "");
}

TEST_F(TrainingStates, RandomLayouts) {
  std::mt19937 random(5);
  auto pick = [&](int count) { return int(random() % unsigned(count)); };
  TestLayout before;
  for (int step = 1; step <= 6; ++step) {
    TestLayout layout;
    const char *schedules[] = {"1f1b", "zb1p", "dualpipe", "dualpipev"};
    layout.schedule = schedules[pick(4)];
    layout.pipelineRanks = layout.schedule == "dualpipe" ? 2 : 1 + pick(3);
    layout.expertParallel = 1 << pick(3);
    layout.dataParallel = layout.expertParallel * (1 + pick(3));
    if (64 % layout.dataParallel)
      layout.dataParallel = layout.expertParallel;
    layout.sequences = 1;
    layout.microBatches = 64 / layout.dataParallel;
    if (step > 1)
      EXPECT_EQ(wrongAfterResume(layout, step - 1), 0) << before.text() << " to " << layout.text();
    save(layout, step, /*keep=*/2, /*shardBytes=*/100000 + pick(1000000));
    before = layout;
  }
  EXPECT_EQ(checkpointSteps(folder / "run"), (std::vector<std::int64_t>{5, 6}));
}

TEST_F(TrainingStates, OthersReadTheModelsWeights) {
  save({"dualpipe", 2, 4, 2}, 1, 0, 400000);
  Weights weights(folder / "run/step-000000001");
  auto bundle = make({});
  const Layout whole = Layout::whole(*bundle);
  for (const HeldTensor &tensor : whole.tensors()) {
    std::vector<float> values(std::size_t(tensor.elements));
    weights.read(tensor.name, values.data());
    EXPECT_EQ(wrong(values.data(), 10, tensor.name, 0, tensor.elements), 0) << tensor.name;
  }
}

TEST_F(TrainingStates, OneRankWritesWhatItAlwaysDid) {
  save({}, 1);
  FoundCheckpoint found = openCheckpoint(folder / "run/step-000000001");
  EXPECT_EQ(found.state["format"], 1);
  EXPECT_FALSE(found.state.contains("optimizer"));
  SafetensorsFile optimizer(folder / "run/step-000000001/optimizer.safetensors");
  EXPECT_EQ(optimizer.get("moment1.lm_head.weight").shape, (std::vector<std::int64_t>{300, 307}));
  EXPECT_TRUE(fs::exists(folder / "run/step-000000001/model.safetensors"));
  EXPECT_EQ(wrongAfterResume({}, 1, /*roles=*/false), 0);
}

TEST_F(TrainingStates, InitialValuesKnowNoLayout) {
  auto alone = make({});
  StateRank one(*alone, 0);
  initializeParameters(one.store, one.pool, one.layout);
  std::map<std::string, const float *> expected;
  for (const HeldTensor &tensor : one.layout.tensors())
    expected[tensor.name] = tensor.values(one.store);
  const TestLayout layout{"dualpipe", 2, 4, 4};
  auto bundle = make(layout);
  for (int r = 0; r < layout.ranks(); ++r) {
    StateRank rank(*bundle, r);
    initializeParameters(rank.store, rank.pool, rank.layout);
    for (const HeldTensor &tensor : rank.layout.tensors())
      EXPECT_EQ(std::memcmp(tensor.values(rank.store), expected[tensor.name],
                            std::size_t(tensor.elements) * sizeof(float)),
                0)
          << tensor.name;
  }
}

TEST_F(TrainingStates, RanksOfATransport) {
  const TestLayout layout{"dualpipe", 2, 2, 1};
  auto bundle = make(layout);
  LocalWorld world(layout.ranks());
  std::vector<std::thread> threads;
  for (int r = 0; r < layout.ranks(); ++r)
    threads.emplace_back([&, r] {
      TransportPeers peers(world.endpoint(r));
      StateRank rank(*bundle, r);
      rank.fillAll(10);
      writeCheckpoint(folder / "run", checkpointContent(rank.store, rank.layout, 1, 16), 0,
                      report(), peers);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrongAfterResume({"1f1b", 1, 1, 1, 8, 2}, 1), 0);
}

} // namespace
