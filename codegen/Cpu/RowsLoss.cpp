// SPDX-License-Identifier: Apache-2.0
//
// Row kernels of the next-token loss. See Rows.h.

#include "codegen/Cpu/Rows.h"
#include "codegen/Cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

static Value extend(KernelBuilder &b, Value x) {
  return arith::ExtFOp::create(b, b.getF64Type(), x);
}

/// The row's target: ids[sequence, token + offset], by sizes S and offset.
static Value targetOf(RowWriter &w, Operation *op, Value ids) {
  KernelBuilder &b = w.b;
  Value at = b.add(b.mul(w.sequence, w.sizeOf(op, 0)), b.add(w.token, w.sizeOf(op, 1)));
  return b.toIndex(b.load(b.getI32Type(), w.pointerOf(ids), at));
}

void emitRow(RowWriter &w, CrossEntropyRowsOp op) {
  KernelBuilder &b = w.b;
  RowSpan logits = w.read(op.getLogits());
  RowSpan rowLoss = w.write(cast<OpResult>(op.getRowLoss()));
  RowSpan logSumExp = w.write(cast<OpResult>(op.getLogSumExp()));
  auto larger = [&](Value x, Value y) { return b.maxf(x, y); };
  constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  Value low = b.splat(kMinusInfinity);
  Value largest = b.maxLanes(w.reduce(
      logits.width, kMinusInfinity,
      [&](Value at, Value mask, Value most) {
        Value x = w.load(logits, at, mask);
        return b.maxf(mask ? b.select(mask, x, low) : x, most);
      },
      larger));
  Value shift = b.splat(largest), zero = b.splat(0.0);
  Value total = w.sum(logits.width, [&](Value at, Value mask, Value sum) {
    Value e = emitExp(b, b.subf(w.load(logits, at, mask), shift));
    return b.addf(sum, mask ? b.select(mask, e, zero) : e);
  });
  Value exact = b.addf(extend(b, largest), extend(b, emitLog(b, total)));
  w.storeScalar(arith::TruncFOp::create(b, b.getF32Type(), exact), logSumExp);
  Value target = b.loadF32(logits.pointer, b.add(logits.base, targetOf(w, op, op.getIds())));
  w.storeScalar(b.subf(exact, extend(b, target)), rowLoss);
}

void emitRow(RowWriter &w, CrossEntropyGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan logits = w.read(op.getLogits()), result = w.write(cast<OpResult>(op.getResult()));
  Value logSumExp = w.loadScalar(w.read(op.getLogSumExp()));
  Value divisor = arith::IndexCastOp::create(b, b.getI64Type(), w.sizeOf(op, 2));
  divisor = arith::SIToFPOp::create(b, b.getF64Type(), divisor);
  Value seed = extend(b, b.loadF32(w.pointerOf(op.getSeed()), b.index(0)));
  Value factor = arith::TruncFOp::create(b, b.getF32Type(), b.divf(seed, divisor));
  Value scale = b.splat(factor), shift = b.splat(logSumExp);
  b.vectorLoop(b.index(logits.width), [&](Value at, Value mask) {
    Value p = emitExp(b, b.subf(w.load(logits, at, mask), shift));
    w.store(b.mulf(scale, p), result, at, mask);
  });
  // The target's element once more.
  Value target = targetOf(w, op, op.getIds());
  Value p = emitExp(b, b.subf(b.loadF32(logits.pointer, b.add(logits.base, target)), logSumExp));
  b.store(b.mulf(factor, b.subf(p, b.f32(1.0))), result.pointer, b.add(result.base, target));
}

} // namespace hadal::cpu
