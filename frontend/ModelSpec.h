// SPDX-License-Identifier: Apache-2.0
//
// A model as its Hugging Face config.json describes it (DeepSeek-V3 family), checked, with every
// semantic choice that differs between public implementations as a named field. Free of MLIR.

#ifndef HADAL_FRONTEND_MODELSPEC_H
#define HADAL_FRONTEND_MODELSPEC_H

#include "frontend/Json.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hadal {

/// Element types of stored weights.
enum class WeightType : uint8_t { F32, BF16, F16, F8E4M3 };

/// How router logits become scores.
enum class ScoreFunction : uint8_t { Sigmoid };
/// What ranks the groups of experts: the sum of a group's two largest biased scores.
enum class GroupScore : uint8_t { TopTwoSum };
/// What masks the experts of groups not kept.
enum class GroupMask : uint8_t { MinusInfinity };
/// Which dimensions a rotary frequency turns: j turns 2j and 2j+1 (interleaved).
enum class RotaryLayout : uint8_t { Interleaved };
/// Hidden state fed to the first MTP depth: after or before the final norm. Deeper ones take the
/// one before, normed.
enum class MtpInput : uint8_t { Normed, Raw };
/// Which half of eh_proj's input comes first.
enum class MtpHalfOrder : uint8_t { EmbeddingFirst, HiddenFirst };
/// Divisor of a depth's summed loss: the window T (the report's formula) or the T-k valid
/// positions.
enum class MtpLossNormalisation : uint8_t { Window, Valid };
/// Where YaRN's factor on cos and sin comes from.
enum class YarnAmplitude : uint8_t {
  MscaleRatio, ///< m(mscale) / m(mscale_all_dim), both given and non-zero
  FactorOnly,  ///< 0.1 ln(factor) + 1, as transformers does where either is missing or zero
  Given        ///< attention_factor of the config
};
/// How an FP8 tile's scale is chosen: amax / 448, or that rounded up to a power of two (ue8m0).
enum class ScaleRule : uint8_t { F32, PowerOfTwo };

const char *name(WeightType);           ///< as safetensors spells it: F32, BF16, F16, F8_E4M3
const char *name(ScoreFunction);        ///< sigmoid
const char *name(GroupScore);           ///< top2_sum
const char *name(GroupMask);            ///< -inf
const char *name(RotaryLayout);         ///< interleaved
const char *name(MtpInput);             ///< normed | raw
const char *name(MtpHalfOrder);         ///< embedding_first | hidden_first
const char *name(MtpLossNormalisation); ///< window | valid
const char *name(YarnAmplitude);        ///< mscale_ratio | factor_only | given
const char *name(ScaleRule);            ///< f32 | power_of_two

/// YaRN (per-dimension interpolation of rotary frequencies), resolved: nothing missing.
/// With dim = qk_rope_head_dim, base_j = theta^(-2j/dim), cut(r) = dim ln(L0 / (2 pi r)) / (2 ln
/// theta), low = max(floor(cut(betaFast)), 0), high = min(ceil(cut(betaSlow)), dim - 1) (low +
/// 0.001 if equal), ramp_j = clamp((j - low) / (high - low), 0, 1): frequency_j = base_j (1 -
/// ramp_j) + base_j / factor ramp_j.
struct Yarn {
  double factor = 1;
  int64_t originalMaxPosition = 0; ///< L0
  double betaFast = 32, betaSlow = 1;
  double mscale = 0, mscaleAllDim = 0; ///< 0: not given
  YarnAmplitude amplitudeRule = YarnAmplitude::MscaleRatio;
  double amplitude = 1; ///< multiplies cos and sin
  double softmaxScaleFactor =
      1; ///< m(mscale_all_dim)^2, multiplies 1/sqrt(qk head dim); 1 if mscale_all_dim is not given
};

/// FP8 storage of a checkpoint (quantization_config): linear weights in E4M3 blocks with F32 scales
/// that multiply.
struct Fp8Storage {
  int64_t blockRows = 128, blockColumns = 128;
  ScaleRule scaleRule = ScaleRule::F32; ///< of activations (scale_fmt)
};

struct ModelSpec {
  std::string file; ///< the name messages use
  std::string text; ///< config.json, byte for byte
  std::string modelType;

  int64_t vocabSize = 0, hiddenSize = 0;
  int64_t intermediateSize = 0;    ///< width of a dense SwiGLU
  int64_t moeIntermediateSize = 0; ///< width of one expert
  int64_t numHiddenLayers = 0, numAttentionHeads = 0;
  int64_t firstKDenseReplace =
      0; ///< layers below it are dense, all others (MTP layers too) have experts
  int64_t numRoutedExperts = 0;
  int64_t numSharedExperts = 0; ///< one SwiGLU of numSharedExperts * moeIntermediateSize
  int64_t numExpertsPerToken = 0, numGroups = 1, topkGroups = 1;
  bool normTopkProb = true;
  double routedScalingFactor = 1;
  int64_t qLoraRank = 0; ///< 0: no query compression (q_proj)
  int64_t kvLoraRank = 0, qkNopeHeadDim = 0, qkRopeHeadDim = 0, vHeadDim = 0;
  int64_t numNextnPredictLayers = 0; ///< MTP depths
  int64_t maxPositionEmbeddings = 0;
  double ropeTheta = 10000;
  std::optional<Yarn> yarn;
  double rmsNormEps = 1e-6;
  double initializerRange = 0.02;
  double auxLossAlpha = 0; ///< weight of the sequence balance loss unless the plan says otherwise
  int64_t bosTokenId = -1; ///< -1: none
  std::vector<int64_t> eosTokenIds;
  WeightType weightType = WeightType::BF16;
  std::optional<Fp8Storage> fp8;

  // Choices a config.json does not carry.
  double latentNormEps =
      1e-6; ///< of the q_a and kv_a norms, whatever rmsNormEps is (as transformers)
  ScoreFunction scoreFunction = ScoreFunction::Sigmoid;
  GroupScore groupScore = GroupScore::TopTwoSum;
  GroupMask groupMask = GroupMask::MinusInfinity;
  double topkWeightSumEps = 1e-20; ///< added to the sum the top-k weights are divided by
  RotaryLayout rotaryLayout = RotaryLayout::Interleaved;
  MtpInput mtpInput = MtpInput::Normed;
  MtpHalfOrder mtpHalfOrder = MtpHalfOrder::EmbeddingFirst;
  MtpLossNormalisation mtpLossNormalisation = MtpLossNormalisation::Window;
  double fp8AmaxFloor = 1e-4;
  int64_t fp8AccumulationInterval = 128; ///< elements of K between promotions to f32

  std::vector<std::string> warnings; ///< whole lines without `warning: `

  int64_t qkHeadDim() const { return qkNopeHeadDim + qkRopeHeadDim; }
  int64_t layers() const {
    return numHiddenLayers + numNextnPredictLayers;
  } ///< MTP layers included
  bool isMoe(int64_t layer) const { return layer >= firstKDenseReplace; }
  bool isMtp(int64_t layer) const { return layer >= numHiddenLayers; }
  bool hasMoe() const { return firstKDenseReplace < layers(); }
  int64_t expertsPerGroup() const { return numRoutedExperts / numGroups; }
  /// 1/sqrt(qkHeadDim) times YaRN's factor.
  double softmaxScale() const;
  /// Factor on cos and sin: 1 without YaRN.
  double rotaryAmplitude() const;
  /// Rotary frequency of each of the qkRopeHeadDim / 2 pairs, radians per position, YaRN applied.
  std::vector<double> rotaryFrequencies() const;
};

/// Parses and checks a config.json. `file` is the name messages use.
Checked<ModelSpec> parseModelSpec(const std::string &text, const std::string &file);
Checked<ModelSpec> loadModelSpec(const std::string &path);

/// Every semantic choice as (name, value), in a fixed order, for printing.
std::vector<std::pair<std::string, std::string>> namedChoices(const ModelSpec &spec);

} // namespace hadal

#endif // HADAL_FRONTEND_MODELSPEC_H
