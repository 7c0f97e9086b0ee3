// SPDX-License-Identifier: Apache-2.0
//
// The family of attention kernels: one op a kernel.

#include "codegen/Cpu/Attention.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace hadal::cpu {

std::string AttentionSizes::key() const {
  return llvm::formatv("h{0}n{1}r{2}v{3}", heads, nope, rotary, values);
}

std::string keyOf(const llvm::APFloat &value) {
  return llvm::utohexstr(value.bitcastToAPInt().getZExtValue());
}

namespace {

/// The kernel's only op, or null.
Operation *onlyOp(KernelOp kernel) {
  Block &body = kernel.getBody().front();
  return llvm::hasSingleElement(body.without_terminator()) ? &body.front() : nullptr;
}

/// Which results of the op the kernel yields: part of the key, as what is not yielded is not
/// written.
std::string yieldedResults(KernelOp kernel, Operation *op) {
  std::string text;
  for (Value result : op->getResults())
    text += result.use_empty() ? '-' : '+';
  for (Value operand : op->getOperands())
    text += llvm::formatv(",{0}", cast<BlockArgument>(operand).getArgNumber());
  return text;
}

class AttentionEmitter : public KernelEmitter {
public:
  StringRef name() const override { return "attention"; }
  bool accepts(KernelOp kernel) const override {
    Operation *op = onlyOp(kernel);
    if (!isa_and_nonnull<AttentionOp, AttentionGradientHeadsOp, LatentAttentionOp, CacheAppendOp,
                         AbsorbQueryOp, ExpandValueOp, CachedAttentionOp>(op))
      return false;
    // Each result has one place: yielded at most once.
    llvm::SmallPtrSet<void *, 4> seen;
    for (Value value : kernel.getBody().front().getTerminator()->getOperands())
      if (value.getDefiningOp() != op || !seen.insert(value.getAsOpaquePointer()).second)
        return false;
    return true;
  }

  KernelConfig configure(KernelOp kernel, const Target &target) const override {
    Operation *op = onlyOp(kernel);
    KernelConfig config =
        llvm::TypeSwitch<Operation *, KernelConfig>(op)
            .Case([&](AttentionOp op) { return configureAttention(op, target); })
            .Case([&](AttentionGradientHeadsOp op) { return configureGradient(op, target); })
            .Case([&](LatentAttentionOp op) { return configureLatent(op, target); })
            .Case([&](CacheAppendOp op) { return configureCacheAppend(op); })
            .Case([&](AbsorbQueryOp op) { return configureAbsorb(op); })
            .Case([&](ExpandValueOp op) { return configureExpand(op); })
            .Default([](Operation *) { return KernelConfig(); });
    config.key =
        llvm::formatv("{0};{1};{2}", op->getName(), yieldedResults(kernel, op), config.key);
    config.flops = int64_t(flopsOf(op));
    return config;
  }

  LogicalResult emit(KernelOp kernel, const KernelConfig &, KernelBuilder &b) const override {
    if (isa<CachedAttentionOp>(onlyOp(kernel)))
      return onlyOp(kernel)->emitOpError(
          "has no kernel on target cpu: expected --hadal-absorb-projections to have rewritten it");
    llvm::TypeSwitch<Operation *>(onlyOp(kernel))
        .Case([&](AttentionOp op) { emitAttention(op, kernel, b); })
        .Case([&](AttentionGradientHeadsOp op) { emitGradient(op, kernel, b); })
        .Case([&](LatentAttentionOp op) { emitLatent(op, kernel, b); })
        .Case([&](CacheAppendOp op) { emitCacheAppend(op, kernel, b); })
        .Case([&](AbsorbQueryOp op) { emitAbsorb(op, kernel, b); })
        .Case([&](ExpandValueOp op) { emitExpand(op, kernel, b); });
    return success();
  }
};

} // namespace

const KernelEmitter &attentionEmitter() {
  static const AttentionEmitter emitter;
  return emitter;
}

} // namespace hadal::cpu
