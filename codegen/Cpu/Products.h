// SPDX-License-Identifier: Apache-2.0
//
// Inside of the family of products: what a kernel's region is, and the parts its code is written
// by.

#ifndef HADAL_CODEGEN_CPU_PRODUCTS_H
#define HADAL_CODEGEN_CPU_PRODUCTS_H

#include "codegen/Cpu/MicroKernel.h"

#include <optional>

namespace hadal::cpu {

/// Rows that a product reads: those of an operand, or (hadal.dispatch in front of the product) rows
/// gathered from one by source[row] / choices.
struct RowSource {
  unsigned operand = 0;
  std::optional<unsigned> indices; ///< operand `source`
  int64_t choices = 1;
};

/// A kernel's region as a product. Forward: C [rows, columns] = input [rows, depth] B. Weight
/// gradient: C [columns of `left`, columns of `right`] += left^T right.
struct Product {
  enum Kind { Forward, WeightGradient } kind = Forward;
  mlir::Operation *root = nullptr;
  RowSource left;                  ///< forward: the input; weight gradient: the gradient
  RowSource right;                 ///< weight gradient: the input
  unsigned weight = 0;             ///< operand; weight gradient: the accumulator
  std::optional<unsigned> offsets; ///< operand, where the product is grouped
  bool transposed = false;
  int64_t experts = 1;
  int64_t rows = 0;
  int64_t leftWidth = 0,
          rightWidth = 0; ///< elements of a row of `left`; of `right` or of the result
  llvm::SmallVector<mlir::Operation *> epilogue;
};

/// None where the region is something else.
std::optional<Product> matchProduct(KernelOp kernel);

/// How a product is cut. Depends on shapes only.
struct ProductConfig {
  int64_t rowBlock = 0, columnBlock = 0; ///< elements of C of one grid index
  int64_t depthBlock = 0;                ///< weight gradients: rows packed at a time
};
ProductConfig configureProduct(const Product &product, const Target &target);

/// Pointer operand that receives yielded value `result`.
unsigned resultPointer(KernelOp kernel, unsigned result);

/// Pointer to row `row` of `source`.
mlir::Value rowPointer(KernelBuilder &b, const RowSource &source, mlir::Value row, int64_t width);

/// Computes and stores what a forward kernel yields of one vector of C, at [row, column].
void emitEpilogue(KernelOp kernel, const Product &product, KernelBuilder &b, mlir::Value vector,
                  mlir::Value row, mlir::Value column, mlir::Value mask);
/// Pointers that the epilogue reads or writes at a vector's place.
llvm::SmallVector<unsigned> epiloguePointers(KernelOp kernel, const Product &product);
bool isEpilogueOp(mlir::Operation *op, const llvm::SmallPtrSetImpl<mlir::Value> &computed);

int64_t forwardScratch(const Product &product, const Target &target);
void emitForward(KernelOp kernel, const Product &product, KernelBuilder &b);
int64_t weightGradientScratch(const Product &product, const Target &target);
void emitWeightGradient(KernelOp kernel, const Product &product, KernelBuilder &b);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_PRODUCTS_H
