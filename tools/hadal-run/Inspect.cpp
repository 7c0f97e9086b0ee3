// SPDX-License-Identifier: Apache-2.0
//
// hadal-run inspect and verify.

#include "runtime/program/Inspect.h"

#include "runtime/program/MemoryListing.h"
#include "runtime/program/MemoryNeed.h"
#include "runtime/program/ProofText.h"
#include "runtime/support/Error.h"
#include "tools/hadal-run/Commands.h"

#include <iostream>
#include <memory>

namespace hadal::rt {

void addInspect(CLI::App &app) {
  struct Flags {
    std::string bundle, svg, order, times;
    bool schedule = false, instructions = false, memory = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App *command = app.add_subcommand(
      "inspect",
      "Prints parameters, FLOP a token, peak bytes, every named choice and every tensor.");
  command->add_option("bundle", flags->bundle, "the bundle (.hadal)")->type_name("FILE");
  command->add_flag("--schedule", flags->schedule,
                    "draw a training step instead: ranks down, time across (closed forms; simulate "
                    "draws with other costs)");
  command->add_flag("--instructions", flags->instructions,
                    "print the instructions of every program instead, by chunks of the schedule");
  command->add_flag("--memory", flags->memory,
                    "print what is alive on each pipeline rank when most memory is in use instead");
  command->add_option("--svg", flags->svg, "draw a training step, or the order, into this file")
      ->type_name("FILE");
  command
      ->add_option("--order", flags->order,
                   "in place of a bundle: an order, as hadal-compile --schedule-only prints it")
      ->type_name("FILE");
  command
      ->add_option("--times", flags->times,
                   "durations of an order's chunks (default F=1,I=1,W=1,pair=3)")
      ->type_name("LIST");
  command->footer("  hadal-run inspect model.hadal\n"
                  "  hadal-run inspect model.hadal --schedule --svg step.svg\n"
                  "  hadal-run inspect --order order.json --times F=2,I=2,W=1,pair=4\n\n" +
                  app.get_footer());
  command->callback([flags] {
    if (flags->bundle.empty() == flags->order.empty())
      throw InputError("inspect", "a bundle or --order is needed");
    if (flags->instructions + flags->memory + flags->schedule > 1)
      throw InputError("--schedule, --instructions, --memory", "one of them at a time");
    if (!flags->order.empty() && (flags->instructions || flags->memory))
      throw InputError("--instructions, --memory", "go with a bundle; an order has none");
    if (!flags->order.empty()) {
      const bool text = flags->schedule || flags->svg.empty();
      inspectOrder({flags->order, flags->times.empty() ? "F=1,I=1,W=1,pair=3" : flags->times,
                    flags->svg, text});
      if (!std::cout.flush())
        throw RunError("the output cannot be written");
      return;
    }
    if (!flags->times.empty())
      throw InputError("--times", "goes with --order");
    Bundle bundle(flags->bundle, /*execute=*/false);
    if (!flags->svg.empty() || flags->schedule)
      inspectStep(bundle, flags->svg, flags->schedule);
    if (flags->memory)
      listMemory(bundle.table(), std::cout);
    else if (flags->instructions)
      inspectSchedule(bundle, std::cout);
    else if (flags->svg.empty() && !flags->schedule)
      inspect(bundle, std::cout);
    if (!std::cout.flush())
      throw RunError("the output cannot be written");
  });
}

/// What of the bundle this machine has no memory for; of several ranks it may run one.
static std::string missingMemory(const Bundle &bundle) {
  const std::uint64_t here = machineMemory();
  auto missing = [&](const std::string &what, std::uint64_t need) {
    return need <= here ? std::string()
                        : what + ": needs " + std::to_string(need) + " bytes; this machine has " +
                              std::to_string(here);
  };
  const bundle::Bundle &table = bundle.table();
  if (bundle.training().pipeline_ranks() * bundle.training().data_parallel() == 1) {
    for (std::uint32_t i = 0; i < countOf(table.programs()); ++i) {
      const bundle::Program &program = *table.programs()->Get(i);
      std::string text = missing("program " + program.name()->str(),
                                 programBytes(bundle, program, usableThreads()).total);
      if (!text.empty())
        return text;
    }
    return {};
  }
  for (std::uint32_t rank = 0; rank < bundle.training().pipeline_ranks(); ++rank) {
    std::string text = missing("pipeline rank " + std::to_string(rank),
                               balancedNeed(table, rank, residentPrograms(table, rank)).total());
    if (!text.empty())
      return text;
  }
  return {};
}

void addVerify(CLI::App &app) {
  auto path = std::make_shared<std::string>();
  CLI::App *command = app.add_subcommand(
      "verify",
      "Proves a bundle's programs over all ranks, and that it is whole and fits this machine.");
  command->add_option("bundle", *path, "the bundle (.hadal)")->type_name("FILE")->required();
  command->callback([path] {
    Bundle bundle(*path, /*execute=*/false);
    if (!bundle.table().dry())
      Bundle executable(*path);
    const Validation proof = validate(bundle.table());
    if (!proof.error.empty())
      throw InputError(*path, proof.error);
    printProof(proof, std::cout);
    printMemory(bundle.table(), std::cout);
    std::cout.flush();
    // A dry run's bundle is not for this machine.
    if (std::string missing = missingMemory(bundle); !missing.empty() && !bundle.table().dry())
      throw InputError(*path, missing);
    std::cout << "ok: " << countOf(bundle.table().programs()) << " programs, "
              << countOf(bundle.table().kernels()) << " kernels, " << bundle.fileBytes()
              << " bytes\n";
    if (!std::cout.flush())
      throw RunError("the output cannot be written");
  });
}

} // namespace hadal::rt
