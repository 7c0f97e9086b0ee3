// SPDX-License-Identifier: Apache-2.0
//
// The weight manifest of a module: what hadal-translate --export-manifest writes.

#ifndef HADAL_FRONTEND_EXPORTMANIFEST_H
#define HADAL_FRONTEND_EXPORTMANIFEST_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Support/LLVM.h"

namespace hadal {

/// Writes `[{"name", "shape", "dtype"}, ...]`, every tensor as a checkpoint of the module's model
/// holds it. The model is the config.json that the module carries as `hadal.spec`; a module without
/// one, or with one that is refused, is an error.
llvm::LogicalResult exportManifest(mlir::ModuleOp module, llvm::raw_ostream &out);

} // namespace hadal

#endif // HADAL_FRONTEND_EXPORTMANIFEST_H
