// SPDX-License-Identifier: Apache-2.0
//
// Passes of the CPU code generator.

#ifndef HADAL_CODEGEN_CPU_PASSES_TD
#define HADAL_CODEGEN_CPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def CpuKernelsPass : Pass<"hadal-cpu-kernels", "::mlir::ModuleOp"> {
  let summary = "code of all kernels for the module's CPU";
  let description = [{
    Every hadal.kernel is given to the families of kernels in turn (attention, products, row-local chains, single ops); the
    first that can make its whole region one kernel decides sizes, grid and scratch, written to the op as `#hadal.launch`.
    Kernels that differ in row counts only share one function of the nested module `@kernels`. The functions are in the
    LLVM dialect; with `lower=false` they are left in scf, arith and vector.
  }];
  let options = [
    Option<"lower", "lower", "bool", /*default=*/"true", "lower the functions to the LLVM dialect">,
  ];
  let statistics = [
    Statistic<"numLaunches", "launches", "kernel ops">,
    Statistic<"numFunctions", "functions", "kernel functions">,
  ];
  let dependentDialects = [
    "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::cf::ControlFlowDialect",
    "::mlir::math::MathDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
  ];
}

#endif // HADAL_CODEGEN_CPU_PASSES_TD
