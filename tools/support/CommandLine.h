// SPDX-License-Identifier: Apache-2.0
//
// What the compiler's tools share: exit codes, one-line messages, flags, input and output files.

#ifndef HADAL_TOOLS_SUPPORT_COMMANDLINE_H
#define HADAL_TOOLS_SUPPORT_COMMANDLINE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/CommandLine.h"

namespace hadal::tools {

/// Exit codes of every tool but hadal-opt.
enum ExitCode : int {
  Done = 0,
  Failed = 1,  ///< the run failed
  Refused = 2, ///< the input or a flag was refused
};

/// Prints `error: MESSAGE` to stderr and returns Refused.
int refuse(const llvm::Twine &message);

/// The category of the tools' own flags; --help shows no others.
llvm::cl::OptionCategory &options();

/// Parses the flags. False where one was refused, after one line on stderr (exit code Refused).
bool parseFlags(int argc, char **argv, llvm::StringRef overview);

/// While it lives, errors in the context print as `error: FILE:LINE:COLUMN: TEXT`, the first one
/// only (later ones tend to follow from it), with the notes behind it on the same line. Warnings
/// print as `warning: ...`, remarks as `remark: ...`.
class OneLineDiagnostics {
public:
  explicit OneLineDiagnostics(mlir::MLIRContext &context);

private:
  bool reported = false;
  mlir::ScopedDiagnosticHandler handler;
};

/// Parses and verifies a module (text or bytecode). Null after one line on stderr.
mlir::OwningOpRef<mlir::ModuleOp> loadModule(llvm::StringRef path, mlir::MLIRContext &context);

/// Writes a file through `write`; "-" is stdout. The file appears only when it is whole. Returns
/// Done, or what went wrong after one line on stderr (`write` reports its own failures: Refused).
int writeOutput(llvm::StringRef path,
                llvm::function_ref<llvm::LogicalResult(llvm::raw_ostream &)> write);

} // namespace hadal::tools

#endif // HADAL_TOOLS_SUPPORT_COMMANDLINE_H
