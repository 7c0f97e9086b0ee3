// SPDX-License-Identifier: Apache-2.0
//
// See Trainer.h.

#include "runtime/train/Trainer.h"

#include "runtime/data/Rows.h"
#include "runtime/program/Parameters.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/trace/Progress.h"
#include "runtime/train/Evaluate.h"
#include "runtime/train/Paced.h"
#include "runtime/train/Profile.h"
#include "runtime/train/StepTrace.h"
#include "runtime/train/TrainingState.h"
#include "runtime/train/TrainingStep.h"
#include "runtime/train/TransportPeers.h"
#include "runtime/transport/Fault.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

namespace hadal::rt {

namespace {

/// One rank's part. All ranks take the same decisions, from what they have alike; rank 0 speaks.
class Trainer {
public:
  Trainer(const TrainOptions &options, Rank &rank)
      : options(options), rank(rank), bundle(rank.bundle), peers(rank.context.transport) {}

  void run() {
    checkPrograms();
    std::optional<FoundCheckpoint> found = findStart();
    openData();
    TrainingStep training(rank.store, rank.pool, rank.links);
    simulate(training);
    step = begin(found);
    if (step >= options.steps) {
      say("already at step " + std::to_string(step) + " of " + std::to_string(options.steps) +
          "; nothing to do");
      return;
    }
    MetricsFile metricsFile(rank.first() ? options.metrics : std::string(), step);
    std::optional<Progress> bar;
    if (rank.first())
      progress = &bar.emplace(step, options.steps);
    Profile profile(rank, training, options.profile, validation != nullptr);
    if (!options.trace.empty())
      keepSpans(training);
    while (step < options.steps && !stopped)
      oneStep(training, metricsFile, profile);
    progress = nullptr;
    if (saved != step && !options.paced)
      save();
    if (stopped && step < options.steps)
      say(std::string("stopped by ") + (stopped == SIGINT ? "SIGINT" : "SIGTERM") + " after step " +
          std::to_string(step) + "; go on with:\n  " + options.resumeCommand);
  }

private:
  void say(const std::string &line) const {
    if (progress)
      progress->say(line);
    else if (rank.first())
      std::fprintf(stderr, "%s\n", line.c_str());
  }

  void checkPrograms() const {
    const auto pipelineRank = std::uint32_t(rank.layout.place().pipelineRank);
    if (options.steps < 1)
      throw InputError("--steps", std::to_string(options.steps) + " steps; at least 1 is needed");
    bundle.program("gradients", pipelineRank);
    bundle.program("update", pipelineRank);
    if (!options.validation.empty())
      bundle.program("evaluate", pipelineRank);
    if (rank.first() && !options.trace.empty())
      requireWritable(options.trace);
  }

  std::optional<FoundCheckpoint> findStart() {
    if (options.resume)
      return findLatestCheckpoint(
          options.checkpoint, [&](const std::string &why) { say(why); }, peers);
    if (std::vector<std::int64_t> steps = checkpointSteps(options.checkpoint); !steps.empty())
      throw InputError(options.checkpoint,
                       "holds checkpoints up to step " + std::to_string(steps.back()) +
                           "; go on with --resume auto, or name another folder");
    return std::nullopt;
  }

  void openData() {
    RowOptions rowOptions;
    rowOptions.tokens = bundle.training().tokens();
    rowOptions.vocabulary = bundle.model().vocab_size();
    rowOptions.seed = bundle.training().seed();
    rowOptions.weights = options.weights;
    rowOptions.validationFraction = options.validation.empty() ? options.validationFraction : 0;
    rows = openRows(options.data, rowOptions);
    const std::int64_t need = options.steps * bundle.rowsPerStep();
    if (rows->limit() >= 0 && rows->limit() < need)
      throw InputError(options.data, "tokens: " + std::to_string(rows->limit()) + " rows; " +
                                         std::to_string(options.steps) + " steps need " +
                                         std::to_string(need) + " (a tokens file is used once)");
    const Rows *source = rows.get();
    std::string file = options.data;
    if (!options.validation.empty()) {
      rowOptions.validationFraction = 1;
      validationRows = openRows(options.validation, rowOptions);
      source = validationRows.get();
      file = options.validation;
    }
    // What the data hold out by default may be too short for a window; a file that was named may
    // not.
    if (options.paced)
      return;
    const bool enough = source->heldOutTokens() > bundle.training().tokens();
    if (bundle.findProgram("evaluate", std::uint32_t(rank.layout.place().pipelineRank)) &&
        (enough || validationRows))
      validation = std::make_unique<Validation>(rank, *source, file);
  }

  /// Fills the store; returns the step that is done.
  std::int64_t begin(const std::optional<FoundCheckpoint> &found) {
    if (found) {
      restore(rank.store, rank.pool, rank.layout, *found);
      position = rowsUsed(*found);
      saved = found->step;
      say("resumed from " + found->folder);
      return found->step;
    }
    if (options.weights.empty()) {
      initializeParameters(rank.store, rank.pool, rank.layout);
      say("initial values from seed " + std::to_string(bundle.training().seed()));
    } else {
      loadWeights(rank.store, rank.pool, rank.layout, options.weights);
      say("weights from " + options.weights);
    }
    return 0;
  }

  /// Foretells the step, where that is of use.
  void simulate(TrainingStep &training) {
    if (!options.paced && (options.trace.empty() || options.costs.empty()))
      return;
    if (!options.costs.empty())
      costs = Costs::load(options.costs);
    predicted.emplace(bundle.table(), costs, kRanksPerNode);
    if (options.paced)
      setPace(training, *predicted, std::uint32_t(rank.layout.place().pipelineRank));
  }

  /// All ranks call it after a step that kept its spans.
  void writeTrace(const TrainingStep &training) {
    const StepSpans spans = gatherSpans(rank.links, training);
    if (!rank.first())
      return;
    writeStepTrace(options.trace, bundle.table(), spans, predicted ? &*predicted : nullptr);
    say("trace of step " + std::to_string(step) + " in " + options.trace);
  }

  void oneStep(TrainingStep &training, MetricsFile &metricsFile, Profile &profile) {
    rank.context.progress.step(step + 1);
    faultAt(rank.context.rank, step + 1, "data");
    training.readTokens(
        [&](std::int64_t row, std::int32_t *out) { rows->read(position + row, out); });
    StepMetrics metrics = training.run(step + 1);
    ++step;
    position += bundle.rowsPerStep();
    if (rank.first()) {
      metricsFile.write(toJsonLine(metrics));
      progress->update(step, figures(metrics));
    }
    if (std::string table = profile.step(metrics); !table.empty())
      say(table);
    stopped = agreedSignal();
    const bool last = step == options.steps || stopped;
    if (last && !options.trace.empty())
      writeTrace(training);
    if (validation && (step == options.steps || due(options.validationEvery)))
      validate(training, metricsFile);
    if (!options.paced && (last || due(options.checkpointEvery)))
      save();
  }

  void validate(TrainingStep &training, MetricsFile &metricsFile) {
    const double loss = validation->run(step);
    training.requireFinite(step, "the validation loss", loss);
    metricsFile.write(validationLine(step, loss));
    char text[80];
    std::snprintf(text, sizeof text, "step %lld  validation loss %.4f",
                  static_cast<long long>(step), loss);
    say(text);
  }

  /// The signal that asked some rank to stop, the same on all ranks.
  int agreedSignal() const {
    if (rank.alone())
      return stopSignal();
    std::int64_t asked[2] = {stopSignal() == SIGINT, stopSignal() == SIGTERM};
    allReduce(rank.context.transport, everyone(rank.context.transport), kMainChannel, asked, 2);
    return asked[0] ? SIGINT : asked[1] ? SIGTERM : 0;
  }

  bool due(std::int64_t every) const { return every > 0 && step % every == 0; }

  void save() {
    RankProgress::Activity activity(rank.context.progress, "saves a checkpoint");
    faultAt(rank.context.rank, step, "save");
    std::string folder = writeCheckpoint(
        options.checkpoint, checkpointContent(rank.store, rank.layout, step, position),
        options.keep, [&](const std::string &line) { say(line); }, peers);
    saved = step;
    say("saved " + folder);
  }

  static std::string figures(const StepMetrics &metrics) {
    char text[160];
    int used = std::snprintf(text, sizeof text, "loss %.4f  %.0f tokens/s  norm %.3f", metrics.loss,
                             metrics.tokensPerSecond, metrics.gradientNorm);
    if (!metrics.expertCounts.empty())
      std::snprintf(text + used, sizeof text - std::size_t(used), "  load max/mean %.2f",
                    metrics.largestLoad());
    return text;
  }

  const TrainOptions &options;
  Rank &rank;
  const Bundle &bundle;
  TransportPeers peers;
  std::unique_ptr<Rows> rows, validationRows;
  std::unique_ptr<Validation> validation;
  Costs costs;
  std::optional<ProgramRun> predicted;
  Progress *progress = nullptr;
  std::int64_t step = 0, saved = -1, position = 0;
  int stopped = 0; // the signal
};

} // namespace

int train(const TrainOptions &options) {
  WorldOptions world;
  world.bodyStops = true;
  world.threads = options.threads;
  return runRanks(options.launch, options.bundle, {{"--steps", std::to_string(options.steps)}},
                  world, [&](Rank &rank) { Trainer(options, rank).run(); });
}

} // namespace hadal::rt
