// SPDX-License-Identifier: Apache-2.0
//
// Kernels of row-local ops: one grid index is one row, on which all ops of the region run one after
// another. What is read inside only lies in a row of scratch; what is yielded goes to memory
// directly. Token counts are launch sizes, widths of rows are part of the code.

#ifndef HADAL_CODEGEN_CPU_ROWS_H
#define HADAL_CODEGEN_CPU_ROWS_H

#include "codegen/Cpu/KernelBuilder.h"
#include "passes/Fuse/FusionRules.h"

#include "llvm/ADT/DenseMap.h"

namespace hadal::cpu {

/// One row of a value: `width` elements at `pointer` from element `base` on.
struct RowSpan {
  mlir::Value pointer;
  mlir::Value base; ///< index
  int64_t width = 0;

  RowSpan from(KernelBuilder &b, int64_t first, int64_t count) const {
    return {pointer, b.add(base, first), count};
  }
};

/// Where the values of a row kernel lie: known before its code is written.
struct RowLayout {
  explicit RowLayout(KernelOp kernel);

  /// Elements a row of a value that is read or written row by row.
  int64_t widthOf(mlir::Value value) const;

  mutable KernelOp kernel;
  RowDomain domain;
  llvm::DenseMap<mlir::Value, int64_t> scratch; ///< bytes from the start, values that stay inside
  llvm::DenseMap<mlir::Operation *, int64_t> workspace; ///< the same, what an op needs for itself
  llvm::DenseMap<mlir::Operation *, unsigned>
      firstSize;                    ///< launch sizes of an op: the first one's number
  llvm::SmallVector<int64_t> sizes; ///< rows, tokens, then those of the ops
  int64_t scratchBytes = 0;
};

/// The row at hand.
class RowWriter {
public:
  RowWriter(KernelBuilder &b, const RowLayout &layout, mlir::Value row);

  KernelBuilder &b;
  const RowLayout &layout;
  mlir::Value row;             ///< index; all below too
  mlir::Value sequence, token; ///< row = sequence tokens + token; null where no op asks

  /// Emits all ops.
  mlir::LogicalResult run();

  /// The row of an operand that is read row by row: from outside, or computed before.
  RowSpan read(mlir::Value value) const;
  /// Where a result's row goes.
  RowSpan write(mlir::OpResult result);
  /// The pointer of an operand that comes from outside, to gather from.
  mlir::Value pointerOf(mlir::Value argument) const;
  /// Launch size `number` of an op.
  mlir::Value sizeOf(mlir::Operation *op, unsigned number) const;
  mlir::Value workspaceOf(mlir::Operation *op) const;
  /// Makes `result` another name for `span`, where it stays inside; false: it must be written.
  bool alias(mlir::OpResult result, RowSpan span);
  int64_t widthOf(mlir::Value value) const { return layout.widthOf(value); }

  mlir::Value load(RowSpan span, mlir::Value at, mlir::Value mask) {
    return b.loadVector(span.pointer, b.add(span.base, at), mask);
  }
  void store(mlir::Value vector, RowSpan span, mlir::Value at, mlir::Value mask) {
    b.storeVector(vector, span.pointer, b.add(span.base, at), mask);
  }
  mlir::Value loadScalar(RowSpan span, int64_t at = 0) {
    return b.loadF32(span.pointer, b.add(span.base, at));
  }
  void storeScalar(mlir::Value value, RowSpan span, int64_t at = 0) {
    b.store(value, span.pointer, b.add(span.base, at));
  }
  void copy(RowSpan from, RowSpan to);
  /// The sum over `count` elements of term(at, mask, sum so far), which adds to the sum lane by
  /// lane; off lanes add 0. Four sums run side by side over blocks of four vectors and are added
  /// pairwise, then the lanes by their tree.
  mlir::Value
  sum(int64_t count,
      llvm::function_ref<mlir::Value(mlir::Value at, mlir::Value mask, mlir::Value sum)> term);
  /// The same without the lanes' tree and for any way to combine.
  mlir::Value
  reduce(int64_t count, double initial,
         llvm::function_ref<mlir::Value(mlir::Value at, mlir::Value mask, mlir::Value sum)> term,
         llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> combine);

private:
  mlir::Value outputOf(mlir::Value result) const;
  llvm::DenseMap<mlir::Value, RowSpan> spans;
};

/// The emitters of ops, one overload an op.
void emitRow(RowWriter &w, AddOp op);
void emitRow(RowWriter &w, RmsNormOp op);
void emitRow(RowWriter &w, RmsNormGradientOp op);
void emitRow(RowWriter &w, SwigluOp op);
void emitRow(RowWriter &w, SwigluGradientOp op);
void emitRow(RowWriter &w, SplitOp op);
void emitRow(RowWriter &w, ConcatOp op);
void emitRow(RowWriter &w, RopeOp op);
void emitRow(RowWriter &w, EmbeddingOp op);
void emitRow(RowWriter &w, LastTokenOp op);
void emitRow(RowWriter &w, MtpJoinOp op);
void emitRow(RowWriter &w, MtpJoinGradientOp op);
void emitRow(RowWriter &w, SumHeadsOp op);
void emitRow(RowWriter &w, RouteOp op);
void emitRow(RowWriter &w, RouteGradientOp op);
void emitRow(RowWriter &w, DispatchOp op);
void emitRow(RowWriter &w, CombineOp op);
void emitRow(RowWriter &w, CombineMembersOp op);
void emitRow(RowWriter &w, DispatchWeightsOp op);
void emitRow(RowWriter &w, CombineWeightsOp op);
void emitRow(RowWriter &w, SequenceBalanceGradientOp op);
void emitRow(RowWriter &w, CrossEntropyRowsOp op);
void emitRow(RowWriter &w, CrossEntropyGradientOp op);

/// Bytes an op needs for itself beside its rows.
int64_t rowWorkspace(mlir::Operation *op);
/// What an op is told at the launch beside rows and tokens; its attributes that are passed so are
/// no part of the code.
llvm::SmallVector<int64_t> rowSizes(mlir::Operation *op);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_ROWS_H
