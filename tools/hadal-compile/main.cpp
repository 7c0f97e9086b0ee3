// SPDX-License-Identifier: Apache-2.0
//
// hadal-compile: spec and plan in, bundle out. Import, the phases of --hadal-pipeline and export in
// one process; hadal-translate and hadal-opt go the same way step by step and give the same bytes.

#include "codegen/Bundle/ExportBundle.h"
#include "passes/Pipelines/Pipelines.h"
#include "passes/Schedule/ExportOrder.h"
#include "tools/support/CommandLine.h"
#include "tools/support/Dialects.h"
#include "tools/support/Import.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"

#include <chrono>

using namespace mlir;
using namespace hadal;
using namespace hadal::tools;
namespace cl = llvm::cl;

namespace {

struct Flags {
  cl::opt<std::string> config{cl::Positional, cl::desc("config.json"), cl::cat(options())};
  cl::opt<std::string> output{"o", cl::desc("output file"), cl::value_desc("file"),
                              cl::cat(options())};
  cl::opt<std::string> printAfter{"print-after", cl::desc("print the module after this phase"),
                                  cl::value_desc("phase"), cl::cat(options())};
  cl::opt<std::string> keep{"keep", cl::desc("write the module after each phase to this folder"),
                            cl::value_desc("folder"), cl::cat(options())};
  cl::opt<bool> dryRun{"dry-run", cl::desc("everything but the kernels' code and the bundle"),
                       cl::cat(options())};
  cl::opt<bool> timing{"timing", cl::desc("print the seconds of each phase to stderr"),
                       cl::cat(options())};
  cl::opt<std::string> scheduleOnly{"schedule-only", cl::desc("only expand this schedule"),
                                    cl::value_desc("algorithm"), cl::cat(options())};
  cl::opt<int64_t> ranks{"ranks", cl::desc("of --schedule-only"), cl::cat(options())};
  cl::opt<int64_t> microBatches{"micro-batches", cl::desc("of --schedule-only"),
                                cl::cat(options())};
  ImportFlags import;
};

/// One compilation, phase after phase.
class Compilation {
public:
  Compilation(const Flags &flags, MLIRContext &context)
      : flags(flags), timing(flags.timing), context(context) {}

  int run() {
    SmallVector<PipelinePhase> phases = hadalPhases();
    if (!flags.printAfter.empty() && flags.printAfter != "import" &&
        llvm::none_of(phases,
                      [&](const PipelinePhase &phase) { return phase.name == flags.printAfter; }))
      return refusePhase(phases);
    module = flags.import.import(context, flags.config);
    if (!module)
      return Refused;
    if (int code = phaseDone("import"))
      return code;
    for (const PipelinePhase &phase : phases) {
      if (flags.dryRun && phase.makesCode)
        return Done;
      PassManager manager(&context);
      phase.build(manager);
      if (failed(manager.run(*module)))
        return Failed;
      if (int code = phaseDone(phase.name))
        return code;
    }
    int code = writeOutput(flags.output, [&](llvm::raw_ostream &os) -> LogicalResult {
      FailureOr<std::string> bundle = exportBundle(*module);
      if (failed(bundle))
        return failure();
      os << *bundle;
      return success();
    });
    return code ? code : phaseDone("export");
  }

private:
  int refusePhase(ArrayRef<PipelinePhase> phases) const {
    std::string names = "import";
    for (const PipelinePhase &phase : phases)
      names += (", " + phase.name).str();
    return refuse("--print-after: found '" + flags.printAfter + "'; allowed: " + names);
  }

  /// Reports the phase that just ended, as the flags ask.
  int phaseDone(StringRef name) {
    auto now = std::chrono::steady_clock::now();
    if (timing)
      llvm::errs() << llvm::format("%8.3f s  ", std::chrono::duration<double>(now - start).count())
                   << name << '\n';
    if (flags.printAfter == name)
      module->print(llvm::outs());
    if (!flags.keep.empty() && name != "export") {
      if (std::error_code error = llvm::sys::fs::create_directories(flags.keep))
        return refuse("--keep: " + flags.keep + ": " + error.message());
      SmallString<128> path(flags.keep);
      llvm::sys::path::append(path, llvm::formatv("{0:d2}-{1}.mlir", index++, name).str());
      if (int code = writeOutput(path, [&](llvm::raw_ostream &os) {
            module->print(os);
            return success();
          }))
        return code;
    }
    start = std::chrono::steady_clock::now();
    return Done;
  }

  const Flags &flags;
  const bool timing; // asked for after LLD has reset all flags
  MLIRContext &context;
  OwningOpRef<ModuleOp> module;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int index = 0;
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
  return Compilation(flags, context).run();
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  // LLVM's library has a flag of this name, for passes of its own.
  auto &registered = cl::getRegisteredOptions();
  if (auto found = registered.find("print-after"); found != registered.end())
    found->second->removeArgument();
  Flags flags;
  if (!parseFlags(argc, argv, "Hadal's compiler: config.json and plan.json to a bundle\n"))
    return Refused;
  DialectRegistry registry;
  registerDialects(registry);
  MLIRContext context(registry);
  context.loadAllAvailableDialects();
  return compile(flags, context);
}
