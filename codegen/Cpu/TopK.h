// SPDX-License-Identifier: Apache-2.0
//
// The choice of the largest of a few values, as the router and the balance loss make it.

#ifndef HADAL_CODEGEN_CPU_TOPK_H
#define HADAL_CODEGEN_CPU_TOPK_H

#include "codegen/Cpu/KernelBuilder.h"

namespace hadal::cpu {

/// i1: x > y, false for NaN.
mlir::Value emitGreater(KernelBuilder &b, mlir::Value x, mlir::Value y);
/// Marks the `most` largest of `count` f32 `values` with 1 in the i32 array `taken` (all others 0),
/// the lower index winning ties. Whatever the values are, NaN too, that many different ones get
/// marked.
void emitTopK(KernelBuilder &b, mlir::Value values, mlir::Value taken, int64_t count, int64_t most);
/// i1: whether element `at` is marked.
mlir::Value emitIsTaken(KernelBuilder &b, mlir::Value taken, mlir::Value at);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_TOPK_H
