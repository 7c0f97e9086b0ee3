// SPDX-License-Identifier: Apache-2.0
//
// Which plans training may go on under.

#include "runtime/train/TrainingState.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

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
