// SPDX-License-Identifier: Apache-2.0
//
// See StagePlan.h.

#include "passes/Partition/StagePlan.h"

#include "frontend/WeightNames.h"

#include <string>

namespace hadal {

StagePlan::StagePlan(std::vector<int64_t> layers) : counts(std::move(layers)) {
  for (int64_t stage = 0; stage < stages(); ++stage)
    stageOfLayer.insert(stageOfLayer.end(), static_cast<size_t>(counts[stage]), stage);
}

int64_t StagePlan::ofLayer(int64_t layer) const {
  return layer < static_cast<int64_t>(stageOfLayer.size()) ? stageOfLayer[layer] : last();
}

StageCosts stageCosts(const ModelSpec &spec, const Plan &plan) {
  // A looked-up row is read and written in F and in W; a byte is weighed as a dozen FLOP.
  constexpr int64_t kFlopPerByte = 12;
  // A product is taken in F, B and W.
  constexpr int64_t kFlopPerWeight = 6;
  const int64_t tokens = plan.windowTokens();
  const int64_t head = kFlopPerWeight * spec.vocabSize * spec.hiddenSize;
  // Scores and values over the causal half of the window; backwards five products for the two.
  const int64_t attention =
      spec.numAttentionHeads * (spec.qkHeadDim() + spec.vHeadDim) * tokens * 7 / 2;
  auto isRecomputed = [&](const std::string &name) {
    return plan.recomputes(Recompute::MlaUp) && (name.find(".q_b_proj.") != std::string::npos ||
                                                 name.find(".kv_b_proj.") != std::string::npos);
  };
  StageCosts costs;
  costs.first = 16 * kFlopPerByte * spec.hiddenSize;
  costs.last = head;
  costs.lastLayers = spec.numNextnPredictLayers;
  costs.layers.assign(static_cast<size_t>(spec.numHiddenLayers), attention);
  for (const ParameterInfo &info : parameters(spec)) {
    if (!info.decay || info.layer < 0) // matrices are what a token is multiplied with
      continue;
    int64_t active =
        info.experts ? info.elements() / info.experts * spec.numExpertsPerToken : info.elements();
    (spec.isMtp(info.layer) ? costs.last : costs.layers[info.layer]) +=
        (kFlopPerWeight + (isRecomputed(info.name) ? 2 : 0)) * active;
  }
  costs.last += spec.numNextnPredictLayers * (head + attention);
  return costs;
}

StagePlan stagesOf(const ModelSpec &spec, const Plan &plan) {
  if (!plan.stages.empty())
    return StagePlan(plan.stages);
  const StageCosts costs = stageCosts(spec, plan);
  const bool isTwoARank =
      plan.schedule == ScheduleKind::DualPipe || plan.schedule == ScheduleKind::DualPipeV;
  return StagePlan(isTwoARank ? balanceRanks(costs, plan.stageCount())
                              : balanceStages(costs, plan.stageCount()));
}

} // namespace hadal
