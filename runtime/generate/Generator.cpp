// SPDX-License-Identifier: Apache-2.0
//
// See Generator.h.

#include "runtime/generate/Generator.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <numeric>

namespace hadal::rt {

/// The blocks of the cache are used in order: one sequence has them all.
static void fillBlockTable(const Executor &program) {
  if (!program.has("block_table"))
    return;
  const View &blocks = program.view("block_table");
  std::iota(blocks.as<std::int32_t>(), blocks.as<std::int32_t>() + blocks.elements, 0);
}

Generator::Generator(Store &store, ThreadPool &pool)
    : bundle(store.bundle()), prefill(store, pool, "prefill"), decode(store, pool, "decode") {
  fillBlockTable(prefill);
  fillBlockTable(decode);
}

std::int64_t Generator::limitOf(const std::vector<std::int32_t> &prompt,
                                const GenerateOptions &options) const {
  const std::int64_t positions = bundle.model().max_positions();
  const auto length = std::int64_t(prompt.size());
  if (prompt.empty())
    throw InputError("prompt", "is empty; at least one token is needed");
  for (std::int32_t id : prompt)
    if (id < 0 || id >= bundle.model().vocab_size())
      throw InputError("prompt", "token id " + std::to_string(id) + "; allowed are 0 to " +
                                     std::to_string(bundle.model().vocab_size() - 1));
  if (length >= positions || options.maxTokens > positions - length)
    throw InputError("prompt", std::to_string(length) + " tokens and " +
                                   std::to_string(std::max<std::int64_t>(options.maxTokens, 1)) +
                                   " new ones; max_position_embeddings allows " +
                                   std::to_string(positions) + " in all");
  return options.maxTokens > 0 ? options.maxTokens : positions - length;
}

void Generator::runPrompt(const std::vector<std::int32_t> &prompt) {
  const View &tokens = prefill.view("tokens");
  const auto length = std::int64_t(prompt.size());
  for (std::int64_t at = 0; at < length; at += tokens.elements) {
    const std::int64_t valid = std::min(tokens.elements, length - at);
    auto *out = std::copy_n(prompt.begin() + at, valid, tokens.as<std::int32_t>());
    std::fill_n(out, tokens.elements - valid, 0); // rows past `valid` are computed and not used
    prefill.setScalar("position", double(at));
    prefill.setScalar("valid", double(valid));
    prefill.run();
  }
}

const float *Generator::decodeToken(std::int64_t id, std::int64_t position) {
  *decode.view("tokens").as<std::int32_t>() = std::int32_t(id);
  decode.setScalar("position", double(position));
  decode.setScalar("valid", 1);
  decode.run();
  return decode.view("logits").as<float>();
}

bool Generator::isEos(std::int64_t id) const {
  if (const auto *eos = bundle.model().eos())
    return std::find(eos->begin(), eos->end(), id) != eos->end();
  return false;
}

GenerateReport Generator::run(const std::vector<std::int32_t> &prompt,
                              const GenerateOptions &options,
                              const std::function<void(std::int64_t)> &token) {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const std::int64_t limit = limitOf(prompt, options), vocabulary = bundle.model().vocab_size();
  GenerateReport report;
  report.promptTokens = std::int64_t(prompt.size());
  auto start = Clock::now();
  runPrompt(prompt);
  report.prefillSeconds = since(start);

  start = Clock::now();
  Sampler sampler(options.sampler);
  const float *logits = prefill.view("logits").as<float>();
  for (std::int64_t position = report.promptTokens;; ++position) {
    std::int64_t id = sampler.choose(logits, vocabulary, position);
    token(id);
    ++report.newTokens;
    report.endedByEos = isEos(id) && !options.ignoreEos;
    if (report.endedByEos || report.newTokens == limit)
      break;
    logits = decodeToken(id, position);
  }
  report.decodeSeconds = since(start);
  return report;
}

} // namespace hadal::rt
