// SPDX-License-Identifier: Apache-2.0
//
// Passes of the CPU code generator, and the lowering they end with.

#ifndef HADAL_CODEGEN_CPU_PASSES_H
#define HADAL_CODEGEN_CPU_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace hadal {

#define GEN_PASS_DECL
#include "codegen/Cpu/Passes.h.inc"

/// Name of the nested module of kernel functions.
constexpr llvm::StringLiteral kKernelsModule = "kernels";

namespace cpu {
/// scf, arith, math and vector to the LLVM dialect, on the module of kernels.
void buildLowering(mlir::OpPassManager &manager);
} // namespace cpu

#define GEN_PASS_REGISTRATION
#include "codegen/Cpu/Passes.h.inc"

} // namespace hadal

#endif // HADAL_CODEGEN_CPU_PASSES_H
