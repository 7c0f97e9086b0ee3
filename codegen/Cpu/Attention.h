// SPDX-License-Identifier: Apache-2.0
//
// The attention kernels: for each op what is decided beforehand, and its code.

#ifndef HADAL_CODEGEN_CPU_ATTENTION_H
#define HADAL_CODEGEN_CPU_ATTENTION_H

#include "codegen/Cpu/AttentionTiles.h"

namespace hadal::cpu {

// AttentionForward.cpp
KernelConfig configureAttention(AttentionOp op, const Target &target);
void emitAttention(AttentionOp op, KernelOp kernel, KernelBuilder &b);
// AttentionGradient.cpp
KernelConfig configureGradient(AttentionGradientHeadsOp op, const Target &target);
void emitGradient(AttentionGradientHeadsOp op, KernelOp kernel, KernelBuilder &b);
// AttentionLatent.cpp
KernelConfig configureLatent(LatentAttentionOp op, const Target &target);
void emitLatent(LatentAttentionOp op, KernelOp kernel, KernelBuilder &b);
// AttentionCache.cpp
KernelConfig configureCacheAppend(CacheAppendOp op);
void emitCacheAppend(CacheAppendOp op, KernelOp kernel, KernelBuilder &b);
KernelConfig configureAbsorb(AbsorbQueryOp op);
void emitAbsorb(AbsorbQueryOp op, KernelOp kernel, KernelBuilder &b);
KernelConfig configureExpand(ExpandValueOp op);
void emitExpand(ExpandValueOp op, KernelOp kernel, KernelBuilder &b);

/// Size `dimension` of a ranked tensor.
inline int64_t sizeOf(mlir::Value tensor, unsigned dimension) {
  return mlir::cast<mlir::RankedTensorType>(tensor.getType()).getDimSize(dimension);
}

/// Sizes of the training form.
struct AttentionSizes {
  int64_t sequences, tokens, heads;
  int64_t nope, rotary, values; ///< n, r, v
  int64_t depth;                ///< n + r

  template <typename Op> explicit AttentionSizes(Op op) {
    sequences = sizeOf(op.getQuery(), 0);
    tokens = sizeOf(op.getQuery(), 1);
    heads = op.getHeads();
    depth = sizeOf(op.getQuery(), 2) / heads;
    rotary = sizeOf(op.getKeyRotary(), 2);
    nope = depth - rotary;
    values = sizeOf(op.getKeyValue(), 2) / heads - nope;
  }
  /// What the code depends on.
  std::string key() const;
};

/// A number as part of a key, to the bit.
std::string keyOf(const llvm::APFloat &value);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_ATTENTION_H
