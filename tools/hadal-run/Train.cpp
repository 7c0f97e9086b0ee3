// SPDX-License-Identifier: Apache-2.0
//
// hadal-run train.

#include "runtime/train/Trainer.h"

#include "runtime/support/Error.h"
#include "tools/hadal-run/Commands.h"

#include <cmath>
#include <memory>

namespace hadal::rt {

/// An argument as a shell reads it back.
static std::string quoted(const std::string &text) {
  if (!text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_-+=:,./@%") == std::string::npos)
    return text;
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

static std::string resumeCommand(int argc, char **argv, bool hasResume) {
  std::string command;
  for (int i = 0; i < argc; ++i)
    command += (i ? " " : "") + quoted(argv[i]);
  return hasResume ? command : command + " --resume auto";
}

static void addDataFlags(CLI::App &command, TrainOptions &o) {
  command
      .add_option(
          "--data", o.data,
          "a text file (bytes as ids), a Megatron .bin/.idx pair, or a safetensors file with "
          "`tokens` [rows, T + 1], used as it is")
      ->type_name("FILE")
      ->required();
  command
      .add_option("--steps", o.steps,
                  "the step to stop at, counted from the start of training (also after --resume)")
      ->type_name("N")
      ->required();
  command
      .add_option("--weights", o.weights,
                  "initial weights: a folder or a safetensors file (default: from the plan's seed)")
      ->type_name("PATH");
  command
      .add_option("--validation", o.validation,
                  "what the validation loss is measured on (default: the held-out end of --data)")
      ->type_name("FILE");
  command
      .add_option("--validation-fraction", o.validationFraction,
                  "share of --data held out at its end")
      ->type_name("SHARE")
      ->capture_default_str();
  command
      .add_option("--validation-every", o.validationEvery,
                  "steps between validations (0: at the end only)")
      ->type_name("N")
      ->capture_default_str();
}

static void addSavingFlags(CLI::App &command, TrainOptions &o) {
  command.add_option("--checkpoint", o.checkpoint, "folder for checkpoints, DIR/step-000000012")
      ->type_name("DIR")
      ->required();
  command
      .add_option("--checkpoint-every", o.checkpointEvery,
                  "steps between checkpoints (0: at the end only)")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--keep", o.keep, "checkpoints to keep (0: all)")
      ->type_name("N")
      ->capture_default_str();
  command.add_option("--metrics", o.metrics, "the figures of every step, one JSON object a line")
      ->type_name("FILE");
}

static void addTracingFlags(CLI::App &command, TrainOptions &o) {
  command.add_flag("--profile", o.profile,
                   "print a table after every step: where the time of each rank went, its experts' "
                   "load, its memory");
  command
      .add_option("--trace", o.trace,
                  "write what every rank did in the last step, for Perfetto (ui.perfetto.dev)")
      ->type_name("FILE");
  command
      .add_option("--costs", o.costs,
                  "costs as bench --profile writes them: the predicted step stands beside the "
                  "measured one in the trace; the paced device keeps to them")
      ->type_name("FILE");
}

void addTrain(CLI::App &app, int argc, char **argv) {
  struct Flags {
    TrainOptions options;
    std::string resume;
    int localRanks = 0;
    DeviceFlags device;
  };
  auto flags = std::make_shared<Flags>();
  TrainOptions &o = flags->options;
  CLI::App *command = app.add_subcommand(
      "train",
      "Trains. Stopped by Ctrl-C or SIGTERM it finishes the step, saves, and says how to go on.");
  command->add_option("bundle", o.bundle, "the bundle (.hadal)")->type_name("FILE")->required();
  addDataFlags(*command, o);
  command
      ->add_option("--resume", flags->resume,
                   "auto: go on from the newest complete checkpoint, if there is one, also of "
                   "another layout")
      ->type_name("auto");
  addSavingFlags(*command, o);
  addRanks(*command, flags->localRanks);
  addTracingFlags(*command, o);
  flags->device.add(*command, /*canPace=*/true);
  command->footer(
      "  hadal-run train nano.hadal --data bible.txt --steps 300 --checkpoint run --metrics "
      "m.jsonl\n"
      "  hadal-run train four.hadal --data bible.txt --steps 300 --checkpoint run --local-ranks 4\n"
      "  mpirun -n 4 hadal-run train four.hadal --data bible.txt --steps 300 --checkpoint run\n\n" +
      app.get_footer());
  command->callback([flags, argc, argv] {
    TrainOptions &options = flags->options;
    if (!flags->resume.empty() && flags->resume != "auto")
      throw InputError("--resume", flags->resume + "; allowed is auto");
    if (const double share = options.validationFraction;
        std::isnan(share) || share < 0 || share >= 1)
      throw InputError("--validation-fraction", "allowed are numbers from 0 to below 1");
    if (options.validationEvery < 0 || options.checkpointEvery < 0 || options.keep < 0)
      throw InputError("--validation-every, --checkpoint-every, --keep",
                       "allowed are numbers from 0");
    options.resume = !flags->resume.empty();
    options.threads = flags->device.perRank();
    options.paced = flags->device.paced();
    if (!options.costs.empty() && options.trace.empty() && !options.paced)
      throw InputError("--costs", "goes with --trace or --device paced");
    options.launch = findLaunch(flags->localRanks);
    options.resumeCommand = resumeCommand(argc, argv, options.resume);
    endUnlessDone(train(options));
  });
}

} // namespace hadal::rt
