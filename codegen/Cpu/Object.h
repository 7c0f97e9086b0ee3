// SPDX-License-Identifier: Apache-2.0
//
// Machine code of kernels: LLVM -O3 for a named CPU, linked to a shared object by LLD in this
// process.

#ifndef HADAL_CODEGEN_CPU_OBJECT_H
#define HADAL_CODEGEN_CPU_OBJECT_H

#include "codegen/Cpu/KernelBuilder.h"

#include <string>

namespace hadal::cpu {

/// Whether LLVM knows an x86-64 CPU of this name.
bool isKnownCpu(llvm::StringRef cpu);
/// LLVM's name of the CPU this process runs on.
std::string hostCpu();
/// What code for `cpu` may use (LLVM's names of features: "avx2", ...), sorted; a lesser CPU must
/// refuse it.
llvm::SmallVector<std::string> cpuFeatures(llvm::StringRef cpu);
Target targetOf(llvm::StringRef cpu);

/// The shared object of a module of functions in the LLVM dialect, as bytes that depend on nothing
/// but the module and the CPU. With `checkMemory` LLVM's address sanitizer watches every access.
/// Errors are reported at the module.
llvm::FailureOr<std::string> buildSharedObject(mlir::ModuleOp kernels, llvm::StringRef cpu,
                                               bool checkMemory = false);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_OBJECT_H
