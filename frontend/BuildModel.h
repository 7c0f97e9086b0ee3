// SPDX-License-Identifier: Apache-2.0
//
// From a config.json and a plan.json to a module of the hadal dialect.

#ifndef HADAL_FRONTEND_BUILDMODEL_H
#define HADAL_FRONTEND_BUILDMODEL_H

#include "dialects/Hadal/Hadal.h"
#include "frontend/Plan.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

namespace hadal {

/// Reads and checks both files (`planFile` empty: the default plan) and builds the module.
/// Warnings, and the one line that says what was refused, go to stderr.
llvm::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext &context, llvm::StringRef configFile, llvm::StringRef planFile,
            llvm::StringRef target, llvm::StringRef cpu, Purpose purpose = Purpose::Compile);

/// What makes tensors of this model and plan too large to count; nothing if all is well.
std::optional<InputError> checkSizes(const ModelSpec &spec, const Plan &plan);

/// The module of a checked spec and plan whose sizes fit: components (one per layer kind and shape)
/// and the programs `evaluate`, `prefill` and `decode`, as the plan's programs need them.
mlir::OwningOpRef<mlir::ModuleOp> buildModel(mlir::MLIRContext &context, const ModelSpec &spec,
                                             const Plan &plan, llvm::StringRef target,
                                             llvm::StringRef cpu,
                                             Purpose purpose = Purpose::Compile);

/// What a module's plan is to be read for.
inline Purpose purposeOf(mlir::ModuleOp module) {
  return module->hasAttr(kDryRunAttr) ? Purpose::DryRun : Purpose::Compile;
}

} // namespace hadal

#endif // HADAL_FRONTEND_BUILDMODEL_H
