// SPDX-License-Identifier: Apache-2.0
//
// See RankLayout.h.

#include "passes/Schedule/RankLayout.h"

#include "frontend/BuildModel.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

int64_t RankLayout::stageOf(int64_t rank, int64_t direction) const {
  return direction == 0 ? rank : stages() - 1 - rank;
}

int64_t RankLayout::rankOf(int64_t stage, int64_t half) const {
  if (mirrored())
    return half == 0 ? stage : ranks - 1 - stage;
  return stage < ranks ? stage : stages() - 1 - stage;
}

RankLayout RankLayout::of(ScheduleOp schedule) {
  RankLayout layout;
  layout.algorithm = schedule.getAlgorithm().str();
  layout.overlap = schedule.getOverlap().str();
  layout.ranks = int64_t(schedule.getRanks());
  layout.microBatches = int64_t(schedule.getMicroBatches());
  layout.dataParallel = int64_t(schedule.getDataParallel());
  layout.expertParallel = int64_t(schedule.getExpertParallel());
  return layout;
}

FailureOr<RankLayout> RankLayout::of(ModuleOp module) {
  for (auto schedule : module.getOps<ScheduleOp>())
    return of(schedule);
  auto specText = module->getAttrOfType<StringAttr>(kSpecAttr);
  auto planText = module->getAttrOfType<StringAttr>(kPlanAttr);
  if (!specText || !planText)
    return RankLayout();
  Checked<ModelSpec> spec = parseModelSpec(specText.str(), kSpecAttr.str());
  if (!spec)
    return module.emitError(spec.error().message());
  Checked<Plan> plan = usablePlan(planText.str(), kPlanAttr.str(), *spec, purposeOf(module));
  if (!plan)
    return module.emitError(plan.error().message());
  RankLayout layout;
  layout.algorithm = name(plan->schedule);
  layout.overlap = name(plan->overlap);
  layout.ranks = plan->pipelineRanks;
  layout.microBatches = plan->microBatchCount();
  layout.dataParallel = plan->dataParallel;
  layout.expertParallel = plan->expertParallel;
  return layout;
}
