// SPDX-License-Identifier: Apache-2.0
//
// Checkpoints: written whole, found again, damage noticed, nothing of the user's removed.

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/checkpoint/Safetensors.h"
#include "test/unit/runtime/TestFolder.h"

using namespace hadal::rt;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

const float kValues[4] = {1, 2, 3, 4};

CheckpointContent content(std::int64_t step) {
  CheckpointContent made;
  made.step = step;
  made.config = "{\"a\": 1}\n";
  made.plan = "{}";
  made.model = {{"x", DType::F32, {4}, kValues}, {"y", DType::F32, {2}, kValues}};
  made.optimizer = {{"moment1.x", DType::F32, {4}, kValues}};
  made.state["data"] = {{"rows_used", 8 * step}};
  return made;
}

class Checkpoints : public testing::Test {
protected:
  std::string save(std::int64_t step, std::int64_t keep = 0) {
    return writeCheckpoint(folder / "run", content(step), keep, report());
  }
  Report report() {
    return [this](const std::string &line) { said += line + "\n"; };
  }
  std::optional<FoundCheckpoint> latest() { return findLatestCheckpoint(folder / "run", report()); }
  TestFolder folder;
  std::string said;
};

TEST_F(Checkpoints, WrittenAndFound) {
  EXPECT_FALSE(latest());
  std::string path = save(12);
  EXPECT_EQ(fs::path(path).filename(), "step-000000012");
  save(9);
  auto found = latest();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->step, 12);
  EXPECT_EQ(found->state["data"]["rows_used"], 96);
  for (const char *name : {"config.json", "plan.json", "model.safetensors",
                           "model.safetensors.index.json", "optimizer.safetensors", "state.json"})
    EXPECT_TRUE(fs::exists(fs::path(path) / name)) << name;
  EXPECT_EQ(readFile(path + "/config.json"), "{\"a\": 1}\n");
  EXPECT_EQ(SafetensorsFile(path + "/model.safetensors").get("x").elements, 4);
  for (const auto &entry : fs::directory_iterator(folder / "run"))
    EXPECT_EQ(entry.path().filename().string().find(".tmp"), std::string::npos);
  EXPECT_EQ(said, "");
}

TEST_F(Checkpoints, SameContentGivesSameBytes) {
  std::string first = save(1);
  std::string second = writeCheckpoint(folder / "other", content(1), 0, report());
  for (const auto &entry : fs::directory_iterator(first))
    EXPECT_EQ(readFile(entry.path().string()),
              readFile((fs::path(second) / entry.path().filename()).string()));
}

TEST_F(Checkpoints, ShardsAndIndex) {
  std::string path = writeCheckpoint(folder / "run", content(1), 0, report(), /*shardBytes=*/16);
  EXPECT_TRUE(fs::exists(path + "/model-00001-of-00002.safetensors"));
  EXPECT_EQ(SafetensorsFile(path + "/model-00002-of-00002.safetensors").get("y").elements, 2);
  EXPECT_THAT(readFile(path + "/model.safetensors.index.json"),
              HasSubstr("\"y\": \"model-00002-of-00002.safetensors\""));
  openCheckpoint(path);
}

TEST_F(Checkpoints, DamageIsSkippedWithTheReason) {
  save(1);
  std::string broken = save(2);
  for (const auto &entry : fs::directory_iterator(broken)) {
    const std::string file = entry.path().string(), whole = readFile(file);
    for (std::size_t at = 0; at < whole.size(); at += 7) {
      std::string damaged = whole;
      damaged[at] = char(damaged[at] ^ 1);
      folder.write("run/step-000000002/" + entry.path().filename().string(), damaged);
      said.clear();
      auto found = latest();
      ASSERT_TRUE(found);
      EXPECT_EQ(found->step, 1) << file << " byte " << at;
      EXPECT_THAT(said, HasSubstr("skipped: "));
    }
    folder.write("run/step-000000002/" + entry.path().filename().string(), whole.substr(1));
    EXPECT_EQ(latest()->step, 1);
    folder.write("run/step-000000002/" + entry.path().filename().string(), whole);
    EXPECT_EQ(latest()->step, 2);
  }
  fs::remove(fs::path(broken) / "optimizer.safetensors");
  said.clear();
  EXPECT_EQ(latest()->step, 1);
  EXPECT_THAT(said, HasSubstr("optimizer.safetensors: is missing"));
}

TEST_F(Checkpoints, KeepRemovesOnlyItsOwnFiles) {
  save(1);
  save(2);
  folder.write("run/step-000000002/notes.txt", "mine");
  fs::create_directory(folder / "run/step-000000099"); // broken, newer: not ours to remove
  save(3, 1);
  EXPECT_EQ(checkpointSteps(folder / "run"), (std::vector<std::int64_t>{2, 3, 99}));
  EXPECT_EQ(readFile(folder / "run/step-000000002/notes.txt"), "mine");
  EXPECT_FALSE(fs::exists(folder / "run/step-000000002/model.safetensors"));
  EXPECT_THAT(said, HasSubstr("not the checkpoint's"));
}

TEST_F(Checkpoints, ExistingFolderIsMovedAside) {
  fs::create_directories(folder / "run/step-000000005");
  folder.write("run/step-000000005/half", "old");
  save(5);
  EXPECT_EQ(readFile(folder / "run/step-000000005.replaced-1/half"), "old");
  EXPECT_EQ(latest()->step, 5);
}

TEST_F(Checkpoints, UnwritableFolder) {
  folder.write("file", "");
  EXPECT_THROW(writeCheckpoint(folder / "file", content(1), 0, report()), RunError);
}

} // namespace
