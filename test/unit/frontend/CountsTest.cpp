// SPDX-License-Identifier: Apache-2.0
//
// Parameters and FLOP of the published models.

#include "frontend/Counts.h"
#include "test/unit/frontend/TestInputs.h"

using namespace hadal;
using namespace hadal::test;

namespace {

TEST(Counts, DeepSeekV3) {
  ModelSpec spec = loadedSpec(examplePath("deepseek-v3/config.json"));
  ParameterCounts counts = countParameters(spec);
  EXPECT_EQ(counts.main, 671026419200);
  EXPECT_EQ(counts.activeMain, 36624596992);
  EXPECT_NEAR(static_cast<double>(counts.mtp), 11.61e9, 0.3e9);
  EXPECT_NEAR(static_cast<double>(counts.activeMtp) + static_cast<double>(counts.embedding), 2.54e9,
              0.01e9);
  EXPECT_NEAR(trainingFlopPerToken(spec, 4096, false), 281.2e9, 0.05e9);
  EXPECT_NEAR(trainingFlopPerToken(spec, 4096, true), 250.4e9, 0.05e9);
  EXPECT_EQ(cacheElementsPerToken(spec), 61 * 576);
}

TEST(Counts, MoonlightHas16Billion) {
  ParameterCounts counts =
      countParameters(loadedSpec(examplePath("moonlight-16b-a3b/config.json")));
  EXPECT_NEAR(static_cast<double>(counts.main), 15.96e9, 0.05e9);
  EXPECT_EQ(counts.mtp, 0);
  EXPECT_EQ(counts.activeMtp, 0);
}

TEST(Counts, KimiK2HasOneTrillion) {
  ParameterCounts counts = countParameters(loadedSpec(testPath("frontend/Inputs/kimi-k2.json")));
  EXPECT_NEAR(static_cast<double>(counts.main), 1026e9, 2e9);
  EXPECT_NEAR(static_cast<double>(counts.activeMain), 32e9, 1e9);
}

TEST(Counts, MtpAddsItsShareOfPositions) {
  ModelSpec one = validSpec(), none = validSpec({{"num_nextn_predict_layers", "0"}});
  double main = trainingFlopPerToken(one, 10, true);
  EXPECT_EQ(main, trainingFlopPerToken(none, 10, true));
  EXPECT_EQ(main, trainingFlopPerTokenWithMtp(none, 10, true));
  double attention = 3.0 * 2 * 3 * (24 + 16) * 9 * 0.5;
  double matrices = 6.0 * static_cast<double>(countParameters(one).activeMtp);
  EXPECT_DOUBLE_EQ(trainingFlopPerTokenWithMtp(one, 10, true), main + (matrices + attention) * 0.9);
}

} // namespace
