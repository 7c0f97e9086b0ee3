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
  flags->device.add(*command);
  command->callback([flags] {
    ThreadPool pool(flags->device.resolve());
    Bundle bundle(flags->bundle);
    bundle.program("evaluate");
    Store store(bundle);
    loadWeights(store, pool, flags->weights);
    evaluateToFile(store, pool, flags->tokens, flags->out, flags->gradients);
  });
}

} // namespace hadal::rt
