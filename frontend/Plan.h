// SPDX-License-Identifier: Apache-2.0
//
// A training plan (plan.json): batch shape, parallel layout, precision, optimizer and programs.
// Three steps keep apart what a plan may say (parsePlan), what fits together and with a model
// (checkPlan), and what this version can do (checkSupported). Free of MLIR.

#ifndef HADAL_FRONTEND_PLAN_H
#define HADAL_FRONTEND_PLAN_H

#include "frontend/Json.h"
#include "frontend/ModelSpec.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hadal {

enum class ScheduleKind : uint8_t { OneF1B, Zb1p, DualPipe, DualPipeV };
enum class OverlapKind : uint8_t { None, Paper, Searched };
enum class Precision : uint8_t { F32, BF16, FP8 };
enum class RateShape : uint8_t { Linear, Constant, Cosine };
enum class Recompute : uint8_t { Norms, MlaUp, Swiglu };
enum class Program : uint8_t { Train, Generate, Evaluate };
/// What a plan is read for: kernels, or everything but them (sizes, memory, schedule).
enum class Purpose : uint8_t { Compile, DryRun };

const char *name(ScheduleKind); ///< 1f1b | zb1p | dualpipe | dualpipev
const char *name(OverlapKind);  ///< none | paper | searched
const char *name(Precision);    ///< f32 | bf16 | fp8
const char *name(RateShape);    ///< linear | constant | cosine
const char *name(Recompute);    ///< norms | mla_up | swiglu
const char *name(Program);      ///< train | generate | evaluate

/// One phase of the learning rate: from where the last phase ended (0 at first) to `to` in `steps`
/// optimizer steps.
struct RatePhase {
  RateShape shape = RateShape::Constant;
  int64_t steps = 1;
  double to = 0; ///< a constant phase without `to` holds the value before it; resolved here
};

/// A value that may change during training: `steps` optimizer steps of `value`; 0 in the last
/// phase: for ever.
template <typename T> struct Phase {
  int64_t steps = 0;
  T value{};
};
/// Never empty; one phase where the plan gives a plain number.
template <typename T> using Phases = std::vector<Phase<T>>;

struct Plan {
  std::string file; ///< the name messages use
  std::string text; ///< plan.json, byte for byte

  int64_t sequences = 1;  ///< of one micro-batch
  Phases<int64_t> tokens; ///< window length
  int64_t pipelineRanks = 1;
  ScheduleKind schedule = ScheduleKind::OneF1B;
  Phases<int64_t> microBatches; ///< of one replica in one optimizer step
  OverlapKind overlap = OverlapKind::Paper;
  std::vector<int64_t> stages; ///< layers on each stage; empty: balanced by cost
  int64_t dataParallel = 1, expertParallel = 1;

  Precision precision = Precision::F32, cache = Precision::F32, dispatch = Precision::F32;
  std::vector<Recompute> recompute;

  double beta1 = 0.9, beta2 = 0.95, adamEps = 1e-8, weightDecay = 0.1;
  Precision moments = Precision::F32;
  double clipNorm = 1.0;               ///< 0: off
  std::vector<RatePhase> learningRate; ///< empty only where `train` is not among the programs

  Phases<double> biasUpdateSpeed, mtpWeight;
  double sequenceBalanceAlpha = 0; ///< from the config unless given
  double initializerRange = 0.02;  ///< from the config unless given
  int64_t seed = 0;
  std::vector<Program> programs; ///< in the order train, generate, evaluate

  bool has(Program program) const;
  bool recomputes(Recompute what) const;
  /// Window length and micro-batch count where they do not change (checkSupported).
  int64_t windowTokens() const { return tokens.front().value; }
  int64_t microBatchCount() const { return microBatches.front().value; }
  /// Pipeline stages: one a rank, two under dualpipev.
  int64_t stageCount() const {
    return pipelineRanks * (schedule == ScheduleKind::DualPipeV ? 2 : 1);
  }
};

/// Parses a plan for `spec` (which gives two defaults). Checks types, ranges, unknown keys.
Checked<Plan> parsePlan(const std::string &text, const std::string &file, const ModelSpec &spec);

/// What does not fit together, or not with the model. Nothing if all is well.
std::optional<InputError> checkPlan(const Plan &plan, const ModelSpec &spec);

/// What this version cannot do yet; the message says what is supported. Nothing if all is well.
std::optional<InputError> checkSupported(const Plan &plan, Purpose purpose = Purpose::Compile);

/// parsePlan, checkSupported and checkPlan of a file: what tools call.
Checked<Plan> loadPlan(const std::string &path, const ModelSpec &spec,
                       Purpose purpose = Purpose::Compile);
/// The same for a text, such as the one a module carries.
Checked<Plan> usablePlan(const std::string &text, const std::string &file, const ModelSpec &spec,
                         Purpose purpose = Purpose::Compile);

/// All defaults; for what a plan must say: one sequence of min(4096, max_position_embeddings)
/// tokens, a constant learning rate. Its `text` parses to the same plan.
Checked<Plan> defaultPlan(const ModelSpec &spec);

/// Every setting and default as (name, value), in a fixed order, for printing.
std::vector<std::pair<std::string, std::string>> namedChoices(const Plan &plan);

} // namespace hadal

#endif // HADAL_FRONTEND_PLAN_H
