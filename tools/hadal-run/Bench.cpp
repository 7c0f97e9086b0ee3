// SPDX-License-Identifier: Apache-2.0
//
// hadal-run bench: times training steps and decoding of a bundle with initial weights and random
// ids, on one rank or many; measures a profile for the simulator.

#include "runtime/generate/Generator.h"
#include "runtime/program/Inspect.h"
#include "runtime/simulate/Report.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Random.h"
#include "runtime/train/Paced.h"
#include "runtime/train/Ranks.h"
#include "runtime/train/StepCosts.h"
#include "runtime/train/TrainingState.h"
#include "tools/hadal-run/Commands.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>

namespace hadal::rt {

namespace {
struct Flags {
  std::string bundle, profile, trace, costs;
  int localRanks = 0;
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

static void randomIds(TrainingStep &training, const Bundle &bundle) {
  const std::int64_t columns = bundle.training().tokens() + 1;
  training.readTokens([&](std::int64_t row, std::int32_t *out) {
    for (std::int64_t i = 0; i < columns; ++i)
      out[i] = std::int32_t(philox(1, 2, std::uint64_t(row * columns + i))[0] %
                            std::uint64_t(bundle.model().vocab_size()));
  });
}

/// Runs steps; returns what one takes. `costs` (may be null) gets what ranks did in them, `last`
/// that of the last one.
static double timeSteps(TrainingStep &training, Rank &rank, const Flags &flags, StepCosts *costs,
                        StepSpans &last) {
  const bool spans = costs || !flags.trace.empty();
  std::vector<double> seconds;
  rank.context.progress.step(1);
  training.run(1); // touches the memory
  training.gradients.keepTimes(flags.kernels);
  training.update.keepTimes(flags.kernels);
  if (spans)
    keepSpans(training);
  for (std::int64_t step = 2; step < flags.steps + 2; ++step) {
    rank.context.progress.step(step);
    seconds.push_back(training.run(step).seconds);
    if (!spans)
      continue;
    last = gatherSpans(rank.links, training);
    if (costs && rank.first())
      costs->add(last);
  }
  return median(seconds);
}

static void printTraining(const TrainingStep &training, const Rank &rank, const Flags &flags,
                          double typical, const ProgramRun *simulated) {
  const Bundle &bundle = rank.bundle;
  const double tokens = double(bundle.rowsPerStep() * bundle.training().tokens());
  std::printf(
      "train: median %.4f s a step of %lld, %.0f tokens/s, %.3g FLOP a step, %.1f GFLOP/s\n",
      typical, static_cast<long long>(flags.steps), tokens / typical, training.flops(),
      training.flops() / typical * 1e-9);
  if (simulated)
    std::printf("simulated: %.4f s a step, %s/simulated %.3f\n", simulated->makespan() / 1e6,
                flags.device.paced() ? "paced" : "measured", typical * 1e6 / simulated->makespan());
  if (flags.kernels) {
    printCosts(training.gradients, flags.steps);
    printCosts(training.update, flags.steps);
  }
}

static void benchTraining(Rank &rank, const Flags &flags, Costs given) {
  const bundle::Bundle &table = rank.bundle.table();
  TrainingStep training(rank.store, rank.pool, rank.links);
  randomIds(training, rank.bundle);
  std::optional<ProgramRun> simulated;
  if (flags.device.paced() || !flags.costs.empty())
    simulated.emplace(table, given, kRanksPerNode);
  if (flags.device.paced())
    setPace(training, *simulated, std::uint32_t(rank.layout.place().pipelineRank));
  StepCosts costs(table);
  StepSpans last;
  const double typical =
      timeSteps(training, rank, flags, flags.profile.empty() ? nullptr : &costs, last);
  if (!rank.first())
    return;
  if (!flags.profile.empty()) {
    writeReport(flags.profile, costs.json());
    if (!simulated) {
      given = Costs::load(flags.profile);
      simulated.emplace(table, given, kRanksPerNode);
    }
  }
  printTraining(training, rank, flags, typical, simulated ? &*simulated : nullptr);
  if (!flags.trace.empty())
    writeStepTrace(flags.trace, table, last, simulated ? &*simulated : nullptr);
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

static void benchRank(Rank &rank, const Flags &flags) {
  const auto start = std::chrono::steady_clock::now();
  const Bundle &bundle = rank.bundle;
  const auto role = std::uint32_t(rank.layout.place().pipelineRank);
  const bool measures = !flags.profile.empty() || !flags.trace.empty() || !flags.costs.empty();
  if (measures || flags.device.paced())
    for (const char *name : {"gradients", "update"})
      bundle.program(name, role);
  const Costs costs = flags.costs.empty() ? Costs() : Costs::load(flags.costs);
  for (const std::string &file : {flags.profile, flags.trace})
    if (rank.first() && !file.empty())
      requireWritable(file);
  if (!flags.device.paced())
    initializeParameters(rank.store, rank.pool, rank.layout);
  if (rank.first())
    std::printf("%s, %d %s, %d threads%s; start %.3f s\n", cpuModelName().c_str(),
                rank.context.size, rank.alone() ? "rank" : "ranks", rank.pool.threads(),
                rank.alone() ? "" : " each",
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (bundle.findProgram("gradients", role) && bundle.findProgram("update", role))
    benchTraining(rank, flags, costs);
  if (rank.alone() && !flags.device.paced() && bundle.findProgram("prefill") &&
      bundle.findProgram("decode"))
    benchDecoding(rank.store, rank.pool, flags);
  if (rank.first())
    std::printf("peak resident %.1f MiB\n", double(peakResident()) / (1 << 20));
}

static void bench(const Flags &flags) {
  if (flags.steps < 1 || flags.tokens < 1)
    throw InputError("--steps, --tokens", "allowed are numbers from 1");
  if (flags.device.paced() && !flags.profile.empty())
    throw InputError("--profile", "measures kernels; the paced device runs none");
  WorldOptions world;
  world.threads = flags.device.perRank();
  endUnlessDone(runRanks(findLaunch(flags.localRanks), flags.bundle, {}, world,
                         [&](Rank &rank) { benchRank(rank, flags); }));
}

void addBench(CLI::App &app) {
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "bench", "Times training steps and decoding, with initial weights and random ids.");
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")
      ->type_name("FILE")
      ->required();
  command->add_option("--steps", flags->steps, "training steps to time")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--tokens", flags->tokens, "tokens to decode, on one rank")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--kernels", flags->kernels, "also the time of every kernel");
  addRanks(*command, flags->localRanks);
  command
      ->add_option("--profile", flags->profile,
                   "write the measured times of components and messages, as costs for simulate "
                   "(JSON); a step simulated with them is printed beside")
      ->type_name("FILE");
  command
      ->add_option(
          "--costs", flags->costs,
          "costs for the simulator (JSON): a simulated step is printed beside the measured "
          "one; the paced device keeps to them")
      ->type_name("FILE");
  command
      ->add_option("--trace", flags->trace,
                   "write what every rank did in the last step, and what was simulated of it, for "
                   "Perfetto (ui.perfetto.dev)")
      ->type_name("FILE");
  flags->device.add(*command, /*canPace=*/true);
  command->footer(
      "  hadal-run bench nano.hadal --kernels\n"
      "  hadal-run bench four.hadal --local-ranks 4 --profile costs.json --trace t.json\n"
      "  hadal-run bench four.hadal --local-ranks 4 --device paced --costs costs.json\n\n" +
      app.get_footer());
  command->callback([flags] { bench(*flags); });
}

} // namespace hadal::rt
