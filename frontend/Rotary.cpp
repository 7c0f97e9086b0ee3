// SPDX-License-Identifier: Apache-2.0
//
// Rotary position: reads its settings and computes YaRN's frequencies, amplitude and softmax
// factor.

#include "frontend/Rotary.h"

#include <algorithm>
#include <cmath>

namespace hadal {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr NumberRange kTheta{1, 1e300, /*aboveLow=*/true};

/// YaRN's m(mu) = 0.1 mu ln(factor) + 1, and 1 where nothing is stretched.
double yarnScale(double factor, double mu) {
  return factor <= 1 ? 1.0 : 0.1 * mu * std::log(factor) + 1.0;
}

/// The settings follow transformers where mscale or mscale_all_dim is missing (or zero, which it
/// treats alike): the rotary tables then get the factor 0.1 ln(factor) + 1, and without
/// mscale_all_dim the softmax scale none.
void resolveScales(Yarn &yarn, std::optional<double> given) {
  if (given) {
    yarn.amplitudeRule = YarnAmplitude::Given;
    yarn.amplitude = *given;
  } else if (yarn.mscale != 0 && yarn.mscaleAllDim != 0) {
    yarn.amplitudeRule = YarnAmplitude::MscaleRatio;
    yarn.amplitude =
        yarnScale(yarn.factor, yarn.mscale) / yarnScale(yarn.factor, yarn.mscaleAllDim);
  } else {
    yarn.amplitudeRule = YarnAmplitude::FactorOnly;
    yarn.amplitude = yarnScale(yarn.factor, 1);
  }
  double m = yarnScale(yarn.factor, yarn.mscaleAllDim);
  yarn.softmaxScaleFactor = yarn.mscaleAllDim != 0 ? m * m : 1;
}

Yarn readYarn(ObjectReader &scaling) {
  Yarn yarn;
  yarn.factor = scaling.number("factor", {1, 1e6});
  yarn.originalMaxPosition =
      scaling.integer("original_max_position_embeddings", {1, (int64_t(1) << 31) - 1});
  yarn.betaFast = scaling.number("beta_fast", {0, 1e6, /*aboveLow=*/true}, 32.0);
  yarn.betaSlow = scaling.number("beta_slow", {0, 1e6, /*aboveLow=*/true}, 1.0);
  if (yarn.betaFast < yarn.betaSlow)
    scaling.refuse("beta_fast", printNumber(yarn.betaFast),
                   "at least beta_slow, " + printNumber(yarn.betaSlow));
  auto optionalNumber = [&](const std::string &key) -> std::optional<double> {
    bool given = scaling.has(key) && !scaling.isNull(key);
    scaling.ignore({key.c_str()});
    return given ? std::optional(scaling.number(key, {0, 1e6})) : std::nullopt;
  };
  yarn.mscale = optionalNumber("mscale").value_or(0);
  yarn.mscaleAllDim = optionalNumber("mscale_all_dim").value_or(0);
  std::optional<double> given = optionalNumber("attention_factor");
  if (!scaling.boolean("truncate", true))
    scaling.refuse("truncate", "false", "true (the limits of the ramp are whole dimensions)");
  resolveScales(yarn, given);
  return yarn;
}

/// The type under either spelling; where both stand they must agree.
std::string readType(ObjectReader &scaling) {
  const std::vector<std::string> types = {"yarn", "default"};
  bool hasOld = scaling.has("type"), hasNew = scaling.has("rope_type");
  size_t old = hasOld ? scaling.choice("type", types) : 0;
  size_t now =
      scaling.choice("rope_type", types, hasOld ? std::optional<size_t>(old) : std::nullopt);
  if (hasOld && hasNew && old != now)
    scaling.refuse("rope_type", quoteJson(types[now]),
                   "the same as type, " + quoteJson(types[old]));
  return types[now];
}

} // namespace

void readRotary(ObjectReader &config, InputReport &report, ModelSpec &spec) {
  const JsonValue *old = config.take("rope_scaling"), *now = config.take("rope_parameters");
  auto given = [](const JsonValue *value) { return value && value->kind != JsonValue::Kind::Null; };
  if (given(old) && given(now))
    config.refuse("rope_parameters", "both rope_parameters and rope_scaling", "one of them");
  const char *key = given(now) ? "rope_parameters" : "rope_scaling";
  const JsonValue *value = given(now) ? now : given(old) ? old : nullptr;
  ObjectReader scaling(report, value, key);
  bool inside = scaling.has("rope_theta");
  if (config.has("rope_theta") || !inside)
    spec.ropeTheta = config.number("rope_theta", kTheta);
  if (inside) {
    double theta = scaling.number("rope_theta", kTheta);
    if (config.has("rope_theta") && theta != spec.ropeTheta)
      scaling.refuse("rope_theta", printNumber(theta),
                     "the same as the outer rope_theta, " + printNumber(spec.ropeTheta));
    spec.ropeTheta = theta;
  }
  if (!value || report.error)
    return;
  // Plain rotary may be written as rope_parameters with nothing but the base.
  bool plain = !scaling.has("type") && !scaling.has("rope_type") && given(now);
  if (!plain && readType(scaling) == "yarn")
    spec.yarn = readYarn(scaling);
  scaling.ignore({"partial_rotary_factor"});
  scaling.warnUnknown();
}

double ModelSpec::softmaxScale() const {
  return (yarn ? yarn->softmaxScaleFactor : 1.0) / std::sqrt(static_cast<double>(qkHeadDim()));
}

double ModelSpec::rotaryAmplitude() const { return yarn ? yarn->amplitude : 1.0; }

std::vector<double> ModelSpec::rotaryFrequencies() const {
  int64_t pairs = qkRopeHeadDim / 2;
  double dim = static_cast<double>(qkRopeHeadDim);
  std::vector<double> frequencies(pairs);
  for (int64_t j = 0; j < pairs; ++j)
    frequencies[j] = std::pow(ropeTheta, -2.0 * static_cast<double>(j) / dim);
  if (!yarn)
    return frequencies;
  auto cut = [&](double turns) {
    double length = static_cast<double>(yarn->originalMaxPosition);
    return dim * std::log(length / (2 * kPi * turns)) / (2 * std::log(ropeTheta));
  };
  double low = std::max(std::floor(cut(yarn->betaFast)), 0.0);
  double high = std::min(std::ceil(cut(yarn->betaSlow)), dim - 1);
  double width = high != low ? high - low : 0.001;
  for (int64_t j = 0; j < pairs; ++j) {
    double ramp = std::clamp((static_cast<double>(j) - low) / width, 0.0, 1.0);
    frequencies[j] = frequencies[j] * (1 - ramp) + frequencies[j] / yarn->factor * ramp;
  }
  return frequencies;
}

} // namespace hadal
