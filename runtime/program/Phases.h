// SPDX-License-Identifier: Apache-2.0
//
// What changes during training: the learning rate, and values given as phases. Standard library
// only, because both the runtime and tools that know no runtime may include it.

#ifndef HADAL_RUNTIME_PROGRAM_PHASES_H
#define HADAL_RUNTIME_PROGRAM_PHASES_H

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hadal::rt {

enum class RateShape : int32_t { Linear = 0, Constant = 1, Cosine = 2 };

/// One phase of the learning rate: `steps` optimizer steps from where the last phase ended (0 at
/// first) to `to`.
struct RatePhase {
  RateShape shape = RateShape::Constant;
  int64_t steps = 1;
  double to = 0;
};

/// The learning rate of optimizer step `step`, counted from 1. With n the step within its phase:
/// linear start + (to - start) n / steps; constant to; cosine to + (start - to)(1 + cos(pi n /
/// steps)) / 2. The last phase's end value holds for ever; no phases give 0.
inline double learningRate(const std::vector<RatePhase> &phases, int64_t step) {
  constexpr double pi = 3.14159265358979323846;
  double start = 0;
  for (size_t i = 0; i < phases.size(); ++i) {
    const RatePhase &phase = phases[i];
    if (step <= phase.steps || i + 1 == phases.size()) {
      double t = std::min(static_cast<double>(step) / static_cast<double>(phase.steps), 1.0);
      switch (phase.shape) {
      case RateShape::Linear:
        return start + (phase.to - start) * t;
      case RateShape::Constant:
        return phase.to;
      case RateShape::Cosine:
        return phase.to + (start - phase.to) * (1 + std::cos(pi * t)) / 2;
      }
    }
    step -= phase.steps;
    start = phase.to;
  }
  return start;
}

/// A value that changes: `steps` optimizer steps of `value`; the last phase holds for ever (steps
/// 0).
struct ValuePhase {
  int64_t steps = 0;
  double value = 0;
};

/// The value at optimizer step `step`, counted from 1; no phases give 0.
inline double valueAt(const std::vector<ValuePhase> &phases, int64_t step) {
  double value = 0;
  for (const ValuePhase &phase : phases) {
    value = phase.value;
    if (phase.steps == 0 || step <= phase.steps)
      break;
    step -= phase.steps;
  }
  return value;
}

} // namespace hadal::rt

#endif // HADAL_RUNTIME_PROGRAM_PHASES_H
