// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints over ranks: saved under one layout, resumed under another, bit for bit; a rank that
// stops while it saves; what is refused.

#include "runtime/train/TrainingState.h"
#include "runtime/checkpoint/CheckpointFolders.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/support/Json.h"
#include "runtime/support/Random.h"
#include "runtime/train/TransportPeers.h"
#include "runtime/transport/LocalTransport.h"
#include "test/unit/runtime/HandMadeBundle.h"
#include "test/unit/runtime/TestFolder.h"
#include "test/unit/runtime/ThreadPeers.h"

#include <cstring>
#include <random>

using namespace hadal::rt;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// Bits that only (kind, tensor, element) decide: any finite float.
float valueOf(std::uint64_t kindAndName, std::int64_t element) {
  std::uint64_t mixed = (kindAndName + std::uint64_t(element)) * 0x9E3779B97F4A7C15;
  std::uint32_t bits = std::uint32_t(mixed >> 32);
  if ((bits & 0x7F800000u) == 0x7F800000u)
    bits ^= 0x00800000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

std::uint64_t keyOf(int kind, const std::string &name) {
  return hashName(name) + std::uint64_t(kind) * 0xBF58476D1CE4E5B9;
}

void fill(float *out, int kind, const std::string &name, std::int64_t begin, std::int64_t end) {
  const std::uint64_t key = keyOf(kind, name);
  for (std::int64_t i = begin; i < end; ++i)
    out[i - begin] = valueOf(key, i);
}

/// The number of elements that are not what fill() writes.
std::int64_t wrong(const float *values, int kind, const std::string &name, std::int64_t begin,
                   std::int64_t end) {
  std::int64_t count = 0;
  const std::uint64_t key = keyOf(kind, name);
  for (std::int64_t i = begin; i < end; ++i) {
    float expected = valueOf(key, i);
    count += std::memcmp(&values[i - begin], &expected, sizeof expected) != 0;
  }
  return count;
}

/// One rank with its memory.
struct Rank {
  Rank(const Bundle &bundle, int rank) : layout(bundle, rank), store(bundle), pool(1) {}

  void fillAll(int salt) {
    for (const HeldTensor &tensor : layout.tensors()) {
      fill(tensor.values(store), salt, tensor.name, 0, tensor.elements);
      if (tensor.moment1Storage < 0)
        continue;
      fill(tensor.moment1(store), salt + 1, tensor.name, tensor.begin, tensor.end);
      fill(tensor.moment2(store), salt + 2, tensor.name, tensor.begin, tensor.end);
    }
  }
  std::int64_t wrongElements(int salt) {
    std::int64_t count = 0;
    for (const HeldTensor &tensor : layout.tensors()) {
      count += wrong(tensor.values(store), salt, tensor.name, 0, tensor.elements);
      if (tensor.moment1Storage < 0)
        continue;
      count += wrong(tensor.moment1(store), salt + 1, tensor.name, tensor.begin, tensor.end);
      count += wrong(tensor.moment2(store), salt + 2, tensor.name, tensor.begin, tensor.end);
    }
    return count;
  }

  Layout layout;
  Store store;
  ThreadPool pool;
};

class TrainingStates : public testing::Test {
protected:
  std::unique_ptr<Bundle> make(const TestLayout &layout, bool roles = true) {
    const std::string path = folder / ("b" + std::to_string(made++) + ".hadal");
    writeHandMadeBundle(path, layout, roles);
    return std::make_unique<Bundle>(path, /*execute=*/false);
  }
  Report report() {
    return [this](const std::string &line) { said += line + "\n"; };
  }
  void save(const Bundle &bundle, const TestLayout &layout, int step, ThreadWorld &world,
            std::int64_t keep = 0, std::int64_t shardBytes = std::int64_t(5) << 30) {
    (void)layout;
    world.run([&](Peers &peers) {
      Rank rank(bundle, peers.rank());
      rank.fillAll(step * 10);
      writeCheckpoint(folder / "run", checkpointContent(rank.store, rank.layout, step, 16 * step),
                      keep, report(), peers, shardBytes);
    });
  }
  void save(const TestLayout &layout, int step, std::int64_t keep = 0,
            std::int64_t shardBytes = std::int64_t(5) << 30) {
    auto bundle = make(layout);
    ThreadWorld world(layout.ranks());
    save(*bundle, layout, step, world, keep, shardBytes);
  }
  /// Resumes under a layout and says how many elements are not those of `step`.
  std::int64_t wrongAfterResume(const TestLayout &layout, int step, bool roles = true) {
    auto bundle = make(layout, roles);
    ThreadWorld world(layout.ranks());
    std::atomic<std::int64_t> count{0};
    world.run([&](Peers &peers) {
      auto found = findLatestCheckpoint(folder / "run", report(), peers);
      if (!found || found->step != step || rowsUsed(*found) != 16 * step)
        throw RunError("the checkpoint of step " + std::to_string(step) + " was not found");
      Rank rank(*bundle, peers.rank());
      restore(rank.store, rank.pool, rank.layout, *found);
      count += rank.wrongElements(step * 10);
    });
    return count;
  }
  TestFolder folder;
  std::string said;
  int made = 0;
};

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
  Rank one(*alone, 0);
  initializeParameters(one.store, one.pool, one.layout);
  std::map<std::string, const float *> expected;
  for (const HeldTensor &tensor : one.layout.tensors())
    expected[tensor.name] = tensor.values(one.store);
  const TestLayout layout{"dualpipe", 2, 4, 4};
  auto bundle = make(layout);
  for (int r = 0; r < layout.ranks(); ++r) {
    Rank rank(*bundle, r);
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
      Rank rank(*bundle, r);
      rank.fillAll(10);
      writeCheckpoint(folder / "run", checkpointContent(rank.store, rank.layout, 1, 16), 0,
                      report(), peers);
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrongAfterResume({"1f1b", 1, 1, 1, 8, 2}, 1), 0);
}

TEST_F(TrainingStates, ARankThatStopsWhileItSavesLosesNothing) {
  const TestLayout layout{"dualpipe", 2, 2, 2};
  auto bundle = make(layout);
  save(layout, 1);
  bool completed = false;
  for (int stopped : {0, 3})
    for (int call = 0;; ++call) {
      SCOPED_TRACE("rank " + std::to_string(stopped) + " call " + std::to_string(call));
      ThreadWorld world(layout.ranks());
      world.stopAt(stopped, call);
      bool stops = true;
      try {
        save(*bundle, layout, 2, world);
        stops = false;
      } catch (const RunError &) {
      }
      auto found = findLatestCheckpoint(folder / "run", report());
      ASSERT_TRUE(found);
      // Rank 0 may have committed before the others heard of it.
      EXPECT_EQ(wrongAfterResume(layout, int(found->step)), 0);
      if (found->step == 2) {
        fs::remove_all(folder / "run/step-000000002");
        completed = true;
      }
      if (!stops)
        break;
    }
  EXPECT_TRUE(completed);
  save(layout, 3);
  EXPECT_THAT(said, HasSubstr("was left by a save that did not finish; removed"));
  for (const auto &entry : fs::directory_iterator(folder / "run"))
    EXPECT_EQ(entry.path().filename().string().find(".tmp"), std::string::npos);
  EXPECT_EQ(wrongAfterResume({"1f1b", 2, 4, 1, 2}, 3), 0);
}

TEST_F(TrainingStates, TemporariesOfOthersStay) {
  fs::create_directories(folder / "run/.step-000000001.tmp-1"); // process 1 is always there
  fs::create_directories(folder / "run/.step-1.tmp-mine");
  save({}, 2);
  EXPECT_TRUE(fs::exists(folder / "run/.step-000000001.tmp-1"));
  EXPECT_TRUE(fs::exists(folder / "run/.step-1.tmp-mine"));
}

TEST_F(TrainingStates, AFailureOfOneRankIsThatOfAll) {
  const TestLayout layout{"1f1b", 1, 3, 1};
  auto bundle = make(layout);
  ThreadWorld world(layout.ranks());
  std::atomic<int> threw{0};
  world.run([&](Peers &peers) {
    Rank rank(*bundle, peers.rank());
    CheckpointContent content = checkpointContent(rank.store, rank.layout, 1, 16);
    if (peers.rank() == 1)
      content.model.insert(content.model.end(), 2, {"twice", DType::F32, {}, &content});
    try {
      writeCheckpoint(folder / "run", content, 0, report(), peers);
    } catch (const RunError &error) {
      EXPECT_THAT(error.what(), HasSubstr("rank 1: "));
      EXPECT_THAT(error.what(), HasSubstr("twice"));
      ++threw;
    }
  });
  EXPECT_EQ(threw, 3);
  EXPECT_TRUE(checkpointSteps(folder / "run").empty());
}

TEST_F(TrainingStates, SharesThatDoNotFitTogetherAreNoCheckpoint) {
  const TestLayout layout{"1f1b", 1, 2, 1};
  auto bundle = make(layout);
  auto messageOf = [&](const std::function<void(int, CheckpointContent &)> &change) {
    ThreadWorld world(layout.ranks());
    std::string message;
    try {
      world.run([&](Peers &peers) {
        Rank rank(*bundle, peers.rank());
        CheckpointContent content = checkpointContent(rank.store, rank.layout, 1, 16);
        change(peers.rank(), content);
        writeCheckpoint(folder / "run", content, 0, report(), peers);
      });
    } catch (const RunError &error) {
      message = error.what();
    }
    EXPECT_TRUE(checkpointSteps(folder / "run").empty());
    return message;
  };
  EXPECT_THAT(messageOf([](int rank, CheckpointContent &content) {
                if (rank == 1)
                  content.optimizer.erase(content.optimizer.begin());
              }),
              HasSubstr("tensor moment1.model.embed_tokens.weight: ranks write 131072 elements of "
                        "210300"));
  EXPECT_THAT(messageOf([](int rank, CheckpointContent &content) {
                if (rank == 1)
                  content.optimizer[1].begin += 1;
              }),
              HasSubstr("tensor moment2.model.embed_tokens.weight: the parts that ranks write do "
                        "not fit together at element 131072"));
  EXPECT_THAT(messageOf([](int rank, CheckpointContent &content) {
                if (rank == 0)
                  content.model.erase(content.model.begin());
              }),
              HasSubstr("tensor model.embed_tokens.weight: no rank writes it"));
  EXPECT_THAT(messageOf([](int rank, CheckpointContent &content) {
                static const float one = 1;
                if (rank == 1)
                  content.model.push_back({"model.norm.weight", DType::F32, {1}, &one});
              }),
              HasSubstr("tensor model.norm.weight: is written by two ranks"));
}

class DamagedParts : public TrainingStates {
protected:
  void SetUp() override {
    save({"1f1b", 1, 2, 1}, 1);
    stateFile = folder / "run/step-000000001/state.json";
    original = parseJson(readFile(stateFile), stateFile);
  }
  /// The message of a resume after `change` of state.json, whose checksum fits.
  std::string refusalAfter(const std::function<void(nlohmann::json &)> &change) {
    nlohmann::json state = original;
    state.erase("checksum");
    change(state);
    state["checksum"] = stateChecksum(state);
    folder.write("run/step-000000001/state.json", state.dump());
    return refusal([&] { wrongAfterResume({"1f1b", 1, 4, 1, 2}, 1); });
  }
  std::string stateFile;
  nlohmann::json original;
  const std::string moment = "moment1.model.embed_tokens.weight";
};

TEST_F(DamagedParts, AreRefusedByName) {
  EXPECT_EQ(original["optimizer"][moment].size(), 2u);
  EXPECT_THAT(refusalAfter([&](auto &state) { state["optimizer"].erase(moment); }),
              HasSubstr("optimizer tensor " + moment + ": is missing"));
  EXPECT_THAT(refusalAfter([&](auto &state) { state["optimizer"][moment].erase(1); }),
              HasSubstr("optimizer tensor " + moment +
                        ": its parts end at, overlap or leave a gap at element 131072 of 210300"));
  EXPECT_THAT(refusalAfter([&](auto &state) { state["optimizer"][moment][1][1] = 131071; }),
              HasSubstr("at element 131072 of 210300"));
  EXPECT_THAT(refusalAfter([&](auto &state) { state["optimizer"][moment][1][0] = "x"; }),
              HasSubstr(moment + ": x is no file of this checkpoint"));
  EXPECT_THAT(refusalAfter([&](auto &state) { state["optimizer"][moment][1] = 5; }),
              HasSubstr("expected parts [file, begin, end]"));
  EXPECT_THAT(refusalAfter([&](auto &state) {
                auto &parts = state["optimizer"][moment];
                std::swap(parts[0][0], parts[1][0]);
              }),
              HasSubstr("tensor " + moment + "[0:131072]: is missing"));
}

TEST_F(DamagedParts, NewerFormatsAreSkipped) {
  nlohmann::json state = original;
  state.erase("checksum");
  state["format"] = 3;
  state["checksum"] = stateChecksum(state);
  folder.write("run/step-000000001/state.json", state.dump());
  EXPECT_FALSE(findLatestCheckpoint(folder / "run", report()));
  EXPECT_THAT(said, HasSubstr("has format 3; this program reads formats 1 and 2"));
}

TEST_F(DamagedParts, FilesAreCheckedByAllRanksTogether) {
  save({"1f1b", 1, 2, 1}, 2);
  for (const auto &entry : fs::directory_iterator(folder / "run/step-000000002")) {
    const std::string file = entry.path().string(), whole = readFile(file);
    std::string damaged = whole;
    damaged[damaged.size() / 2] ^= 1;
    const std::string name = "run/step-000000002/" + entry.path().filename().string();
    folder.write(name, damaged);
    said.clear();
    EXPECT_EQ(wrongAfterResume({"1f1b", 1, 4, 1, 2}, 1), 0) << file;
    EXPECT_THAT(said, HasSubstr("skipped: "));
    EXPECT_THAT(said, HasSubstr(entry.path().filename().string()));
    folder.write(name, whole);
  }
  EXPECT_EQ(wrongAfterResume({"1f1b", 1, 4, 1, 2}, 2), 0);
}

TEST_F(TrainingStates, AnotherTrainingIsRefused) {
  save({"1f1b", 2, 2, 1, 4, 2}, 1);
  EXPECT_THAT(refusal([&] { wrongAfterResume({"1f1b", 2, 2, 1, 8, 2}, 1); }),
              HasSubstr("plan.json: differs from the bundle's plan.json: rows of a step "
                        "(micro_batches x data_parallel x sequences): 16 in the checkpoint, 32 in "
                        "the bundle"));
}

TEST(ComparePlans, LayoutMayDifferAndNothingElse) {
  const std::string plan =
      R"({"micro_batch": {"sequences": 2, "tokens": 8}, "seed": 1,
          "pipeline": {"ranks": 2, "schedule": "dualpipe", "micro_batches": 8, "stages": [1, 2]},
          "optimizer": {"clip_norm": 1.0}})";
  EXPECT_EQ(comparePlans(plan, plan), "");
  EXPECT_EQ(comparePlans(plan, R"({"micro_batch": {"sequences": 1, "tokens": 8}, "seed": 1,
      "data_parallel": 16, "expert_parallel": 4, "programs": ["train"], "recompute": ["norms"],
      "optimizer": {"clip_norm": 1.0}})"),
            "");
  EXPECT_EQ(
      comparePlans(plan, R"({"micro_batch": {"sequences": 1, "tokens": 8}, "seed": 1,
      "data_parallel": 8, "optimizer": {"clip_norm": 1.0}})"),
      "rows of a step (micro_batches x data_parallel x sequences): 16 in the checkpoint, 8 in "
      "the bundle");
  EXPECT_EQ(comparePlans(plan, R"({"micro_batch": {"sequences": 16, "tokens": 8}, "seed": 1,
      "optimizer": {"clip_norm": 0.5}})"),
            "optimizer.clip_norm: 1.0 in the checkpoint, 0.5 in the bundle");
  EXPECT_EQ(comparePlans(plan, R"({"micro_batch": {"sequences": 16, "tokens": 9}, "seed": 1,
      "optimizer": {"clip_norm": 1.0}})"),
            "micro_batch.tokens: 8 in the checkpoint, 9 in the bundle");
  EXPECT_EQ(comparePlans(plan, R"({"micro_batch": {"sequences": 16, "tokens": 8},
      "optimizer": {"clip_norm": 1.0}})"),
            "seed: 1 in the checkpoint, left out in the bundle");
  EXPECT_EQ(comparePlans(plan, R"({"micro_batch": {"sequences": 16, "tokens": 8}, "seed": 1,
      "precision": "bf16", "optimizer": {"clip_norm": 1.0}})"),
            "precision: left out in the checkpoint, \"bf16\" in the bundle");
  const std::string phases = R"({"micro_batch": {"sequences": 2, "tokens": 8}, "data_parallel": 2,
      "pipeline": {"micro_batches": [{"steps": 5, "value": 1}, {"value": 4}]}})";
  EXPECT_EQ(comparePlans(phases, R"({"micro_batch": {"sequences": 1, "tokens": 8},
      "data_parallel": 4, "pipeline": {"micro_batches": [{"steps": 5, "value": 1}, {"value": 4}]}})"),
            "");
  EXPECT_THAT(comparePlans(phases, R"({"micro_batch": {"sequences": 2, "tokens": 8},
      "data_parallel": 4, "pipeline": {"micro_batches": [{"steps": 5, "value": 1}, {"value": 4}]}})"),
              HasSubstr("rows of a step"));
}

} // namespace
