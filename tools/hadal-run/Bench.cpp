// SPDX-License-Identifier: Apache-2.0
//
// hadal-run bench: times training steps and decoding of a bundle with initial weights and random
// ids.

#include "runtime/generate/Generator.h"
#include "runtime/program/Inspect.h"
#include "runtime/support/Error.h"
#include "runtime/support/Random.h"
#include "runtime/train/TrainingState.h"
#include "runtime/train/TrainingStep.h"
#include "tools/hadal-run/Commands.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

namespace hadal::rt {

namespace {
struct Flags {
  std::string bundle;
  std::int64_t steps = 20, tokens = 64;
  bool kernels = false;
  DeviceFlags device;
};
} // namespace

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

static void printCosts(const Executor &program, std::int64_t runs) {
  for (const KernelCost &cost : program.costs())
    std::printf("  %-40s %6lld calls  %9.3f ms\n", cost.symbol.c_str(),
                static_cast<long long>(cost.calls / runs), cost.seconds * 1e3 / double(runs));
}

static void benchTraining(Store &store, ThreadPool &pool, const Flags &flags) {
  const Bundle &bundle = store.bundle();
  TrainingStep training(store, pool);
  const View &ids = training.gradients.view("tokens");
  for (std::int64_t i = 0; i < ids.elements; ++i)
    ids.as<std::int32_t>()[i] = std::int32_t(philox(1, 2, std::uint64_t(i))[0] %
                                             std::uint64_t(bundle.model().vocab_size()));
  training.run(1); // touches the memory
  training.gradients.keepTimes(flags.kernels);
  training.update.keepTimes(flags.kernels);
  std::vector<double> seconds;
  for (std::int64_t step = 0; step < flags.steps; ++step)
    seconds.push_back(training.run(step + 2).seconds);
  const double typical = median(seconds);
  const double tokens = double(bundle.rowsPerStep() * bundle.training().tokens());
  std::printf(
      "train: median %.4f s a step of %lld, %.0f tokens/s, %.3g FLOP a step, %.1f GFLOP/s\n",
      typical, static_cast<long long>(flags.steps), tokens / typical, training.flops(),
      training.flops() / typical * 1e-9);
  if (flags.kernels) {
    printCosts(training.gradients, flags.steps);
    printCosts(training.update, flags.steps);
  }
}

static void benchDecoding(Store &store, ThreadPool &pool, const Flags &flags) {
  const Bundle &bundle = store.bundle();
  Generator generator(store, pool);
  const std::int64_t positions = bundle.model().max_positions();
  GenerateOptions options;
  options.ignoreEos = true;
  options.maxTokens = std::max<std::int64_t>(1, std::min(flags.tokens, positions / 2));
  std::vector<std::int32_t> prompt(std::size_t(std::clamp<std::int64_t>(positions / 2, 1, 64)), 1);
  if (std::int64_t(prompt.size()) + options.maxTokens > positions)
    return;
  std::vector<double> prefill, decode;
  for (int run = 0; run < 5; ++run) {
    GenerateReport report = generator.run(prompt, options, [](std::int64_t) {});
    prefill.push_back(report.prefillSeconds);
    decode.push_back(report.decodeSeconds);
  }
  std::printf("generate: prefill %.0f tokens/s (%zu tokens), decode %.1f tokens/s (%lld tokens)\n",
              double(prompt.size()) / median(prefill), prompt.size(),
              double(options.maxTokens - 1) / std::max(median(decode), 1e-9),
              static_cast<long long>(options.maxTokens));
}

static void bench(const Flags &flags) {
  if (flags.steps < 1 || flags.tokens < 1)
    throw InputError("--steps, --tokens", "allowed are numbers from 1");
  const auto start = std::chrono::steady_clock::now();
  ThreadPool pool(flags.device.resolve());
  Bundle bundle(flags.bundle);
  Store store(bundle);
  initializeParameters(store, pool, Layout(store.bundle(), 0));
  std::printf("%s, %d threads; start %.3f s\n", cpuModelName().c_str(), pool.threads(),
              std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (bundle.findProgram("gradients") && bundle.findProgram("update"))
    benchTraining(store, pool, flags);
  if (bundle.findProgram("prefill") && bundle.findProgram("decode"))
    benchDecoding(store, pool, flags);
  std::printf("peak resident %.1f MiB\n", double(peakResident()) / (1 << 20));
}

void addBench(CLI::App &app) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "bench", "Times training steps and decoding, with initial weights and random ids.");
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")->required();
  command->add_option("--steps", flags->steps, "training steps to time")->capture_default_str();
  command->add_option("--tokens", flags->tokens, "tokens to decode")->capture_default_str();
  command->add_flag("--kernels", flags->kernels, "also the time of every kernel");
  flags->device.add(*command);
  command->callback([flags] { bench(*flags); });
}

} // namespace hadal::rt
