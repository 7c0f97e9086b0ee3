// SPDX-License-Identifier: Apache-2.0
//
// See TopK.h.

#include "codegen/Cpu/TopK.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

Value emitGreater(KernelBuilder &b, Value x, Value y) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, x, y);
}

Value emitIsTaken(KernelBuilder &b, Value taken, Value at) {
  return b.equal(b.load(b.getI32Type(), taken, at), b.i32(1));
}

void emitTopK(KernelBuilder &b, Value values, Value taken, int64_t count, int64_t most) {
  Value none = b.i32(0), no = arith::ConstantIntOp::create(b, b.getI1Type(), 0);
  b.loop(b.index(0), b.index(count), 1, [&](Value at) { b.store(none, taken, at); });
  b.loop(b.index(0), b.index(most), 1, [&](Value) {
    SmallVector<Value> start{b.f32(-std::numeric_limits<double>::infinity()), b.index(-1)};
    auto best = b.loop(b.index(0), b.index(count), 1, start, [&](Value at, ValueRange so) {
      Value x = b.loadF32(values, at);
      Value first = b.equal(so[1], b.index(-1));
      Value better = arith::OrIOp::create(b, first, emitGreater(b, x, so[0]));
      better = b.select(emitIsTaken(b, taken, at), no, better);
      return SmallVector<Value>{b.select(better, x, so[0]), b.select(better, at, so[1])};
    });
    b.store(b.i32(1), taken, best[1]);
  });
}

} // namespace hadal::cpu
