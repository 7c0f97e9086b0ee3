// SPDX-License-Identifier: Apache-2.0
//
// See MicroKernel.h.

#include "codegen/Cpu/MicroKernel.h"

using namespace mlir;

namespace hadal::cpu {

TileShape tileShape(const Target &target) {
  int64_t rows = target.registers >= 32 ? 12 : 6;
  return {rows, 2, 2 * target.lanes};
}

SmallVector<Value> zeroTile(KernelBuilder &b) {
  TileShape shape = tileShape(b.target);
  return SmallVector<Value>(size_t(shape.rows * shape.vectors), b.splat(0.0));
}

/// A load of a packed vector.
static Value loadAligned(KernelBuilder &b, Value pointer, Value at) {
  return LLVM::LoadOp::create(b, b.vectorType(), b.pointerAt(pointer, b.getF32Type(), at),
                              unsigned(b.target.lanes * 4));
}
static void storeAligned(KernelBuilder &b, Value vector, Value pointer, Value at) {
  LLVM::StoreOp::create(b, vector, b.pointerAt(pointer, b.getF32Type(), at),
                        unsigned(b.target.lanes * 4));
}

SmallVector<Value> emitTile(KernelBuilder &b, const TileOperands &operands, ValueRange initial) {
  TileShape shape = tileShape(b.target);
  return b.loop(b.index(0), operands.depth, 1, initial, [&](Value k, ValueRange sums) {
    Value base = b.mul(k, shape.columns);
    SmallVector<Value> columns, next;
    for (int64_t v = 0; v < shape.vectors; ++v)
      columns.push_back(loadAligned(b, operands.panel, b.add(base, v * b.target.lanes)));
    Value at = b.mul(k, operands.step);
    for (int64_t r = 0; r < shape.rows; ++r) {
      Value element = b.splat(b.loadF32(operands.rows[size_t(r)], at));
      for (int64_t v = 0; v < shape.vectors; ++v)
        next.push_back(b.fma(element, columns[size_t(v)], sums[unsigned(r * shape.vectors + v)]));
    }
    return next;
  });
}

/// The transpose of a square of vectors, by exchanging blocks of lanes, largest first.
static void transpose(KernelBuilder &b, SmallVectorImpl<Value> &rows) {
  int64_t lanes = b.target.lanes;
  for (int64_t block = lanes / 2; block; block /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      low.push_back(lane & block ? lanes + lane - block : lane);
      high.push_back(lane & block ? lanes + lane : lane + block);
    }
    for (int64_t row = 0; row < lanes; ++row) {
      if (row & block)
        continue;
      Value first = rows[size_t(row)], second = rows[size_t(row + block)];
      rows[size_t(row)] = vector::ShuffleOp::create(b, first, second, low);
      rows[size_t(row + block)] = vector::ShuffleOp::create(b, first, second, high);
    }
  }
}

void emitPackTransposed(KernelBuilder &b, Value weight, Value column, int64_t columnCount,
                        int64_t depth, Value panel) {
  TileShape shape = tileShape(b.target);
  int64_t lanes = b.target.lanes, whole = depth / lanes * lanes, rest = depth - whole;
  for (int64_t v = 0; v < shape.vectors; ++v) {
    SmallVector<Value> sources;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value row = b.minimum(b.add(column, v * lanes + lane), b.index(columnCount - 1));
      sources.push_back(b.pointerAt(weight, b.getF32Type(), b.mul(row, depth)));
    }
    auto square = [&](Value k, Value mask, int64_t count) {
      SmallVector<Value> rows;
      for (Value source : sources)
        rows.push_back(b.loadVector(source, k, mask));
      transpose(b, rows);
      for (int64_t i = 0; i < count; ++i)
        storeAligned(b, rows[size_t(i)], panel,
                     b.add(b.mul(b.add(k, i), shape.columns), v * lanes));
    };
    if (whole)
      b.loop(b.index(0), b.index(whole), lanes, [&](Value k) { square(k, Value(), lanes); });
    if (rest)
      square(b.index(whole), b.maskOf(b.index(rest)), rest);
  }
}

void emitPackRows(KernelBuilder &b, const RowPacking &packing) {
  int64_t lanes = b.target.lanes, columns = packing.vectors * lanes;
  auto copy = [&](bool masked) {
    b.loop(b.index(0), packing.depth, 1, [&](Value k) {
      Value row = packing.source(k);
      b.loop(b.index(0), packing.panels, 1, [&](Value p) {
        Value from = b.add(packing.first, b.mul(p, packing.advance));
        Value to = b.add(b.mul(p, packing.panelStride), b.mul(k, columns));
        for (int64_t v = 0; v < packing.vectors; ++v) {
          Value at = b.add(from, v * lanes);
          Value mask = masked ? b.maskOf(b.sub(b.index(packing.width), at)) : Value();
          storeAligned(b, b.loadVector(row, at, mask), packing.target, b.add(to, v * lanes));
        }
      });
    });
  };
  // Only where the last panel ends behind the row.
  Value end = b.add(b.add(packing.first, b.mul(b.sub(packing.panels, b.index(1)), packing.advance)),
                    columns);
  auto branch = scf::IfOp::create(b, b.less(b.index(packing.width), end), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  copy(true);
  b.setInsertionPointToStart(branch.elseBlock());
  copy(false);
}

} // namespace hadal::cpu
