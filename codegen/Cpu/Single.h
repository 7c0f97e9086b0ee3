// SPDX-License-Identifier: Apache-2.0
//
// Kernels of one op: sums over rows, sorting, the optimizer. Each op says how it is launched and
// writes its body.

#ifndef HADAL_CODEGEN_CPU_SINGLE_H
#define HADAL_CODEGEN_CPU_SINGLE_H

#include "codegen/Cpu/KernelBuilder.h"

namespace hadal::cpu {

/// Elements of a block of what is updated element by element.
constexpr int64_t kFlatBlock = 16384;
/// Columns of a block of what sums over rows.
constexpr int64_t kColumnBlock = 64;

/// The body of one op's kernel.
class SingleWriter {
public:
  SingleWriter(KernelBuilder &b, KernelOp kernel) : b(b), kernel(kernel) {}

  KernelBuilder &b;

  /// The memory of an operand.
  mlir::Value pointerOf(mlir::Value operand) const;
  /// The memory of a result that updates no operand; null where nobody reads it.
  mlir::Value resultOf(mlir::Value result) const;
  /// An operand of rank 0.
  mlir::Value scalarOf(mlir::Value operand) const;

  /// Over the grid: body(first element, elements) for blocks of `block` out of `count` elements.
  void blocks(mlir::Value count, int64_t block,
              llvm::function_ref<void(mlir::Value first, mlir::Value count)> body);

private:
  KernelOp kernel;
};

inline int64_t elementsOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getNumElements();
}
inline int64_t lastDimension(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape().back();
}

/// How an op is launched: `config.key` holds the op's name and attributes already. Overloads, one
/// an op.
void configureSingle(AccumulateOp op, KernelConfig &config);
void configureSingle(AccumulateCountsOp op, KernelConfig &config);
void configureSingle(AccumulateSquaresOp op, KernelConfig &config);
void configureSingle(AdamwOp op, KernelConfig &config);
void configureSingle(BiasUpdateOp op, KernelConfig &config);
void configureSingle(ClipFactorOp op, KernelConfig &config);
void configureSingle(EmbeddingGradientOp op, KernelConfig &config);
void configureSingle(ExchangeLayoutOp op, KernelConfig &config);
void configureSingle(ReduceLossOp op, KernelConfig &config);
void configureSingle(RmsNormWeightGradientOp op, KernelConfig &config);
void configureSingle(SequenceBalanceRowsOp op, KernelConfig &config);
void configureSingle(SortByExpertOp op, KernelConfig &config);
void configureSingle(SortReceivedOp op, KernelConfig &config);
void configureSingle(SquareSumOp op, KernelConfig &config);

/// The body, likewise.
void emitSingle(SingleWriter &w, AccumulateOp op);
void emitSingle(SingleWriter &w, AccumulateCountsOp op);
void emitSingle(SingleWriter &w, AccumulateSquaresOp op);
void emitSingle(SingleWriter &w, AdamwOp op);
void emitSingle(SingleWriter &w, BiasUpdateOp op);
void emitSingle(SingleWriter &w, ClipFactorOp op);
void emitSingle(SingleWriter &w, EmbeddingGradientOp op);
void emitSingle(SingleWriter &w, ExchangeLayoutOp op);
void emitSingle(SingleWriter &w, ReduceLossOp op);
void emitSingle(SingleWriter &w, RmsNormWeightGradientOp op);
void emitSingle(SingleWriter &w, SequenceBalanceRowsOp op);
void emitSingle(SingleWriter &w, SortByExpertOp op);
void emitSingle(SingleWriter &w, SortReceivedOp op);
void emitSingle(SingleWriter &w, SquareSumOp op);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_SINGLE_H
