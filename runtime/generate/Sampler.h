// SPDX-License-Identifier: Apache-2.0
//
// Choice of the next token from logits: temperature, top-k, top-p, seed.

#ifndef HADAL_RUNTIME_GENERATE_SAMPLER_H
#define HADAL_RUNTIME_GENERATE_SAMPLER_H

#include <cstdint>
#include <vector>

namespace hadal::rt {

struct SamplerOptions {
  double temperature = 0; // 0: the largest logit, ties to the lowest id
  std::int64_t topK = 0;  // 0: all
  double topP = 1;        // the smallest set of tokens with at least this probability
  std::uint64_t seed = 0;
};

class Sampler {
public:
  explicit Sampler(const SamplerOptions &options) : options(options) {}

  /// The id chosen for the token at `position`; depends on (seed, position, logits) only. Throws
  /// RunError when a logit is not a number.
  std::int64_t choose(const float *logits, std::int64_t vocabulary, std::int64_t position);

private:
  SamplerOptions options;
  std::vector<std::int64_t> order;
  std::vector<double> weights;
};

} // namespace hadal::rt

#endif
