// SPDX-License-Identifier: Apache-2.0
//
// The last step of the compiler: a lowered module becomes the bytes of a bundle file.

#ifndef HADAL_CODEGEN_BUNDLE_EXPORTBUNDLE_H
#define HADAL_CODEGEN_BUNDLE_EXPORTBUNDLE_H

#include "mlir/IR/BuiltinOps.h"

namespace hadal {

/// Writes the bundle of a module that went through --hadal-pipeline: table
/// (runtime/program/bundle.fbs), machine code, header. Depends on the module only; paths and dates
/// are not in it. Errors are reported at the op they are about.
llvm::LogicalResult exportBundle(mlir::ModuleOp module, llvm::raw_ostream &os);

} // namespace hadal

#endif // HADAL_CODEGEN_BUNDLE_EXPORTBUNDLE_H
