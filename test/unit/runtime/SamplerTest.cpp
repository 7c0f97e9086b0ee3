// SPDX-License-Identifier: Apache-2.0
//
// Sampling, initial values, checksums, metrics.

#include "runtime/generate/Sampler.h"
#include "runtime/support/Checksum.h"
#include "runtime/trace/Metrics.h"
#include "runtime/trace/Progress.h"
#include "runtime/train/Initialize.h"
#include "test/unit/runtime/TestFolder.h"

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

std::map<std::int64_t, int> draw(SamplerOptions options, const std::vector<float> &logits,
                                 int count = 4000) {
  options.seed = 3;
  Sampler sampler(options);
  std::map<std::int64_t, int> seen;
  for (int position = 0; position < count; ++position)
    ++seen[sampler.choose(logits.data(), std::int64_t(logits.size()), position)];
  return seen;
}

TEST(Sampler, GreedyTakesTheLowestOfTies) {
  std::vector<float> logits = {1, 5, 5, 2};
  EXPECT_EQ(Sampler({}).choose(logits.data(), 4, 0), 1);
}

TEST(Sampler, FollowsTheProbabilities) {
  std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  SamplerOptions options;
  options.temperature = 1;
  auto seen = draw(options, logits);
  EXPECT_NEAR(seen[0] / 4000.0, 1 / 8.0, 0.03);
  EXPECT_NEAR(seen[2] / 4000.0, 5 / 8.0, 0.03);
  options.temperature = 0.5; // squares the odds: 1, 4, 25
  EXPECT_NEAR(draw(options, logits)[2] / 4000.0, 25 / 30.0, 0.03);
}

TEST(Sampler, TopKAndTopP) {
  std::vector<float> logits = {0, 3, 2, 1};
  SamplerOptions options;
  options.temperature = 2;
  options.topK = 2;
  auto seen = draw(options, logits);
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen.count(1) && seen.count(2));
  options.topK = 0;
  options.topP = 1e-9;
  EXPECT_EQ(draw(options, logits).size(), 1u);
  options.topP = 1;
  EXPECT_EQ(draw(options, logits).size(), 4u);
}

TEST(Sampler, SameSeedSameChoiceAndNaN) {
  SamplerOptions options;
  options.temperature = 1;
  std::vector<float> logits(100, 0.0f);
  std::vector<std::int64_t> first, second;
  for (int round = 0; round < 2; ++round) {
    Sampler sampler(options);
    for (int position = 0; position < 20; ++position)
      (round ? second : first).push_back(sampler.choose(logits.data(), 100, position));
  }
  EXPECT_EQ(first, second);
  EXPECT_GT(std::set<std::int64_t>(first.begin(), first.end()).size(), 10u);
  logits[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(Sampler(options).choose(logits.data(), 100, 0), RunError);
}

TEST(Initialize, QuantilesOfTheNormalDistribution) {
  EXPECT_EQ(normalQuantile(0.5), 0);
  EXPECT_NEAR(normalQuantile(0.975), 1.9599639845400545, 1e-15);
  EXPECT_NEAR(normalQuantile(1e-10), -6.3613409024040557, 1e-13);
  EXPECT_NEAR(normalQuantile(0.01), -2.3263478740408408, 1e-14);
  for (double p : {1e-300, 1e-17, 1e-5, 0.02, 0.3, 0.6, 0.999})
    EXPECT_NEAR(std::erfc(-normalQuantile(p) / std::sqrt(2.0)) / 2 / p, 1, 1e-12) << p;
}

TEST(Initialize, DependsOnSeedNameAndElementOnly) {
  std::vector<float> whole(10001), part(100);
  initializeNormal(1, "w", 0.02, 0, 10001, whole.data());
  initializeNormal(1, "w", 0.02, 5001, 5101, part.data());
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_EQ(part[i], whole[5001 + i]);
  initializeNormal(1, "v", 0.02, 5001, 5101, part.data());
  EXPECT_NE(part[0], whole[5001]);
  initializeNormal(2, "w", 0.02, 5001, 5101, part.data());
  EXPECT_NE(part[0], whole[5001]);
  double sum = 0, squares = 0;
  for (float value : whole) {
    sum += double(value);
    squares += double(value) * double(value);
  }
  EXPECT_NEAR(sum / 10001, 0, 0.0008);
  EXPECT_NEAR(std::sqrt(squares / 10001), 0.02, 0.0005);
}

TEST(Checksum, KnownAnswersAndStreaming) {
  Checksum empty;
  EXPECT_EQ(empty.hex(), "ef46db3751d8e999");
  Checksum abc;
  abc.update("abc", 3);
  EXPECT_EQ(abc.hex(), "44bc2cf5ad770999");
  std::string text;
  for (int i = 0; i < 500; ++i)
    text += char(i * 7);
  Checksum once;
  once.update(text.data(), text.size());
  for (std::size_t piece : {1, 3, 31, 32, 33, 100}) {
    Checksum parts;
    for (std::size_t at = 0; at < text.size(); at += piece)
      parts.update(text.data() + at, std::min(piece, text.size() - at));
    EXPECT_EQ(parts.value(), once.value()) << piece;
  }
}

TEST(Metrics, ReadBackExactly) {
  StepMetrics metrics;
  metrics.step = 3;
  metrics.loss = 0.1 + 0.2;
  metrics.mtpLosses = {1.0 / 3};
  metrics.gradientNorm = 1e-300;
  metrics.expertCounts = {{"model.layers.1.mlp", {1, 2, 9}}};
  auto line = nlohmann::json::parse(toJsonLine(metrics));
  EXPECT_EQ(line["loss"].get<double>(), 0.1 + 0.2);
  EXPECT_EQ(line["mtp_losses"][0].get<double>(), 1.0 / 3);
  EXPECT_EQ(line["gradient_norm"].get<double>(), 1e-300);
  EXPECT_EQ(line["expert_counts"]["model.layers.1.mlp"][2], 9);
  EXPECT_DOUBLE_EQ(metrics.largestLoad(), 2.25);
  EXPECT_EQ(validationLine(4, 2.5), R"({"step":4,"validation_loss":2.5})");
}

TEST(Metrics, ResumedRunLeavesNoStepTwice) {
  TestFolder folder;
  std::string path = folder.write("m.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"ste");
  {
    MetricsFile(path, 2).write("{\"step\":3,\"new\":1}");
  }
  std::ifstream file(path);
  std::string all((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(all, "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"new\":1}\n");
  folder.write("other", "hello\nworld\n");
  EXPECT_THAT(refusal([&] { MetricsFile metrics(folder / "other", 2); }),
              HasSubstr("holds no metrics"));
}

TEST(Progress, PlainLinesWithoutATerminal) {
  TestFolder folder;
  std::FILE *out = std::fopen((folder / "log").c_str(), "w");
  {
    Progress bar(0, 1000, out, 3600);
    for (int step = 1; step <= 1000; ++step)
      bar.update(step, "loss 1");
    bar.say("saved");
  }
  std::fclose(out);
  std::ifstream file(folder / "log");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("step 1/1000  loss 1  ETA"));
  EXPECT_THAT(lines[1], HasSubstr("step 1000/1000"));
  EXPECT_EQ(durationText(3723), "1:02:03");
  EXPECT_EQ(durationText(62.6), "1:03");
}

} // namespace
