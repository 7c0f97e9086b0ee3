// SPDX-License-Identifier: Apache-2.0
//
// Sizes of a model, derived from its list of parameters so that nothing is counted twice in two
// ways.

#include "frontend/Counts.h"
#include "frontend/WeightNames.h"

namespace hadal {

namespace {

/// FLOP of one layer's attention over a window, per token and forward pass.
double layerAttention(const ModelSpec &spec, double tokens, bool causal) {
  double perKey = 2.0 * static_cast<double>(spec.numAttentionHeads) *
                  static_cast<double>(spec.qkHeadDim() + spec.vHeadDim);
  return perKey * tokens * (causal ? 0.5 : 1.0);
}

} // namespace

ParameterCounts countParameters(const ModelSpec &spec) {
  ParameterCounts counts;
  counts.embedding = spec.vocabSize * spec.hiddenSize;
  for (const ParameterInfo &info : parameters(spec)) {
    bool mtp = spec.isMtp(info.layer) && info.layer >= 0;
    (mtp ? counts.mtp : counts.main) += info.elements();
    if (!info.decay) // matrices are what a token is multiplied with
      continue;
    int64_t active =
        info.experts ? info.elements() / info.experts * spec.numExpertsPerToken : info.elements();
    (mtp ? counts.activeMtp : counts.activeMain) += active;
  }
  counts.activeMain -=
      counts.embedding; // a lookup, not a product; the head has the same size and stays
  counts.activeMtp += spec.numNextnPredictLayers * counts.embedding;
  return counts;
}

double attentionFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal) {
  return static_cast<double>(spec.numHiddenLayers) *
         layerAttention(spec, static_cast<double>(tokens), causal);
}

double trainingFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal) {
  return 6.0 * static_cast<double>(countParameters(spec).activeMain) +
         3.0 * attentionFlopPerToken(spec, tokens, causal);
}

double trainingFlopPerTokenWithMtp(const ModelSpec &spec, int64_t tokens, bool causal) {
  double total = trainingFlopPerToken(spec, tokens, causal);
  if (spec.numNextnPredictLayers == 0)
    return total;
  double perDepth = 6.0 * static_cast<double>(countParameters(spec).activeMtp) /
                    static_cast<double>(spec.numNextnPredictLayers);
  for (int64_t depth = 1; depth <= spec.numNextnPredictLayers && depth < tokens; ++depth) {
    double positions = static_cast<double>(tokens - depth);
    total += (perDepth + 3.0 * layerAttention(spec, positions, causal)) * positions /
             static_cast<double>(tokens);
  }
  return total;
}

double inferenceFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal) {
  return 2.0 * static_cast<double>(countParameters(spec).activeMain) +
         attentionFlopPerToken(spec, tokens, causal);
}

int64_t cacheElementsPerToken(const ModelSpec &spec) {
  return spec.numHiddenLayers * (spec.kvLoraRank + spec.qkRopeHeadDim);
}

} // namespace hadal
