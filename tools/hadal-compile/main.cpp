// SPDX-License-Identifier: Apache-2.0
//
// hadal-compile: spec and plan in, bundle out. Import, the phases of --hadal-pipeline and export in
// one process; hadal-translate and hadal-opt go the same way step by step and give the same bytes.

#include "passes/Schedule/ExportOrder.h"
#include "tools/hadal-compile/Compilation.h"
#include "tools/support/CommandLine.h"
#include "tools/support/Dialects.h"
#include "tools/support/Import.h"

#include "llvm/Support/InitLLVM.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::tools;
namespace cl = llvm::cl;

namespace {

constexpr const char *kOverview =
    "Hadal's compiler: config.json and plan.json to a bundle that hadal-run runs\n\n"
    "  hadal-compile config.json --plan plan.json --target cpu -o model.hadal\n"
    "  hadal-compile config.json --plan plan.json --dry-run -o model.hadal\n"
    "  hadal-compile config.json --plan plan.json --dry-run --print-after=fuse\n"
    "  hadal-compile --schedule-only dualpipe --ranks 8 --micro-batches 20 -o order.json\n";

struct Flags {
  cl::opt<std::string> config{cl::Positional, cl::desc("config.json"), cl::cat(options())};
  cl::opt<std::string> output{"o", cl::desc("output file"), cl::value_desc("file"),
                              cl::cat(options())};
  cl::opt<std::string> printAfter{"print-after", cl::desc("print the module after this phase"),
                                  cl::value_desc("phase"), cl::cat(options())};
  cl::opt<std::string> keep{"keep", cl::desc("write the module after each phase to this folder"),
                            cl::value_desc("folder"), cl::cat(options())};
  cl::opt<bool> dryRun{"dry-run",
                       cl::desc("everything but the kernels' code; with -o a bundle that can be "
                                "inspected, verified and simulated"),
                       cl::cat(options())};
  cl::opt<bool> timing{"timing", cl::desc("print the seconds of each phase to stderr"),
                       cl::cat(options())};
  cl::opt<std::string> scheduleOnly{
      "schedule-only", cl::desc("only print the order of 1f1b, zb1p, dualpipe or dualpipev (JSON)"),
      cl::value_desc("algorithm"), cl::cat(options())};
  cl::opt<int64_t> ranks{"ranks", cl::desc("with --schedule-only: pipeline ranks"),
                         cl::value_desc("n"), cl::cat(options())};
  cl::opt<int64_t> microBatches{"micro-batches",
                                cl::desc("with --schedule-only: micro-batches of a step"),
                                cl::value_desc("n"), cl::cat(options())};
  ImportFlags import;
};

int compile(const Flags &flags, MLIRContext &context) {
  OneLineDiagnostics diagnostics(context);
  if (!flags.scheduleOnly.empty())
    return writeOutput(
        flags.output.empty() ? "-" : flags.output.getValue(), [&](llvm::raw_ostream &os) {
          return pipe::exportOrder(flags.scheduleOnly, flags.ranks, flags.microBatches, os);
        });
  if (flags.config.empty())
    return refuse("command line: no config.json given; see --help");
  if (flags.output.empty() && !flags.dryRun)
    return refuse("command line: -o FILE is missing; see --help");
  return Compilation(
             {flags.config, flags.output, flags.printAfter, flags.keep, flags.dryRun, flags.timing},
             flags.import, context)
      .run();
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // LLVM's library has a flag of this name, for passes of its own.
  auto &registered = cl::getRegisteredOptions();
  if (auto found = registered.find("print-after"); found != registered.end())
    found->second->removeArgument();
  Flags flags;
  if (!parseFlags(argc, argv, kOverview))
    return Refused;
  ToolContext context;
  return compile(flags, context);
}
