// SPDX-License-Identifier: Apache-2.0
//
// Code of one CPU kernel under construction: loops in scf, values in arith and vector, memory
// through llvm pointers. A kernel is `void k(const Args *, int64 begin, int64 end, void *scratch)`;
// each grid index writes elements of its own.

#ifndef HADAL_CODEGEN_CPU_KERNELBUILDER_H
#define HADAL_CODEGEN_CPU_KERNELBUILDER_H

#include "dialects/Hadal/Hadal.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace hadal::cpu {

/// What a CPU offers the code generator.
struct Target {
  std::string cpu;        ///< LLVM's name
  int64_t lanes = 8;      ///< f32 lanes of a vector register: 16 with AVX-512, else 8
  int64_t registers = 16; ///< vector registers: 32 with AVX-512, else 16
};

/// What is decided about a kernel before its code is written.
struct KernelConfig {
  /// Kernels with one key share one function: everything the code depends on (ops, attributes,
  /// feature sizes), but not the sizes passed at the launch.
  std::string key;
  llvm::SmallVector<int64_t> sizes; ///< passed at the launch: token and row counts
  int64_t grid = 1;                 ///< depends on shapes only
  int64_t scratch = 0;              ///< bytes a thread
  int64_t flops = 0;                ///< of one launch
  /// How sizes and grid follow the number of rows, where it is known at the launch only: rows is
  /// sizes[rowsSize], the grid gridFixed + gridPerBlock ceil(rows / rowsBlock). -1: they do not.
  int64_t rowsSize = -1, rowsBlock = 1, gridFixed = 0, gridPerBlock = 0;
};

class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;

  KernelBuilder(mlir::Location loc, mlir::OpBuilder &builder, const Target &target)
      : mlir::ImplicitLocOpBuilder(loc, builder), target(target) {}

  const Target &target;
  /// Set by the driver before an emitter runs.
  llvm::SmallVector<Value>
      pointers; ///< !llvm.ptr of each operand, then of each result that updates none
  llvm::SmallVector<Value> sizes; ///< index; KernelConfig::sizes at the launch
  Value begin, end;               ///< index; the range of the grid
  Value scratch;                  ///< !llvm.ptr, aligned to 64 bytes

  // --- constants and index arithmetic (folded where both sides are constant); quotients are of
  // values >= 0 ---
  Value index(int64_t value);
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value f32(double value);
  Value f64(double value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b);
  Value div(Value a, Value b);
  Value div(Value a, int64_t b);
  Value rem(Value a, Value b);
  Value rem(Value a, int64_t b);
  Value minimum(Value a, Value b);
  Value maximum(Value a, Value b);
  Value ceilDiv(Value a, int64_t b);
  Value less(Value a, Value b);  ///< i1, signed
  Value equal(Value a, Value b); ///< i1
  Value toIndex(Value integer);  ///< i32 or i64 to index

  // --- memory: `at` counts elements (index) ---
  Value pointerAt(Value pointer, mlir::Type element, Value at);
  Value scratchAt(int64_t bytes); ///< pointer into the scratch, constant offset
  Value load(mlir::Type element, Value pointer, Value at);
  void store(Value value, Value pointer, Value at);
  Value loadF32(Value pointer, Value at);
  /// vector<lanes x f32>; with a mask lanes that are off read nothing and are 0.
  Value loadVector(Value pointer, Value at, Value mask = {});
  void storeVector(Value vector, Value pointer, Value at, Value mask = {});
  /// Asks for the cache lines of `elements` f32 (a constant) ahead of their use, wherever the
  /// pointer leads: in the first-level cache to be written, or in the second-level cache to be
  /// read.
  void prefetch(Value pointer, Value at, int64_t elements, bool write);

  // --- vectors of target.lanes f32 ---
  mlir::VectorType vectorType(mlir::Type element);
  mlir::VectorType vectorType(); ///< of f32
  /// vector<lanes x i1>: the first `count` (index; may be above the lanes, or not positive) are on.
  Value maskOf(Value count);
  Value splat(Value scalar);
  Value splat(double value);
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value divf(Value a, Value b);
  /// a b + c, one rounding (vector.fma and math.fma would be two where contraction is off).
  Value fma(Value a, Value b, Value c);
  Value maxf(Value a, Value b);
  Value select(Value condition, Value a, Value b);
  /// The lanes' sum or maximum by a fixed tree: halves added until one is left.
  Value sumLanes(Value vector);
  Value maxLanes(Value vector);

  // --- control ---
  void loop(Value lower, Value upper, int64_t step, llvm::function_ref<void(Value)> body);
  llvm::SmallVector<Value>
  loop(Value lower, Value upper, int64_t step, mlir::ValueRange initial,
       llvm::function_ref<llvm::SmallVector<Value>(Value, mlir::ValueRange)> body);
  void ifThen(Value condition, llvm::function_ref<void()> then);
  /// Visits `count` elements (an index value or a constant) in steps of the lanes: body(at, mask),
  /// mask null for whole vectors; the tail runs the same body with a mask.
  void vectorLoop(Value count, llvm::function_ref<void(Value at, Value mask)> body);
  /// The same with values carried along.
  llvm::SmallVector<Value> vectorLoop(
      Value count, mlir::ValueRange initial,
      llvm::function_ref<llvm::SmallVector<Value>(Value at, Value mask, mlir::ValueRange)> body);
};

/// A family of kernels.
class KernelEmitter {
public:
  virtual ~KernelEmitter() = default;
  virtual llvm::StringRef name() const = 0;
  /// Whether this family can make the whole region one kernel.
  virtual bool accepts(KernelOp kernel) const = 0;
  virtual KernelConfig configure(KernelOp kernel, const Target &target) const = 0;
  /// Writes the body of the function (terminator aside) at the builder's insertion point.
  virtual mlir::LogicalResult emit(KernelOp kernel, const KernelConfig &config,
                                   KernelBuilder &builder) const = 0;
};

/// All families, in the order they are asked. Each is defined in the file of its name.
const KernelEmitter &
productEmitter(); // Products.cpp: linear, grouped_linear, their weight gradients, with epilogues
const KernelEmitter &
attentionEmitter(); // Attention*.cpp: attention, its gradient, the latent cache's ops
const KernelEmitter &
rowEmitter(); // Rows*.cpp: chains of row-local ops (norms, rope, swiglu, router, losses, ...)
const KernelEmitter &tileEmitter();   // Tiles.cpp: FP8 tiles
const KernelEmitter &singleEmitter(); // Single*.cpp: everything else, one op a kernel (sorting,
                                      // optimizer, reductions)

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_KERNELBUILDER_H
