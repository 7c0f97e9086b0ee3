// SPDX-License-Identifier: Apache-2.0
//
// See Trainer.h.

#include "runtime/train/Trainer.h"

#include "runtime/data/Rows.h"
#include "runtime/support/Error.h"
#include "runtime/trace/Progress.h"
#include "runtime/train/Evaluate.h"
#include "runtime/train/TrainingState.h"
#include "runtime/train/TrainingStep.h"

#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

namespace hadal::rt {

static volatile std::sig_atomic_t stopSignal = 0;

namespace {

/// SIGINT and SIGTERM ask for a stop while this lives.
class StopOnSignal {
public:
  StopOnSignal() {
    stopSignal = 0;
    struct sigaction action = {};
    action.sa_handler = [](int signal) { stopSignal = signal; };
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGINT, &action, &oldInterrupt);
    ::sigaction(SIGTERM, &action, &oldTerminate);
  }
  ~StopOnSignal() {
    ::sigaction(SIGINT, &oldInterrupt, nullptr);
    ::sigaction(SIGTERM, &oldTerminate, nullptr);
  }

private:
  struct sigaction oldInterrupt = {}, oldTerminate = {};
};

class Trainer {
public:
  explicit Trainer(const TrainOptions &options)
      : options(options), bundle(options.bundle), pool(options.threads), store(bundle) {}

  void run() {
    checkPrograms();
    std::optional<FoundCheckpoint> found = findStart();
    openData();
    TrainingStep training(store, pool);
    step = begin(found);
    if (step >= options.steps) {
      say("already at step " + std::to_string(step) + " of " + std::to_string(options.steps) +
          "; nothing to do");
      return;
    }
    MetricsFile metricsFile(options.metrics, step);
    Progress bar(step, options.steps);
    StopOnSignal signals;
    progress = &bar;
    while (step < options.steps && !stopSignal)
      oneStep(training, metricsFile);
    progress = nullptr;
    if (saved != step)
      save();
    if (stopSignal && step < options.steps)
      say(std::string("stopped by ") + (stopSignal == SIGINT ? "SIGINT" : "SIGTERM") +
          " after step " + std::to_string(step) + "; go on with:\n  " + options.resumeCommand);
  }

private:
  void say(const std::string &line) const {
    if (progress)
      progress->say(line);
    else
      std::fprintf(stderr, "%s\n", line.c_str());
  }

  void checkPrograms() const {
    if (options.steps < 1)
      throw InputError("--steps", std::to_string(options.steps) + " steps; at least 1 is needed");
    bundle.program("gradients");
    bundle.program("update");
    if (!options.validation.empty())
      bundle.program("evaluate");
  }

  std::optional<FoundCheckpoint> findStart() const {
    if (options.resume)
      return findLatestCheckpoint(options.checkpoint, [&](const std::string &why) { say(why); });
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
    const bool enough = source->heldOutTokens() > bundle.training().tokens();
    if (bundle.findProgram("evaluate") && (enough || validationRows))
      validation = std::make_unique<Validation>(store, pool, *source, file);
  }

  /// Fills the store; returns the step that is done.
  std::int64_t begin(const std::optional<FoundCheckpoint> &found) {
    if (found) {
      restore(store, pool, *found);
      position = rowsUsed(*found);
      saved = found->step;
      say("resumed from " + found->folder);
      return found->step;
    }
    if (options.weights.empty()) {
      initializeParameters(store, pool);
      say("initial values from seed " + std::to_string(bundle.training().seed()));
    } else {
      loadWeights(store, pool, options.weights);
      say("weights from " + options.weights);
    }
    return 0;
  }

  void oneStep(TrainingStep &training, MetricsFile &metricsFile) {
    const std::int64_t columns = bundle.training().tokens() + 1;
    for (std::int64_t row = 0; row < bundle.rowsPerStep(); ++row)
      rows->read(position + row, training.tokens() + row * columns);
    StepMetrics metrics = training.run(step + 1);
    ++step;
    position += bundle.rowsPerStep();
    metricsFile.write(toJsonLine(metrics));
    progress->update(step, figures(metrics));
    const bool last = step == options.steps || stopSignal;
    if (validation && (step == options.steps || due(options.validationEvery))) {
      double loss = validation->run();
      if (!std::isfinite(loss))
        throw RunError("step " + std::to_string(step) + ": the validation loss is not finite; " +
                       firstNonFinite(store));
      metricsFile.write(validationLine(step, loss));
      char text[80];
      std::snprintf(text, sizeof text, "step %lld  validation loss %.4f",
                    static_cast<long long>(step), loss);
      say(text);
    }
    if (last || due(options.checkpointEvery))
      save();
  }

  bool due(std::int64_t every) const { return every > 0 && step % every == 0; }

  void save() {
    std::string folder =
        writeCheckpoint(options.checkpoint, checkpointContent(store, step, position), options.keep,
                        [&](const std::string &line) { say(line); });
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
  Bundle bundle;
  ThreadPool pool;
  Store store;
  std::unique_ptr<Rows> rows, validationRows;
  std::unique_ptr<Validation> validation;
  Progress *progress = nullptr;
  std::int64_t step = 0, saved = -1, position = 0;
};

} // namespace

void train(const TrainOptions &options) { Trainer(options).run(); }

} // namespace hadal::rt
