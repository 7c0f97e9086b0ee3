// SPDX-License-Identifier: Apache-2.0
//
// Functions of f32 as polynomials, for vectors and scalars alike: within 2 ulp over the whole
// range, infinities and denormal results included; NaN stays NaN. No call leaves the kernel, and
// every lane does the same arithmetic.

#ifndef HADAL_CODEGEN_CPU_VECTORMATH_H
#define HADAL_CODEGEN_CPU_VECTORMATH_H

#include "codegen/Cpu/KernelBuilder.h"

namespace hadal::cpu {

/// `x`: f32 or a vector of f32; so is the result.
mlir::Value emitExp(KernelBuilder &b, mlir::Value x);
mlir::Value emitLog(KernelBuilder &b, mlir::Value x);
/// 1 / (1 + exp(-x)).
mlir::Value emitSigmoid(KernelBuilder &b, mlir::Value x);
/// Correctly rounded; f64 too.
mlir::Value emitSqrt(KernelBuilder &b, mlir::Value x);

/// A constant of the type of `like` (a float or a vector of floats).
mlir::Value constantLike(KernelBuilder &b, mlir::Value like, double value);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_VECTORMATH_H
