// SPDX-License-Identifier: Apache-2.0
//
// hadal-run evaluate.

#include "runtime/train/Evaluate.h"

#include "runtime/program/Parameters.h"
#include "tools/hadal-run/Commands.h"

#include <memory>

namespace hadal::rt {

void addEvaluate(CLI::App &app) {
  struct Flags {
    std::string bundle, weights, tokens, out;
    bool gradients = false;
    int localRanks = 0;
    DeviceFlags device;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "evaluate", "Computes logits, losses and expert choices for the rows of one step.");
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")
      ->type_name("FILE")
      ->required();
  command->add_option("--weights", flags->weights, "a checkpoint, a folder or a safetensors file")
      ->type_name("PATH")
      ->required();
  command
      ->add_option(
          "--tokens", flags->tokens,
          "safetensors file with `tokens` [micro_batches x data_parallel x sequences, T + 1]")
      ->type_name("FILE")
      ->required();
  command->add_option("--out", flags->out, "safetensors file to write")
      ->type_name("FILE")
      ->required();
  command->add_flag("--gradients", flags->gradients,
                    "also the gradient of every parameter, gradient.NAME");
  addRanks(*command, flags->localRanks);
  flags->device.add(*command);
  command->callback([flags] {
    WorldOptions options;
    options.threads = flags->device.perRank();
    endUnlessDone(
        runRanks(findLaunch(flags->localRanks), flags->bundle, {}, options, [&](Rank &rank) {
          rank.bundle.program("evaluate", std::uint32_t(rank.layout.place().pipelineRank));
          loadWeights(rank.store, rank.pool, rank.layout, flags->weights);
          evaluateToFile(rank, flags->tokens, flags->out, flags->gradients);
        }));
  });
}

} // namespace hadal::rt
