// SPDX-License-Identifier: Apache-2.0
//
// Text generation on one rank: the prompt in blocks of 64 (program "prefill"), then token by token
// (program "decode") over the latent cache.

#ifndef HADAL_RUNTIME_GENERATE_GENERATOR_H
#define HADAL_RUNTIME_GENERATE_GENERATOR_H

#include "runtime/generate/Sampler.h"
#include "runtime/program/Executor.h"

#include <functional>
#include <vector>

namespace hadal::rt {

struct GenerateOptions {
  SamplerOptions sampler;
  std::int64_t maxTokens = 0; // 0: up to max_position_embeddings
  bool ignoreEos = false;
};

struct GenerateReport {
  std::int64_t promptTokens = 0, newTokens = 0;
  double prefillSeconds = 0, decodeSeconds = 0;
  bool endedByEos = false;
};

class Generator {
public:
  /// Prepares programs "prefill" and "decode"; weights are in the store already.
  Generator(Store &store, ThreadPool &pool);

  /// Continues `prompt`, calling `token` for every new id (eos too) as it is chosen. Throws
  /// InputError for an empty prompt, ids outside the vocabulary, and lengths above
  /// max_position_embeddings.
  GenerateReport run(const std::vector<std::int32_t> &prompt, const GenerateOptions &options,
                     const std::function<void(std::int64_t)> &token);

private:
  std::int64_t limitOf(const std::vector<std::int32_t> &prompt,
                       const GenerateOptions &options) const;
  void runPrompt(const std::vector<std::int32_t> &prompt);
  const float *decodeToken(std::int64_t id, std::int64_t position);
  bool isEos(std::int64_t id) const;

  const Bundle &bundle;
  Executor prefill, decode;
};

} // namespace hadal::rt

#endif
