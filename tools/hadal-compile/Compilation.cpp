// SPDX-License-Identifier: Apache-2.0
//
// See Compilation.h.

#include "tools/hadal-compile/Compilation.h"

#include "codegen/Bundle/ExportBundle.h"
#include "tools/support/CommandLine.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::tools;

int Compilation::run() {
  SmallVector<PipelinePhase> phases = hadalPhases();
  auto asked = [&](const PipelinePhase &phase) { return phase.name == request.printAfter; };
  if (!request.printAfter.empty() && request.printAfter != "import" && llvm::none_of(phases, asked))
    return refusePhase(phases);
  module = import.import(context, request.config, request.dryRun);
  if (!module)
    return Refused;
  if (int code = phaseDone("import"))
    return code;
  for (const PipelinePhase &phase : phases) {
    if (request.dryRun && phase.makesCode)
      continue;
    PassManager manager(&context);
    phase.build(manager);
    if (failed(manager.run(*module)))
      return Failed;
    if (int code = phaseDone(phase.name))
      return code;
  }
  if (request.output.empty())
    return Done;
  int code =
      writeOutput(request.output, [&](llvm::raw_ostream &os) { return exportBundle(*module, os); });
  return code ? code : phaseDone("export");
}

int Compilation::refusePhase(ArrayRef<PipelinePhase> phases) const {
  std::string names = "import";
  for (const PipelinePhase &phase : phases)
    names += (", " + phase.name).str();
  return refuse("--print-after: found '" + request.printAfter + "'; allowed: " + names);
}

int Compilation::phaseDone(StringRef name) {
  auto now = std::chrono::steady_clock::now();
  if (request.timing)
    llvm::errs() << llvm::format("%8.3f s  ", std::chrono::duration<double>(now - start).count())
                 << name << '\n';
  if (request.printAfter == name)
    module->print(llvm::outs());
  if (!request.keep.empty() && name != "export")
    if (int code = keepModule(name))
      return code;
  start = std::chrono::steady_clock::now();
  return Done;
}

int Compilation::keepModule(StringRef name) {
  if (std::error_code error = llvm::sys::fs::create_directories(request.keep))
    return refuse("--keep: " + request.keep + ": " + error.message());
  SmallString<128> path(request.keep);
  llvm::sys::path::append(path, llvm::formatv("{0:d2}-{1}.mlir", index++, name).str());
  return writeOutput(path, [&](llvm::raw_ostream &os) {
    module->print(os);
    return success();
  });
}
