// SPDX-License-Identifier: Apache-2.0
//
// See Overlap.h.

#include "passes/Schedule/Overlap.h"

#include <algorithm>

using namespace hadal::pipe;

namespace {

/// Places in the order of a pair of layers.
enum Place : int {
  Start,
  CombineB,
  AttentionF,
  MlpB,
  DispatchF,
  DispatchB,
  MlpW,
  MlpF,
  AttentionB,
  AttentionW,
  CombineF,
  Places
};

int placeOf(const OverlapStep &step) {
  const auto phase = size_t(step.phase);
  switch (step.kind) {
  case ComponentKind::Attention:
    return (const int[]){AttentionF, AttentionB, AttentionW}[phase];
  case ComponentKind::Dispatch:
    return phase == 0 ? DispatchF : DispatchB;
  case ComponentKind::Mlp:
    return (const int[]){MlpF, MlpB, MlpW}[phase];
  case ComponentKind::Combine:
    return phase == 0 ? CombineF : CombineB;
  case ComponentKind::Other:
    break;
  }
  return Start;
}

/// Where what follows an exchange in its chunk stands: beside the computation that needs it next,
/// so that nothing waits sooner.
int placeBehind(int place) {
  switch (place) {
  case CombineB:
    return MlpB;
  case DispatchF:
    return MlpF;
  case DispatchB:
    return AttentionB;
  default:
    return place;
  }
}

/// The steps of one layer of a chunk by place.
using Layer = std::vector<std::vector<size_t>>;

std::vector<Layer> layersOf(const std::vector<OverlapStep> &steps) {
  std::vector<Layer> layers(1, Layer(Places));
  int64_t current = -1;
  int reached = Start, weights = Start; // places only grow along a layer's list
  for (size_t i = 0; i < steps.size(); ++i) {
    const OverlapStep &step = steps[i];
    if (step.layer >= 0 && step.layer != current) {
      if (current >= 0) {
        layers.emplace_back(Places);
        reached = weights = Start;
      }
      current = step.layer;
    }
    int own = placeOf(step);
    int place = own > reached ? own : std::max(own, placeBehind(reached));
    if (step.phase == ComponentPhase::WeightGradient)
      place = weights = std::max(place, weights);
    else
      reached = place;
    layers.back()[size_t(place)].push_back(i);
  }
  return layers;
}

} // namespace

std::vector<OverlapSlot> hadal::pipe::overlapAsPublished(const std::vector<OverlapStep> &forward,
                                                         const std::vector<OverlapStep> &backward) {
  std::vector<Layer> front = layersOf(forward), back = layersOf(backward);
  std::vector<OverlapSlot> order;
  for (size_t pair = 0; pair < std::max(front.size(), back.size()); ++pair)
    for (size_t place = 0; place < Places; ++place)
      for (bool isBackward : {false, true}) {
        const std::vector<Layer> &layers = isBackward ? back : front;
        if (pair >= layers.size())
          continue;
        for (size_t step : layers[pair][place])
          order.push_back({isBackward, step});
      }
  return order;
}
