// SPDX-License-Identifier: Apache-2.0
//
// See AttentionTiles.h.

#include "codegen/Cpu/AttentionTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace hadal::cpu {

SmallVector<Value> registerTile(KernelBuilder &b, int64_t rows, int64_t vectors, Value depth,
                                Scalars left, Vectors right, ValueRange initial) {
  return b.loop(b.index(0), depth, 1, initial, [&](Value step, ValueRange sums) {
    Value rightAt = b.mul(step, right.stride), leftAt = b.mul(step, left.stepStride);
    SmallVector<Value> columns, next;
    for (int64_t j = 0; j < vectors; ++j)
      columns.push_back(b.loadVector(right.pointer, b.add(rightAt, j * b.target.lanes),
                                     j + 1 == vectors ? right.lastMask : Value()));
    for (int64_t i = 0; i < rows; ++i) {
      Value scalar = b.splat(b.loadF32(left.pointer, b.add(leftAt, i * left.rowStride)));
      for (int64_t j = 0; j < vectors; ++j)
        next.push_back(b.fma(scalar, columns[j], sums[i * vectors + j]));
    }
    return next;
  });
}

int64_t tileRows(const Target &target, int64_t vectors) {
  return (target.registers >= 32 ? 24 : 12) / vectors;
}

void forPieces(KernelBuilder &b, int64_t count, int64_t piece,
               function_ref<void(Value, int64_t)> body) {
  int64_t whole = count / piece * piece;
  if (whole == piece)
    body(b.index(0), piece);
  else if (whole)
    b.loop(b.index(0), b.index(whole), piece, [&](Value first) { body(first, piece); });
  if (whole < count)
    body(b.index(whole), count - whole);
}

// --- panels of turned rows ---

SmallVector<Value> transpose(KernelBuilder &b, ArrayRef<Value> rows) {
  SmallVector<Value> values(rows);
  int64_t lanes = rows.size();
  // Blocks of 1, 2, 4, ... swap places across the diagonal.
  for (int64_t block = 1; block < lanes; block *= 2) {
    SmallVector<int64_t> upper, lower;
    for (int64_t k = 0; k < lanes; ++k) {
      upper.push_back((k & block) ? lanes + k - block : k);
      lower.push_back((k & block) ? lanes + k : k + block);
    }
    for (int64_t i = 0; i < lanes; ++i) {
      if (i & block)
        continue;
      Value first = values[i], second = values[i | block];
      values[i] = vector::ShuffleOp::create(b, first, second, upper);
      values[i | block] = vector::ShuffleOp::create(b, first, second, lower);
    }
  }
  return values;
}

void packTurned(KernelBuilder &b, int64_t columns, int64_t vectors,
                function_ref<Value(Value)> rowAt, Value panel, double scale) {
  int64_t lanes = b.target.lanes, width = vectors * lanes;
  b.loop(b.index(0), b.index(width), lanes, [&](Value first) {
    SmallVector<Value> rowPointers;
    for (int64_t i = 0; i < lanes; ++i)
      rowPointers.push_back(rowAt(b.add(first, i)));
    forPieces(b, columns, lanes, [&](Value column, int64_t size) {
      Value mask = size < lanes ? b.maskOf(b.index(size)) : Value();
      SmallVector<Value> rows;
      for (Value pointer : rowPointers)
        rows.push_back(b.loadVector(pointer, column, mask));
      rows = transpose(b, rows);
      Value to = b.add(b.mul(column, width), first);
      for (int64_t i = 0; i < size; ++i) {
        Value value = scale == 1.0 ? rows[i] : b.mulf(rows[i], b.splat(scale));
        b.storeVector(value, panel, b.add(to, i * width));
      }
    });
  });
}

void unpackTurned(KernelBuilder &b, int64_t columns, int64_t vectors, Value rows,
                  function_ref<Value(Value)> rowAt, Value panel,
                  function_ref<Value(Value, int64_t)> finish) {
  int64_t lanes = b.target.lanes, width = vectors * lanes;
  for (int64_t j = 0; j < vectors; ++j)
    forPieces(b, columns, lanes, [&](Value column, int64_t size) {
      SmallVector<Value> values;
      Value from = b.add(b.mul(column, width), j * lanes);
      for (int64_t i = 0; i < lanes; ++i)
        values.push_back(i < size ? finish(b.loadVector(panel, b.add(from, i * width)), j)
                                  : b.splat(0.0));
      values = transpose(b, values);
      for (int64_t i = 0; i < lanes; ++i) {
        Value row = b.index(j * lanes + i);
        b.ifThen(b.less(row, rows), [&] { storeFirst(b, values[i], size, rowAt(row), column); });
      }
    });
}

// --- rows ---

/// Calls body(first, size) for `count` values in powers of two from `largest` down.
static void forPowers(int64_t count, int64_t largest, function_ref<void(int64_t, int64_t)> body) {
  int64_t first = 0;
  for (int64_t size = largest; size; size /= 2)
    for (; first + size <= count; first += size)
      body(first, size);
}

void storeFirst(KernelBuilder &b, Value vector, int64_t count, Value pointer, Value at) {
  int64_t lanes = b.target.lanes;
  forPowers(count, lanes, [&](int64_t first, int64_t size) {
    Value part = vector;
    if (size < lanes)
      part = vector::ExtractStridedSliceOp::create(b, vector, ArrayRef<int64_t>{first},
                                                   ArrayRef<int64_t>{size}, ArrayRef<int64_t>{1});
    LLVM::StoreOp::create(b, part, b.pointerAt(pointer, b.getF32Type(), b.add(at, first)),
                          /*alignment=*/4);
  });
}

void copyRow(KernelBuilder &b, int64_t columns, Value from, Value to) {
  int64_t lanes = b.target.lanes, whole = columns / lanes * lanes;
  auto copy = [&](Value at, int64_t size) {
    Type type = VectorType::get({size}, b.getF32Type());
    Value value =
        LLVM::LoadOp::create(b, type, b.pointerAt(from, b.getF32Type(), at), /*alignment=*/4);
    LLVM::StoreOp::create(b, value, b.pointerAt(to, b.getF32Type(), at), /*alignment=*/4);
  };
  if (whole)
    b.loop(b.index(0), b.index(whole), lanes, [&](Value at) { copy(at, lanes); });
  forPowers(columns - whole, lanes / 2,
            [&](int64_t first, int64_t size) { copy(b.index(whole + first), size); });
}

void zeroFill(KernelBuilder &b, Value count, Value to) {
  b.vectorLoop(count, [&](Value at, Value mask) { b.storeVector(b.splat(0.0), to, at, mask); });
}

// --- masks ---

static Value splatI32(KernelBuilder &b, Value number) {
  Value integer = b.createOrFold<arith::IndexCastOp>(b.getI32Type(), number);
  return vector::BroadcastOp::create(b, b.vectorType(b.getI32Type()), integer);
}

Value laneNumbers(KernelBuilder &b, Value first) {
  SmallVector<int32_t> lanes;
  for (int64_t lane = 0; lane < b.target.lanes; ++lane)
    lanes.push_back(int32_t(lane));
  VectorType type = b.vectorType(b.getI32Type());
  Value numbers = arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef(lanes)));
  return arith::AddIOp::create(b, numbers, splatI32(b, first));
}

Value visible(KernelBuilder &b, Value limits, Value key) {
  return arith::CmpIOp::create(b, arith::CmpIPredicate::sge, limits, splatI32(b, key));
}

// --- softmax ---

Value emitWeight(KernelBuilder &b, Value x) {
  VectorType integers = b.vectorType(b.getI32Type());
  auto bitsOf = [&](Value value) -> Value { return arith::BitcastOp::create(b, integers, value); };
  Value clamped = b.maxf(b.splat(-87.0), x); // in this order NaN passes
  // n = round(x / ln 2): the low bits of the shifted sum. r = x - n ln 2, ln 2 in two parts.
  Value shift = b.splat(12582912.0);
  Value shifted = b.fma(clamped, b.splat(1.44269504088896341), shift);
  Value rounded = b.subf(shifted, shift);
  Value r = b.fma(rounded, b.splat(-0.693145751953125), clamped);
  r = b.fma(rounded, b.splat(-1.42860682030941723212e-6), r);
  Value sum = b.splat(1.9875691500e-4);
  for (double coefficient : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
                             5.0000001201e-1, 1.0, 1.0})
    sum = b.fma(sum, r, b.splat(coefficient));
  // Times 2^n: added to the exponent. The bits of `shifted` above n's are shifted out.
  Value places = arith::ConstantOp::create(b, DenseElementsAttr::get(integers, int32_t(23)));
  Value n = arith::ShLIOp::create(b, bitsOf(shifted), places);
  return arith::BitcastOp::create(b, b.vectorType(), arith::AddIOp::create(b, bitsOf(sum), n));
}

// --- operands ---

Value pointerOf(KernelBuilder &b, KernelOp kernel, Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return b.pointers[argument.getArgNumber()];
  unsigned pointer = kernel.getNumOperands();
  Operation *yield = kernel.getBody().front().getTerminator();
  for (unsigned result = 0; result < kernel.getNumResults(); ++result) {
    int64_t updated = kernel.getUpdatedOperand(result);
    if (yield->getOperand(result) == value)
      return b.pointers[updated < 0 ? pointer : unsigned(updated)];
    pointer += updated < 0;
  }
  return {};
}

} // namespace hadal::cpu
