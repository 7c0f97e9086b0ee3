// SPDX-License-Identifier: Apache-2.0
//
// Which layers are on which pipeline stage. The embedding is on the first stage; final norm, head
// and all of MTP are on the last. Free of MLIR.

#ifndef HADAL_PASSES_PARTITION_STAGEPLAN_H
#define HADAL_PASSES_PARTITION_STAGEPLAN_H

#include "frontend/Plan.h"

#include <cstdint>
#include <vector>

namespace hadal {

class StagePlan {
public:
  /// `layers`: main layers on each stage.
  explicit StagePlan(std::vector<int64_t> layers);

  int64_t stages() const { return static_cast<int64_t>(counts.size()); }
  const std::vector<int64_t> &layersOf() const { return counts; }
  /// The stage of a layer; MTP's layers follow the main ones.
  int64_t ofLayer(int64_t layer) const;
  int64_t last() const { return stages() - 1; }

private:
  std::vector<int64_t> counts;
  std::vector<int64_t> stageOfLayer;
};

/// FLOP of a token's forward and backward pass, what is recomputed too (what is not a product is
/// weighed in), as whole numbers.
struct StageCosts {
  int64_t first = 0, last = 0; ///< embedding; final norm, MTP and head
  int64_t lastLayers = 0;      ///< MTP's, within `last`
  std::vector<int64_t> layers; ///< main layers
};
StageCosts stageCosts(const ModelSpec &spec, const Plan &plan);

/// Numbers of consecutive layers for `stages` stages (at most layers + 2, each with at least one of
/// embedding, layer, last part), a stage a rank: the dearest stage as cheap as can be; then the sum
/// of the squared costs; then fewer layers on earlier stages, where more micro-batches are alive.
std::vector<int64_t> balanceStages(const StageCosts &costs, int64_t stages);

/// The same where a rank has the stages s and stages - 1 - s, and overlaps forward chunks of one
/// with backward chunks of the other: the dearest rank within 3 % of the cheapest that can
/// be (costs are estimates); then the fewest layers that have no partner in such a pair; then the
/// sums of the squared costs of ranks, and of stages; then fewer layers on outer stages.
std::vector<int64_t> balanceRanks(const StageCosts &costs, int64_t stages);

/// As the plan lists them, or balanced.
StagePlan stagesOf(const ModelSpec &spec, const Plan &plan);

} // namespace hadal

#endif // HADAL_PASSES_PARTITION_STAGEPLAN_H
