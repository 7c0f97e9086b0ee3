// SPDX-License-Identifier: Apache-2.0
//
// The printable names of a model's semantic choices.

#include "frontend/ModelSpec.h"

namespace hadal {

const char *name(WeightType type) {
  switch (type) {
  case WeightType::F32:
    return "F32";
  case WeightType::BF16:
    return "BF16";
  case WeightType::F16:
    return "F16";
  case WeightType::F8E4M3:
    return "F8_E4M3";
  }
  return "";
}

const char *name(ScoreFunction) { return "sigmoid"; }
const char *name(GroupScore) { return "top2_sum"; }
const char *name(GroupMask) { return "-inf"; }
const char *name(RotaryLayout) { return "interleaved"; }
const char *name(MtpInput input) { return input == MtpInput::Normed ? "normed" : "raw"; }
const char *name(MtpHalfOrder order) {
  return order == MtpHalfOrder::EmbeddingFirst ? "embedding_first" : "hidden_first";
}
const char *name(MtpLossNormalisation by) {
  return by == MtpLossNormalisation::Window ? "window" : "valid";
}
const char *name(YarnAmplitude rule) {
  switch (rule) {
  case YarnAmplitude::MscaleRatio:
    return "mscale_ratio";
  case YarnAmplitude::FactorOnly:
    return "factor_only";
  case YarnAmplitude::Given:
    return "given";
  }
  return "";
}
const char *name(ScaleRule rule) { return rule == ScaleRule::F32 ? "f32" : "power_of_two"; }

std::vector<std::pair<std::string, std::string>> namedChoices(const ModelSpec &spec) {
  std::vector<std::pair<std::string, std::string>> out;
  auto add = [&](const char *key, std::string value) { out.emplace_back(key, std::move(value)); };
  auto number = [](double x) { return printNumber(x); };
  add("model_type", spec.modelType);
  add("query_compression", spec.qLoraRank ? "rank " + std::to_string(spec.qLoraRank) : "none");
  add("rms_norm_eps", number(spec.rmsNormEps));
  add("latent_norm_eps", number(spec.latentNormEps));
  add("rotary_layout", name(spec.rotaryLayout));
  add("rope_theta", number(spec.ropeTheta));
  add("rope_scaling", spec.yarn ? "yarn" : "none");
  if (const Yarn *yarn = spec.yarn ? &*spec.yarn : nullptr) {
    add("yarn_factor", number(yarn->factor));
    add("yarn_original_max_position_embeddings", std::to_string(yarn->originalMaxPosition));
    add("yarn_beta_fast", number(yarn->betaFast));
    add("yarn_beta_slow", number(yarn->betaSlow));
    add("yarn_amplitude_rule", name(yarn->amplitudeRule));
    add("yarn_amplitude", number(yarn->amplitude));
    add("yarn_softmax_scale_factor", number(yarn->softmaxScaleFactor));
  }
  add("softmax_scale", number(spec.softmaxScale()));
  add("score_function", name(spec.scoreFunction));
  add("group_score", name(spec.groupScore));
  add("group_mask", name(spec.groupMask));
  add("norm_topk_prob", spec.normTopkProb ? "true" : "false");
  add("topk_weight_sum_eps", number(spec.topkWeightSumEps));
  add("routed_scaling_factor", number(spec.routedScalingFactor));
  if (spec.numNextnPredictLayers > 0) {
    add("mtp_input", name(spec.mtpInput));
    add("mtp_half_order", name(spec.mtpHalfOrder));
    add("mtp_loss_normalisation", name(spec.mtpLossNormalisation));
  }
  add("weight_type", name(spec.weightType));
  add("weight_storage", spec.fp8 ? "fp8 blocks of 128 x 128" : "plain");
  if (spec.fp8) {
    add("fp8_scale_rule", name(spec.fp8->scaleRule));
    add("fp8_amax_floor", number(spec.fp8AmaxFloor));
    add("fp8_accumulation_interval", std::to_string(spec.fp8AccumulationInterval));
  }
  return out;
}

} // namespace hadal
