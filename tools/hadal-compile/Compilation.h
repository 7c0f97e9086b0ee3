// SPDX-License-Identifier: Apache-2.0
//
// One compilation: import, the phases of --hadal-pipeline, export.

#ifndef HADAL_TOOLS_HADAL_COMPILE_COMPILATION_H
#define HADAL_TOOLS_HADAL_COMPILE_COMPILATION_H

#include "passes/Pipelines/Pipelines.h"
#include "tools/support/Import.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <chrono>
#include <string>

namespace hadal::tools {

/// What hadal-compile was asked for.
struct CompilationRequest {
  std::string config;
  std::string output;
  std::string printAfter; ///< print the module after this phase
  std::string keep;       ///< write the module after each phase to this folder
  bool dryRun = false;    ///< everything but the kernels' code
  bool timing = false;    ///< print the seconds of each phase
};

class Compilation {
public:
  Compilation(CompilationRequest request, const ImportFlags &import, mlir::MLIRContext &context)
      : request(std::move(request)), import(import), context(context) {}

  /// The exit code; one line on stderr unless it is Done.
  int run();

private:
  int refusePhase(llvm::ArrayRef<PipelinePhase> phases) const;
  /// Reports the phase that just ended, as the request asks.
  int phaseDone(llvm::StringRef name);
  int keepModule(llvm::StringRef name);

  const CompilationRequest request; // a copy: LLD resets all flags
  const ImportFlags &import;
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int index = 0;
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_COMPILE_COMPILATION_H
