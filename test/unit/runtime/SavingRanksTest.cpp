// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints over ranks when something goes wrong: a rank that stops or fails while it saves,
// shares that do not fit, parts that are damaged, folders that not all ranks see.

#include "runtime/checkpoint/CheckpointFolders.h"
#include "runtime/support/Json.h"
#include "test/unit/runtime/TrainingStateFixture.h"

using namespace hadal::rt;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

using SavingRanks = TrainingStates;

TEST_F(SavingRanks, ARankThatStopsWhileItSavesLosesNothing) {
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

TEST_F(SavingRanks, TemporariesOfOthersStay) {
  fs::create_directories(folder / "run/.step-000000001.tmp-1"); // process 1 is always there
  fs::create_directories(folder / "run/.step-1.tmp-mine");
  save({}, 2);
  EXPECT_TRUE(fs::exists(folder / "run/.step-000000001.tmp-1"));
  EXPECT_TRUE(fs::exists(folder / "run/.step-1.tmp-mine"));
}

TEST_F(SavingRanks, AFailureOfOneRankIsThatOfAll) {
  const TestLayout layout{"1f1b", 1, 3, 1};
  auto bundle = make(layout);
  ThreadWorld world(layout.ranks());
  std::atomic<int> threw{0};
  world.run([&](Peers &peers) {
    StateRank rank(*bundle, peers.rank());
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

TEST_F(SavingRanks, SharesThatDoNotFitTogetherAreNoCheckpoint) {
  const TestLayout layout{"1f1b", 1, 2, 1};
  auto bundle = make(layout);
  auto messageOf = [&](const std::function<void(int, CheckpointContent &)> &change) {
    ThreadWorld world(layout.ranks());
    std::string message;
    try {
      world.run([&](Peers &peers) {
        StateRank rank(*bundle, peers.rank());
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

TEST_F(SavingRanks, AnotherTrainingIsRefused) {
  save({"1f1b", 2, 2, 1, 4, 2}, 1);
  EXPECT_THAT(refusal([&] { wrongAfterResume({"1f1b", 2, 2, 1, 8, 2}, 1); }),
              HasSubstr("plan.json: differs from the bundle's plan.json: rows of a step "
                        "(micro_batches x data_parallel x sequences): 16 in the checkpoint, 32 in "
                        "the bundle"));
}

TEST_F(SavingRanks, EachRankOnAFileSystemOfItsOwn) {
  const TestLayout layout{"1f1b", 1, 2, 1};
  auto bundle = make(layout);
  ThreadWorld world(layout.ranks());
  std::atomic<int> threw{0};
  world.run([&](Peers &peers) {
    StateRank rank(*bundle, peers.rank());
    try {
      writeCheckpoint(folder / ("disk" + std::to_string(peers.rank())),
                      checkpointContent(rank.store, rank.layout, 1, 16), 0, report(), peers);
    } catch (const RunError &error) {
      EXPECT_THAT(error.what(), HasSubstr("rank 1: "));
      EXPECT_THAT(error.what(), HasSubstr("all ranks need the same file system"));
      ++threw;
    }
  });
  EXPECT_EQ(threw, 2);
}

} // namespace
