// SPDX-License-Identifier: Apache-2.0
//
// What the attention kernels are made of: register-tiled products whose left side is read scalar by
// scalar from where it lies, panels of rows turned so that rows become lanes, and access to a
// kernel's operands.

#ifndef HADAL_CODEGEN_CPU_ATTENTIONTILES_H
#define HADAL_CODEGEN_CPU_ATTENTIONTILES_H

#include "codegen/Cpu/KernelBuilder.h"

namespace hadal::cpu {

/// The left side of a product: element (row, step) lies at pointer + row * rowStride + step *
/// stepStride.
struct Scalars {
  mlir::Value pointer;
  int64_t rowStride, stepStride;
};
/// The right side: vector j of step k lies at pointer + k * stride + j * lanes. `lastMask`: lanes
/// of the last vector that are there, null for all.
struct Vectors {
  mlir::Value pointer;
  int64_t stride;
  mlir::Value lastMask = {};
};

/// rows x vectors registers, row by row: initial[row, j] + sum over step < depth of left[row, step]
/// right[step, j], steps ascending, one fused multiply-add each.
llvm::SmallVector<mlir::Value> registerTile(KernelBuilder &b, int64_t rows, int64_t vectors,
                                            mlir::Value depth, Scalars left, Vectors right,
                                            mlir::ValueRange initial);

/// Rows of a register tile that is `vectors` wide: as many accumulators as registers allow beside
/// the operands.
int64_t tileRows(const Target &target, int64_t vectors);

/// Visits [0, count) in pieces of `piece` and one smaller piece at the end, count known at compile
/// time: body(first, size), `first` an index value.
void forPieces(KernelBuilder &b, int64_t count, int64_t piece,
               llvm::function_ref<void(mlir::Value, int64_t)> body);

/// Values of one square of lanes x lanes, turned.
llvm::SmallVector<mlir::Value> transpose(KernelBuilder &b, llvm::ArrayRef<mlir::Value> rows);

/// Rows turned into a panel [columns][width], width = vectors * lanes: row i of the panel's rows
/// becomes lane i. `rowAt` gives a pointer to row i (an index value, which it may clamp). Values
/// are multiplied by `scale` where it is not 1.
void packTurned(KernelBuilder &b, int64_t columns, int64_t vectors,
                llvm::function_ref<mlir::Value(mlir::Value)> rowAt, mlir::Value panel,
                double scale);
/// The way back: writes `columns` values of each of the first `rows` lanes (index) to rowAt(lane).
/// `finish` maps each vector (vector j of a row of the panel) before it is turned.
void unpackTurned(KernelBuilder &b, int64_t columns, int64_t vectors, mlir::Value rows,
                  llvm::function_ref<mlir::Value(mlir::Value)> rowAt, mlir::Value panel,
                  llvm::function_ref<mlir::Value(mlir::Value, int64_t)> finish);

/// Copies `columns` values, known at compile time.
void copyRow(KernelBuilder &b, int64_t columns, mlir::Value from, mlir::Value to);
/// Stores the first `count` lanes: no masked store, which is slow without AVX-512.
void storeFirst(KernelBuilder &b, mlir::Value vector, int64_t count, mlir::Value pointer,
                mlir::Value at);
/// Zeros at `count` (index) values.
void zeroFill(KernelBuilder &b, mlir::Value count, mlir::Value to);

/// Lanes first, first + 1, ... as vector<lanes x i32> (`first` an index).
mlir::Value laneNumbers(KernelBuilder &b, mlir::Value first);
/// Lanes of `limits` that are >= `key` (index): vector<lanes x i1>.
mlir::Value visible(KernelBuilder &b, mlir::Value limits, mlir::Value key);

/// exp(x) as a weight of the softmax, x at most about 0: within 2 ulp down to exp(-87), which
/// stands for everything below (numbers near the smallest normal one would slow products down).
mlir::Value emitWeight(KernelBuilder &b, mlir::Value x);

/// The pointer of a value of the kernel's region: of a block argument, or of a yielded result.
mlir::Value pointerOf(KernelBuilder &b, KernelOp kernel, mlir::Value value);

/// Parts of the scratch, each aligned to 64 bytes.
class ScratchLayout {
public:
  /// The offset of a part of `floats` f32.
  int64_t add(int64_t floats) {
    int64_t offset = bytes;
    bytes += (floats * 4 + 63) / 64 * 64;
    return offset;
  }
  int64_t size() const { return bytes; }

private:
  int64_t bytes = 0;
};

inline int64_t roundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_ATTENTIONTILES_H
