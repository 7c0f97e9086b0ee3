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
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")->required();
  command->add_option("--weights", flags->weights, "a checkpoint, a folder or a safetensors file")
      ->required();
  command
      ->add_option(
          "--tokens", flags->tokens,
          "safetensors file with `tokens` [micro_batches x data_parallel x sequences, T + 1]")
      ->required();
  command->add_option("--out", flags->out, "safetensors file to write")->required();
  command->add_flag("--gradients", flags->gradients,
                    "also the gradient of every parameter, gradient.NAME");
  command->add_option("--local-ranks", flags->localRanks,
                      "as many ranks as threads of this process, for a bundle of several ranks "
                      "(else: mpirun -n N hadal-run evaluate ...)");
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
