// SPDX-License-Identifier: Apache-2.0
//
// Model spec and plan as a module carries them.

#ifndef HADAL_PASSES_DIFFERENTIATE_SETTINGS_H
#define HADAL_PASSES_DIFFERENTIATE_SETTINGS_H

#include "frontend/BuildModel.h"
#include "passes/Differentiate/Passes.h"

namespace hadal {

struct Settings {
  ModelSpec spec;
  Plan plan;
};

/// The module's spec and plan; an error where they are missing or refused.
llvm::FailureOr<Settings> readSettings(mlir::ModuleOp module);

/// Whether `program` (train, generate, evaluate) is among those the module asks for.
bool wantsProgram(mlir::ModuleOp module, llvm::StringRef program);

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_SETTINGS_H
