// SPDX-License-Identifier: Apache-2.0
//
// The one micro-kernel of all products: a register tile of C = A B whose elements are chains of
// fused multiply-adds over k ascending, and the packing of its operands. An element's arithmetic
// depends on nothing but its row of A and its column of B, wherever in a tile it lies.

#ifndef HADAL_CODEGEN_CPU_MICROKERNEL_H
#define HADAL_CODEGEN_CPU_MICROKERNEL_H

#include "codegen/Cpu/KernelBuilder.h"

namespace hadal::cpu {

/// Rows and columns (in vectors) of the register tile: accumulators, the vectors of B and one of A
/// fill the registers.
struct TileShape {
  int64_t rows, vectors, columns;
};
TileShape tileShape(const Target &target);

/// Where a tile finds its operands: element k of row r of A at rows[r][k * step]; B packed as
/// [k][columns].
struct TileOperands {
  llvm::SmallVector<mlir::Value> rows; ///< !llvm.ptr
  int64_t step = 1;
  mlir::Value panel; ///< !llvm.ptr, aligned to a vector
  mlir::Value depth; ///< index
};

/// The accumulators, row after row, `vectors` each, after k = 0 to depth - 1; `initial` holds them
/// before.
llvm::SmallVector<mlir::Value> emitTile(KernelBuilder &b, const TileOperands &operands,
                                        mlir::ValueRange initial);
/// Accumulators that are zero.
llvm::SmallVector<mlir::Value> zeroTile(KernelBuilder &b);

/// Packs columns [column, column + tile columns) of B = W^T, W [columnCount, depth] in memory, as
/// [depth][tile columns]. Columns behind the last repeat it.
void emitPackTransposed(KernelBuilder &b, mlir::Value weight, mlir::Value column,
                        int64_t columnCount, int64_t depth, mlir::Value panel);

/// Packs rows of `width` elements: for k < depth, `source(k)` points to a row's element 0, and its
/// elements [first + p advance, first + p advance + vectors lanes) become row k of panel p <
/// panels. Panels lie `panelStride` elements apart. Elements behind the row's end become 0.
struct RowPacking {
  llvm::function_ref<mlir::Value(mlir::Value k)> source;
  int64_t width;
  mlir::Value depth, first;
  mlir::Value panels;
  int64_t advance, vectors;
  mlir::Value target;
  int64_t panelStride;
};
void emitPackRows(KernelBuilder &b, const RowPacking &packing);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_MICROKERNEL_H
