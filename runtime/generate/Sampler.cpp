// SPDX-License-Identifier: Apache-2.0
//
// See Sampler.h.

#include "runtime/generate/Sampler.h"

#include "runtime/support/Error.h"
#include "runtime/support/Random.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hadal::rt {

std::int64_t Sampler::choose(const float *logits, std::int64_t vocabulary, std::int64_t position) {
  for (std::int64_t i = 0; i < vocabulary; ++i)
    if (std::isnan(logits[i]))
      throw RunError("logit " + std::to_string(i) + " at position " + std::to_string(position) +
                     " is not a number");
  if (options.temperature == 0)
    return std::max_element(logits, logits + vocabulary) - logits;

  order.resize(std::size_t(vocabulary));
  std::iota(order.begin(), order.end(), std::int64_t(0));
  auto larger = [&](std::int64_t a, std::int64_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  std::size_t kept = order.size();
  if (options.topK > 0)
    kept = std::min(kept, std::size_t(options.topK));
  std::partial_sort(order.begin(), order.begin() + std::ptrdiff_t(kept), order.end(), larger);

  weights.resize(kept);
  double total = 0;
  for (std::size_t i = 0; i < kept; ++i) {
    weights[i] =
        std::exp((double(logits[order[i]]) - double(logits[order[0]])) / options.temperature);
    total += weights[i];
  }
  double sum = 0;
  std::size_t end = 0;
  while (end < kept && (end == 0 || sum < options.topP * total))
    sum += weights[end++];

  auto words = philox(options.seed, hashName("sample"), std::uint64_t(position));
  double point = toUnit(words[0], words[1]) * sum, seen = 0;
  for (std::size_t i = 0; i < end; ++i) {
    seen += weights[i];
    if (point < seen)
      return order[i];
  }
  return order[end - 1];
}

} // namespace hadal::rt
