// SPDX-License-Identifier: Apache-2.0
//
// The order of components inside an overlapped pair of a forward and a backward chunk. Pure
// algorithms on lists; which component an instruction is, the expansion says.

#ifndef HADAL_PASSES_SCHEDULE_OVERLAP_H
#define HADAL_PASSES_SCHEDULE_OVERLAP_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::pipe {

/// Names are those of the forward pass: in a backward chunk `combine` scatters gradients to the
/// experts and `dispatch` brings them back.
enum class ComponentKind : uint8_t { Attention, Dispatch, Mlp, Combine, Other };
enum class ComponentPhase : uint8_t { Forward, Backward, WeightGradient };

/// One step of a chunk.
struct OverlapStep {
  ComponentKind kind = ComponentKind::Other;
  ComponentPhase phase = ComponentPhase::Forward;
  int64_t layer = -1;        ///< -1: outside the layers
  double cost = 0;           ///< how long it takes
  std::vector<size_t> after; ///< steps of its chunk that it needs

  /// Runs beside what computes.
  bool exchanges() const {
    return kind == ComponentKind::Dispatch || kind == ComponentKind::Combine;
  }
};

/// A step of the pair, by its index in its chunk.
struct OverlapSlot {
  bool backward;
  size_t step;
};

/// The order of the published runs (per layer of the forward chunk and its partner of the backward
/// chunk): combine(B) attn(F) mlp(B) dispatch(F) dispatch(B) mlp(W) mlp(F) attn(B) attn(W)
/// combine(F). Layers pair from the first of each chunk's list on (the backward chunk begins with
/// the model's last); what is left over runs alone, and what is outside the layers stays beside the
/// step it follows. Either list is a legal order of its chunk, and stays one: forward and backward
/// steps keep their order, weight gradients theirs, and none of these comes before a backward step
/// that stood before it.
std::vector<OverlapSlot> overlapAsPublished(const std::vector<OverlapStep> &forward,
                                            const std::vector<OverlapStep> &backward);

/// The best order by `cost` and `after` among the published one, one chunk behind the other, and
/// list schedules of both under several priorities. What computes keeps its order within a chunk,
/// but for weight gradients; so do exchanges, and weight gradients among each other.
std::vector<OverlapSlot> searchOverlap(const std::vector<OverlapStep> &forward,
                                       const std::vector<OverlapStep> &backward);

/// How long a pair takes in this order on two streams, one that computes and one that exchanges;
/// each runs its steps in turn, and a step waits for those that it is `after`.
double timeOfOverlap(const std::vector<OverlapStep> &forward,
                     const std::vector<OverlapStep> &backward,
                     const std::vector<OverlapSlot> &order);

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_OVERLAP_H
