// SPDX-License-Identifier: Apache-2.0
//
// See KernelBuilder.h.

#include "codegen/Cpu/KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace hadal::cpu {

// --- constants and index arithmetic ---

Value KernelBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value KernelBuilder::i32(int64_t value) {
  return arith::ConstantIntOp::create(*this, getI32Type(), value);
}
Value KernelBuilder::i64(int64_t value) {
  return arith::ConstantIntOp::create(*this, getI64Type(), value);
}
Value KernelBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(float(value)));
}
Value KernelBuilder::f64(double value) {
  return arith::ConstantOp::create(*this, getF64FloatAttr(value));
}

Value KernelBuilder::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }
Value KernelBuilder::add(Value a, int64_t b) { return b ? add(a, index(b)) : a; }
Value KernelBuilder::sub(Value a, Value b) { return createOrFold<arith::SubIOp>(a, b); }
Value KernelBuilder::mul(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }
Value KernelBuilder::mul(Value a, int64_t b) { return b == 1 ? a : mul(a, index(b)); }
Value KernelBuilder::div(Value a, Value b) { return createOrFold<arith::DivUIOp>(a, b); }
Value KernelBuilder::div(Value a, int64_t b) { return b == 1 ? a : div(a, index(b)); }
Value KernelBuilder::rem(Value a, Value b) { return createOrFold<arith::RemUIOp>(a, b); }
Value KernelBuilder::rem(Value a, int64_t b) { return rem(a, index(b)); }
Value KernelBuilder::minimum(Value a, Value b) { return createOrFold<arith::MinSIOp>(a, b); }
Value KernelBuilder::maximum(Value a, Value b) { return createOrFold<arith::MaxSIOp>(a, b); }
Value KernelBuilder::ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }
Value KernelBuilder::less(Value a, Value b) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::slt, a, b);
}
Value KernelBuilder::equal(Value a, Value b) {
  return createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, a, b);
}
Value KernelBuilder::toIndex(Value integer) {
  return createOrFold<arith::IndexCastOp>(getIndexType(), integer);
}

// --- memory ---

Value KernelBuilder::pointerAt(Value pointer, Type element, Value at) {
  if (isConstantIntValue(at, 0))
    return pointer;
  Value offset = createOrFold<arith::IndexCastOp>(getI64Type(), at);
  return LLVM::GEPOp::create(*this, pointer.getType(), element, pointer,
                             ArrayRef<LLVM::GEPArg>{offset});
}
Value KernelBuilder::scratchAt(int64_t bytes) {
  return pointerAt(scratch, getI8Type(), index(bytes));
}

Value KernelBuilder::load(Type element, Value pointer, Value at) {
  return LLVM::LoadOp::create(*this, element, pointerAt(pointer, element, at));
}
void KernelBuilder::store(Value value, Value pointer, Value at) {
  LLVM::StoreOp::create(*this, value, pointerAt(pointer, value.getType(), at));
}
Value KernelBuilder::loadF32(Value pointer, Value at) { return load(getF32Type(), pointer, at); }

Value KernelBuilder::loadVector(Value pointer, Value at, Value mask) {
  Value from = pointerAt(pointer, getF32Type(), at);
  if (!mask)
    return LLVM::LoadOp::create(*this, vectorType(), from, /*alignment=*/4);
  return LLVM::MaskedLoadOp::create(*this, vectorType(), from, mask, splat(0.0),
                                    getI32IntegerAttr(4));
}
void KernelBuilder::storeVector(Value vector, Value pointer, Value at, Value mask) {
  Value to = pointerAt(pointer, getF32Type(), at);
  if (!mask)
    LLVM::StoreOp::create(*this, vector, to, /*alignment=*/4);
  else
    LLVM::MaskedStoreOp::create(*this, vector, to, mask, getI32IntegerAttr(4));
}

void KernelBuilder::prefetch(Value pointer, Value at, int64_t elements, bool write) {
  for (int64_t line = 0; line < elements; line += 16) {
    Value address = pointerAt(pointer, getF32Type(), add(at, line));
    LLVM::Prefetch::create(*this, address, /*rw=*/write, /*hint=*/write ? 3 : 2, /*cache=*/1);
  }
}

// --- vectors ---

VectorType KernelBuilder::vectorType(Type element) {
  return VectorType::get({target.lanes}, element);
}
VectorType KernelBuilder::vectorType() { return vectorType(getF32Type()); }

Value KernelBuilder::maskOf(Value count) {
  SmallVector<int32_t> lanes;
  for (int64_t lane = 0; lane < target.lanes; ++lane)
    lanes.push_back(int32_t(lane));
  VectorType type = vectorType(getI32Type());
  Value numbers = arith::ConstantOp::create(*this, DenseElementsAttr::get(type, ArrayRef(lanes)));
  // Clamped first: a count may not fit 32 bits.
  Value clamped = maximum(minimum(count, index(target.lanes)), index(0));
  Value bound = createOrFold<arith::IndexCastOp>(getI32Type(), clamped);
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::slt, numbers,
                               vector::BroadcastOp::create(*this, type, bound));
}

Value KernelBuilder::splat(Value scalar) {
  return vector::BroadcastOp::create(*this, vectorType(scalar.getType()), scalar);
}
Value KernelBuilder::splat(double value) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorType(), float(value)));
}

Value KernelBuilder::addf(Value a, Value b) { return arith::AddFOp::create(*this, a, b); }
Value KernelBuilder::subf(Value a, Value b) { return arith::SubFOp::create(*this, a, b); }
Value KernelBuilder::mulf(Value a, Value b) { return arith::MulFOp::create(*this, a, b); }
Value KernelBuilder::divf(Value a, Value b) { return arith::DivFOp::create(*this, a, b); }
Value KernelBuilder::fma(Value a, Value b, Value c) { return LLVM::FMAOp::create(*this, a, b, c); }
Value KernelBuilder::maxf(Value a, Value b) {
  Value greater = arith::CmpFOp::create(*this, arith::CmpFPredicate::OGT, a, b);
  return select(greater, a, b);
}
Value KernelBuilder::select(Value condition, Value a, Value b) {
  return createOrFold<arith::SelectOp>(condition, a, b);
}

/// Halves combined until one lane is left.
static Value reduceLanes(KernelBuilder &b, Value vector,
                         function_ref<Value(Value, Value)> combine) {
  for (int64_t half = cast<VectorType>(vector.getType()).getNumElements() / 2; half; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < half; ++lane) {
      low.push_back(lane);
      high.push_back(half + lane);
    }
    vector = combine(vector::ShuffleOp::create(b, vector, vector, low),
                     vector::ShuffleOp::create(b, vector, vector, high));
  }
  return vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{0});
}
Value KernelBuilder::sumLanes(Value vector) {
  return reduceLanes(*this, vector, [&](Value a, Value b) { return addf(a, b); });
}
Value KernelBuilder::maxLanes(Value vector) {
  return reduceLanes(*this, vector, [&](Value a, Value b) { return maxf(a, b); });
}

// --- control ---

SmallVector<Value> KernelBuilder::loop(Value lower, Value upper, int64_t step, ValueRange initial,
                                       function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, lower, upper, index(step), initial);
  InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  SmallVector<Value> next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!initial.empty())
    scf::YieldOp::create(*this, next);
  return SmallVector<Value>(loop.getResults());
}
void KernelBuilder::loop(Value lower, Value upper, int64_t step, function_ref<void(Value)> body) {
  loop(lower, upper, step, ValueRange(), [&](Value at, ValueRange) -> SmallVector<Value> {
    body(at);
    return {};
  });
}

void KernelBuilder::ifThen(Value condition, function_ref<void()> then) {
  if (matchPattern(condition, m_Zero()))
    return;
  auto branch = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  then();
}

SmallVector<Value>
KernelBuilder::vectorLoop(Value count, ValueRange initial,
                          function_ref<SmallVector<Value>(Value, Value, ValueRange)> body) {
  Value rest = rem(count, target.lanes);
  Value whole = sub(count, rest);
  SmallVector<Value> carried(initial);
  if (!isConstantIntValue(whole, 0))
    carried = loop(index(0), whole, target.lanes, initial,
                   [&](Value at, ValueRange values) { return body(at, Value(), values); });
  if (isConstantIntValue(rest, 0))
    return carried;
  if (getConstantIntValue(rest))
    return body(whole, maskOf(rest), carried);
  auto branch = scf::IfOp::create(*this, initial.getTypes(), less(index(0), rest),
                                  /*addThenBlock=*/true, /*addElseBlock=*/!initial.empty());
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  SmallVector<Value> tail = body(whole, maskOf(rest), carried);
  scf::YieldOp::create(*this, tail);
  if (!initial.empty()) {
    setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(*this, carried);
  }
  return SmallVector<Value>(branch.getResults());
}
void KernelBuilder::vectorLoop(Value count, function_ref<void(Value, Value)> body) {
  vectorLoop(count, ValueRange(), [&](Value at, Value mask, ValueRange) -> SmallVector<Value> {
    body(at, mask);
    return {};
  });
}

} // namespace hadal::cpu
