// SPDX-License-Identifier: Apache-2.0
//
// Kernels of mixtures of experts that are no rows: sorting, counts, balance. See Single.h.

#include "codegen/Cpu/Single.h"
#include "codegen/Cpu/TopK.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

static Value toI64(KernelBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI64Type(), index);
}
static Value toI32(KernelBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI32Type(), index);
}

// --- sorting: counts, their running sum, then every row to its place ---

void configureSingle(SortByExpertOp op, KernelConfig &config) {
  config.sizes = {elementsOf(op.getExperts())};
  config.scratch = 16 * int64_t(op.getExpertCount());
}
void emitSingle(SingleWriter &w, SortByExpertOp op) {
  KernelBuilder &b = w.b;
  int64_t experts = int64_t(op.getExpertCount());
  Type i64 = b.getI64Type();
  Value ids = w.pointerOf(op.getExperts()), rows = b.sizes[0];
  Value counts = b.scratchAt(0), next = b.scratchAt(8 * experts);
  Value countsOut = w.resultOf(op.getCounts()), offsets = w.resultOf(op.getOffsets());
  Value source = w.resultOf(op.getSource()), slot = w.resultOf(op.getSlot());
  auto idOf = [&](Value row) { return b.toIndex(b.load(b.getI32Type(), ids, row)); };
  auto increment = [&](Value table, Value at) {
    Value old = b.load(i64, table, at);
    b.store(b.add(old, b.i64(1)), table, at);
    return old;
  };
  b.loop(b.index(0), b.index(experts), 1, [&](Value e) { b.store(b.i64(0), counts, e); });
  b.loop(b.index(0), rows, 1, [&](Value row) { increment(counts, idOf(row)); });
  Value total = b.loop(b.index(0), b.index(experts), 1, b.i64(0), [&](Value e, ValueRange sum) {
    Value count = b.load(i64, counts, e);
    b.store(sum[0], next, e);
    if (offsets)
      b.store(sum[0], offsets, e);
    if (countsOut)
      b.store(count, countsOut, e);
    return SmallVector<Value>{b.add(sum[0], count)};
  })[0];
  if (offsets)
    b.store(total, offsets, b.index(experts));
  if (!source && !slot)
    return;
  b.loop(b.index(0), rows, 1, [&](Value row) {
    Value place = b.toIndex(increment(next, idOf(row)));
    if (source)
      b.store(toI32(b, row), source, place);
    if (slot)
      b.store(toI32(b, place), slot, row);
  });
}

// --- counts and the selection bias ---

void configureSingle(AccumulateCountsOp op, KernelConfig &config) {
  config.sizes = {elementsOf(op.getCounts())};
}
void emitSingle(SingleWriter &w, AccumulateCountsOp op) {
  KernelBuilder &b = w.b;
  Value counts = w.pointerOf(op.getCounts()), total = w.pointerOf(op.getTotal());
  b.loop(b.index(0), b.sizes[0], 1, [&](Value e) {
    Type i64 = b.getI64Type();
    b.store(b.add(b.load(i64, total, e), b.load(i64, counts, e)), total, e);
  });
}

void configureSingle(BiasUpdateOp op, KernelConfig &config) {
  config.sizes = {elementsOf(op.getBias())};
}
void emitSingle(SingleWriter &w, BiasUpdateOp op) {
  KernelBuilder &b = w.b;
  Type i64 = b.getI64Type();
  Value bias = w.pointerOf(op.getBias()), counts = w.pointerOf(op.getCounts()),
        experts = b.sizes[0];
  Value speed = arith::TruncFOp::create(b, b.getF32Type(), w.scalarOf(op.getSpeed()));
  Value total = b.loop(b.index(0), experts, 1, b.i64(0), [&](Value e, ValueRange sum) {
    return SmallVector<Value>{b.add(sum[0], b.load(i64, counts, e))};
  })[0];
  Value zero = b.i64(0), still = b.f32(0.0), back = arith::NegFOp::create(b, speed);
  b.loop(b.index(0), experts, 1, [&](Value e) {
    Value missing = b.sub(total, b.mul(toI64(b, experts), b.load(i64, counts, e)));
    Value move = b.select(b.less(missing, zero), back, still);
    move = b.select(b.less(zero, missing), speed, move);
    b.store(b.addf(b.loadF32(bias, e), move), bias, e);
  });
}

// --- the sequence-wise balance loss ---

/// Scratch: shares P (f64), counts (i64), marks of the chosen (i32), of all experts each.
void configureSingle(SequenceBalanceRowsOp op, KernelConfig &config) {
  auto scores = cast<RankedTensorType>(op.getScores().getType());
  config.key += llvm::formatv(" experts={0}", scores.getDimSize(2));
  config.sizes = {scores.getDimSize(1)};
  config.grid = scores.getDimSize(0);
  config.scratch = 20 * scores.getDimSize(2);
}

/// Adds one token to the shares and counts.
static void addToken(KernelBuilder &b, int64_t experts, int64_t topK, Value scores, Value shares,
                     Value counts, Value marks) {
  Type f64 = b.getF64Type(), i64 = b.getI64Type();
  auto wide = [&](Value e) { return arith::ExtFOp::create(b, f64, b.loadF32(scores, e)); };
  emitTopK(b, scores, marks, experts, topK);
  Value sum = b.loop(b.index(0), b.index(experts), 1, b.f64(0.0), [&](Value e, ValueRange so) {
    return SmallVector<Value>{b.addf(so[0], wide(e))};
  })[0];
  b.loop(b.index(0), b.index(experts), 1, [&](Value e) {
    b.store(b.addf(b.load(f64, shares, e), b.divf(wide(e), sum)), shares, e);
    Value one = b.select(emitIsTaken(b, marks, e), b.i64(1), b.i64(0));
    b.store(b.add(b.load(i64, counts, e), one), counts, e);
  });
}

void emitSingle(SingleWriter &w, SequenceBalanceRowsOp op) {
  KernelBuilder &b = w.b;
  int64_t experts = lastDimension(op.getScores()), topK = int64_t(op.getTopK());
  Type f64 = b.getF64Type(), i64 = b.getI64Type();
  Value scores = w.pointerOf(op.getScores()), tokens = b.sizes[0];
  Value shares = b.scratchAt(0), counts = b.scratchAt(8 * experts),
        marks = b.scratchAt(16 * experts);
  Value rowLoss = w.resultOf(op.getRowLoss()), fractions = w.resultOf(op.getFractions());
  Value length = arith::SIToFPOp::create(b, f64, toI64(b, tokens));
  Value unit = b.divf(b.f64(double(experts) / double(topK)), length);
  b.loop(b.begin, b.end, 1, [&](Value sequence) {
    b.loop(b.index(0), b.index(experts), 1, [&](Value e) {
      b.store(b.f64(0.0), shares, e);
      b.store(b.i64(0), counts, e);
    });
    b.loop(b.index(0), tokens, 1, [&](Value token) {
      Value row = b.mul(b.add(b.mul(sequence, tokens), token), experts);
      addToken(b, experts, topK, b.pointerAt(scores, b.getF32Type(), row), shares, counts, marks);
    });
    Value sum = b.loop(b.index(0), b.index(experts), 1, b.f64(0.0), [&](Value e, ValueRange so) {
      Value fraction = b.mulf(unit, arith::SIToFPOp::create(b, f64, b.load(i64, counts, e)));
      if (fractions)
        b.store(arith::TruncFOp::create(b, b.getF32Type(), fraction), fractions,
                b.add(b.mul(sequence, experts), e));
      Value share = b.divf(b.load(f64, shares, e), length);
      return SmallVector<Value>{b.addf(so[0], b.mulf(fraction, share))};
    })[0];
    if (rowLoss)
      b.store(b.mulf(b.f64(op.getAlpha().convertToDouble()), sum), rowLoss, sequence);
  });
}

} // namespace hadal::cpu
