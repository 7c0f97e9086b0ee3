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

/// Where a tile finds its operands: element k of row r of A at rows[r][k * step]; row k of B, whole
/// vectors, at panel[k * panelStep].
struct TileOperands {
  llvm::SmallVector<mlir::Value> rows; ///< !llvm.ptr
  int64_t step = 1;
  mlir::Value panel; ///< !llvm.ptr, aligned to a vector
  int64_t panelStep = 0;
  mlir::Value depth; ///< index
};

/// The accumulators, row after row, `vectors` each, after k = 0 to depth - 1; `initial` holds them
/// before.
llvm::SmallVector<mlir::Value> emitTile(KernelBuilder &b, const TileOperands &operands,
                                        mlir::ValueRange initial);
/// Accumulators that are zero.
llvm::SmallVector<mlir::Value> zeroTile(KernelBuilder &b);

/// The columns of B = W^T, W [columnCount, depth] in memory, that a tile at `column` covers;
/// columns behind the last repeat it.
class TransposedColumns {
public:
  TransposedColumns(KernelBuilder &b, mlir::Value weight, mlir::Value column, int64_t columnCount,
                    int64_t depth);
  /// Packs them as [depth][tile columns].
  void pack(mlir::Value panel);
  /// One row of C without packing: the chains of emitTile for the row of A at `row`.
  llvm::SmallVector<mlir::Value> multiply(mlir::Value row);

private:
  llvm::SmallVector<mlir::Value> quad(int64_t vector, mlir::Value k);
  mlir::Value single(int64_t vector, mlir::Value k);

  KernelBuilder &b;
  TileShape tile;
  int64_t depth;
  llvm::SmallVector<mlir::Value> sources; ///< pointers to the columns
};

/// Copies a block of `width` columns, from column `first` on, of rows of `rowWidth` elements: for k
/// < depth, with `source(k)` the pointer to a row, piece p (`piece` elements, whole vectors) of the
/// block goes to target[k step + p pieceStep]. Elements behind a row's end become 0. `first` is a
/// multiple of `width`.
struct BlockCopy {
  llvm::function_ref<mlir::Value(mlir::Value k)> source;
  int64_t rowWidth;
  mlir::Value depth, first;
  int64_t width, piece;
  mlir::Value target; ///< aligned to a vector
  int64_t step, pieceStep;
};
void emitBlockCopy(KernelBuilder &b, const BlockCopy &copy);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_MICROKERNEL_H
