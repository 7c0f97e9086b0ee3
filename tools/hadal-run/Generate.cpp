// SPDX-License-Identifier: Apache-2.0
//
// hadal-run generate.

#include "runtime/generate/Generator.h"

#include "runtime/data/ByteTokenizer.h"
#include "runtime/program/Parameters.h"
#include "runtime/support/Error.h"
#include "tools/hadal-run/Commands.h"

#include <cstdio>
#include <memory>

namespace hadal::rt {

namespace {
struct Flags {
  std::string bundle, weights, prompt, promptIds;
  bool ids = false;
  GenerateOptions options;
  DeviceFlags device;
};
} // namespace

static std::vector<std::int32_t> parseIds(const std::string &text) {
  std::vector<std::int32_t> ids;
  std::size_t at = 0;
  while (at <= text.size()) {
    std::size_t comma = std::min(text.find(',', at), text.size());
    std::string part = text.substr(at, comma - at);
    if (part.empty() || part.size() > 9 ||
        part.find_first_not_of("0123456789") != std::string::npos)
      throw InputError("--prompt-ids", "\"" + part + "\" is no token id; write numbers like 5,7,9");
    ids.push_back(std::int32_t(std::stol(part)));
    at = comma + 1;
  }
  return ids;
}

static void checkSampling(const GenerateOptions &options) {
  // What is no number is not within.
  auto within = [](double value, double least, double most) {
    return value >= least && value <= most;
  };
  if (!within(options.sampler.temperature, 0, 1e6))
    throw InputError("--temperature", "allowed are numbers from 0");
  if (options.sampler.topP == 0 || !within(options.sampler.topP, 0, 1))
    throw InputError("--top-p", "allowed are numbers above 0 up to 1");
  if (options.sampler.topK < 0)
    throw InputError("--top-k", "allowed are numbers from 0 (0: all)");
  if (options.maxTokens < 0)
    throw InputError("--max-tokens",
                     "allowed are numbers from 0 (0: as many as there are positions)");
}

static void generate(const Flags &flags, bool byIds) {
  checkSampling(flags.options);
  const int threads = flags.device.resolve();
  Bundle bundle(flags.bundle);
  bundle.program("prefill");
  bundle.program("decode");
  std::vector<std::int32_t> prompt;
  if (byIds) {
    prompt = parseIds(flags.promptIds);
  } else {
    ByteTokenizer::requireUsable(bundle.model().vocab_size(), flags.weights, "--prompt");
    prompt = ByteTokenizer::encode(flags.prompt);
  }
  if (!flags.ids)
    ByteTokenizer::requireUsable(bundle.model().vocab_size(), flags.weights,
                                 "text output without --ids");
  ThreadPool pool(threads);
  Store store(bundle);
  loadWeights(store, pool, flags.weights);
  Generator generator(store, pool);
  bool first = true;
  GenerateReport report = generator.run(prompt, flags.options, [&](std::int64_t id) {
    if (flags.ids)
      std::printf("%s%lld", first ? "" : " ", static_cast<long long>(id));
    else
      std::fputs(ByteTokenizer::decode(id).c_str(), stdout);
    first = false;
    std::fflush(stdout);
  });
  std::fputc('\n', stdout);
  auto rate = [](std::int64_t count, double seconds) {
    return seconds > 0 ? double(count) / seconds : 0;
  };
  std::fprintf(
      stderr, "prompt: %lld tokens, %.1f tokens/s; new: %lld tokens, %.1f tokens/s%s\n",
      static_cast<long long>(report.promptTokens), rate(report.promptTokens, report.prefillSeconds),
      static_cast<long long>(report.newTokens),
      // The first new token comes out of the prompt.
      rate(report.newTokens - 1, report.decodeSeconds), report.endedByEos ? "; ended by eos" : "");
}

void addGenerate(CLI::App &app) {
  auto flags = std::make_shared<Flags>();
  GenerateOptions &o = flags->options;
  o.maxTokens = 128;
  CLI::App *command =
      app.add_subcommand("generate", "Continues a prompt; stdout carries the continuation only.");
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")
      ->type_name("FILE")
      ->required();
  command->add_option("--weights", flags->weights, "a checkpoint, a folder or a safetensors file")
      ->type_name("PATH")
      ->required();
  auto *text =
      command->add_option("--prompt", flags->prompt, "text (bytes as ids)")->type_name("TEXT");
  auto *ids = command->add_option("--prompt-ids", flags->promptIds, "token ids: 5,7,9");
  ids->type_name("IDS");
  command->add_flag("--ids", flags->ids, "print the new ids, on one line, instead of text");
  auto number = [&](const char *name, auto &value, const char *what) {
    command->add_option(name, value, what)->type_name("N")->capture_default_str();
  };
  number("--temperature", o.sampler.temperature, "0: always the likeliest token");
  number("--top-k", o.sampler.topK, "choose among so many (0: all)");
  number("--top-p", o.sampler.topP, "choose among the likeliest with this share");
  number("--seed", o.sampler.seed, "of the sampling");
  number("--max-tokens", o.maxTokens, "new tokens (0: up to max_position_embeddings)");
  command->add_flag("--ignore-eos", o.ignoreEos, "go on past the end-of-sequence token");
  command->footer(
      "  hadal-run generate nano.hadal --weights run/step-000000300 --prompt \"In the beginning\"\n"
      "  hadal-run generate nano.hadal --weights run/step-000000300 --prompt-ids 5,7,9 --ids\n\n" +
      app.get_footer());
  flags->device.add(*command);
  command->callback([flags, text, ids] {
    if ((text->count() > 0) == (ids->count() > 0))
      throw InputError("--prompt, --prompt-ids", "exactly one of the two is needed");
    generate(*flags, ids->count() > 0);
  });
}

} // namespace hadal::rt
