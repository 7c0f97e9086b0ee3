// SPDX-License-Identifier: Apache-2.0
//
// The flags that turn a spec and a plan into a module, shared by hadal-translate and hadal-compile
// so that both make the same one.

#ifndef HADAL_TOOLS_SUPPORT_IMPORT_H
#define HADAL_TOOLS_SUPPORT_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/CommandLine.h"

#include <string>

namespace hadal::tools {

/// --plan, --costs, --target, --cpu and --check-memory. Made once, before the flags are parsed.
class ImportFlags {
public:
  ImportFlags();

  /// Reads `configFile` and the plan; with `dryRun` a plan that kernels cannot follow too. Null
  /// after one line on stderr (exit code Refused).
  mlir::OwningOpRef<mlir::ModuleOp> import(mlir::MLIRContext &context, llvm::StringRef configFile,
                                           bool dryRun = false) const;

private:
  llvm::cl::opt<std::string> plan;
  llvm::cl::opt<std::string> costs;
  llvm::cl::opt<std::string> target;
  llvm::cl::opt<std::string> cpu;
  llvm::cl::opt<bool> checkMemory;
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_SUPPORT_IMPORT_H
