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

/// Packed vectors.
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
    Value base = b.mul(k, operands.panelStep);
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

// --- columns of a transposed matrix ---

TransposedColumns::TransposedColumns(KernelBuilder &b, Value weight, Value column,
                                     int64_t columnCount, int64_t depth)
    : b(b), tile(tileShape(b.target)), depth(depth) {
  for (int64_t c = 0; c < tile.columns; ++c) {
    Value row = b.minimum(b.add(column, c), b.index(columnCount - 1));
    sources.push_back(b.pointerAt(weight, b.getF32Type(), b.mul(row, depth)));
  }
}

/// Vector `vector` of rows k to k + 3 of B. Quarters of four columns' memory, put together, need
/// only exchanges within 128 bits.
SmallVector<Value> TransposedColumns::quad(int64_t vector, Value k) {
  int64_t lanes = b.target.lanes;
  auto part = VectorType::get({4}, b.getF32Type());
  SmallVector<Value> rows;
  for (int64_t i = 0; i < 4; ++i) {
    Value row;
    for (int64_t at = i; at < lanes; at += 4) {
      Value from = b.pointerAt(sources[size_t(vector * lanes + at)], b.getF32Type(), k);
      Value four = LLVM::LoadOp::create(b, part, from, /*alignment=*/4);
      if (!row) {
        row = four;
        continue;
      }
      // Shuffles join vectors of one length: the new part is widened first.
      int64_t have = cast<VectorType>(row.getType()).getNumElements();
      SmallVector<int64_t> widen, join;
      for (int64_t lane = 0; lane < have; ++lane)
        widen.push_back(std::min<int64_t>(lane, 3));
      for (int64_t lane = 0; lane < have + 4; ++lane)
        join.push_back(lane);
      Value wide = have == 4 ? four : vector::ShuffleOp::create(b, four, four, widen).getResult();
      row = vector::ShuffleOp::create(b, row, wide, join);
    }
    rows.push_back(row);
  }
  // Within each 128 bits: lanes `low` (or `high`) of both, alternating in groups.
  auto mix = [&](Value first, Value second, int64_t group, bool high) -> Value {
    SmallVector<int64_t> order;
    for (int64_t base = 0; base < lanes; base += 4)
      for (int64_t lane = 0; lane < 4; ++lane) {
        int64_t within = (high ? 2 : 0) + (group == 1 ? lane / 2 : lane % 2);
        bool fromSecond = group == 1 ? lane % 2 : lane / 2;
        order.push_back((fromSecond ? lanes : 0) + base + within);
      }
    return vector::ShuffleOp::create(b, first, second, order);
  };
  Value low01 = mix(rows[0], rows[1], 1, false), high01 = mix(rows[0], rows[1], 1, true);
  Value low23 = mix(rows[2], rows[3], 1, false), high23 = mix(rows[2], rows[3], 1, true);
  return {mix(low01, low23, 2, false), mix(low01, low23, 2, true), mix(high01, high23, 2, false),
          mix(high01, high23, 2, true)};
}

/// Vector `vector` of row k of B.
Value TransposedColumns::single(int64_t vector, Value k) {
  Value row = b.splat(0.0);
  for (int64_t lane = 0; lane < b.target.lanes; ++lane)
    row = vector::InsertOp::create(b, b.loadF32(sources[size_t(vector * b.target.lanes + lane)], k),
                                   row, ArrayRef<int64_t>{lane});
  return row;
}

void TransposedColumns::pack(Value panel) {
  int64_t whole = depth / 4 * 4, lanes = b.target.lanes;
  for (int64_t v = 0; v < tile.vectors; ++v) {
    auto put = [&](Value vector, Value k) {
      storeAligned(b, vector, panel, b.add(b.mul(k, tile.columns), v * lanes));
    };
    b.loop(b.index(0), b.index(whole), 4, [&](Value k) {
      for (auto [i, vector] : llvm::enumerate(quad(v, k)))
        put(vector, b.add(k, int64_t(i)));
    });
    for (int64_t k = whole; k < depth; ++k)
      put(single(v, b.index(k)), b.index(k));
  }
}

SmallVector<Value> TransposedColumns::multiply(Value row) {
  int64_t whole = depth / 4 * 4;
  auto step = [&](Value sum, Value vector, Value k) {
    return b.fma(b.splat(b.loadF32(row, k)), vector, sum);
  };
  SmallVector<Value> zero(size_t(tile.vectors), b.splat(0.0));
  SmallVector<Value> sums =
      b.loop(b.index(0), b.index(whole), 4, zero, [&](Value k, ValueRange before) {
        SmallVector<Value> next;
        for (int64_t v = 0; v < tile.vectors; ++v) {
          Value sum = before[unsigned(v)];
          for (auto [i, vector] : llvm::enumerate(quad(v, k)))
            sum = step(sum, vector, b.add(k, int64_t(i)));
          next.push_back(sum);
        }
        return next;
      });
  for (int64_t k = whole; k < depth; ++k)
    for (int64_t v = 0; v < tile.vectors; ++v)
      sums[size_t(v)] = step(sums[size_t(v)], single(v, b.index(k)), b.index(k));
  return sums;
}

// --- copies of blocks ---

void emitBlockCopy(KernelBuilder &b, const BlockCopy &copy) {
  int64_t lanes = b.target.lanes, rest = copy.rowWidth % copy.width;
  // The block's extent is known: only the last one is cut.
  auto copyBlock = [&](int64_t extent) {
    b.loop(b.index(0), copy.depth, 1, [&](Value k) {
      Value row = copy.source(k), to = b.mul(k, copy.step);
      for (int64_t at = 0; at < int64_t(llvm::alignTo(copy.width, copy.piece)); at += lanes) {
        Value vector;
        Value from = b.add(copy.first, at);
        if (at + lanes <= extent)
          vector = b.loadVector(row, from);
        else if (at < extent)
          vector = b.loadVector(row, from, b.maskOf(b.index(extent - at)));
        else
          vector = b.splat(0.0);
        storeAligned(b, vector, copy.target,
                     b.add(to, at / copy.piece * copy.pieceStep + at % copy.piece));
      }
    });
  };
  if (!rest || copy.rowWidth < copy.width)
    return copyBlock(std::min(copy.width, copy.rowWidth));
  auto branch = scf::IfOp::create(b, b.less(b.index(copy.rowWidth - copy.width), copy.first),
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  copyBlock(rest);
  b.setInsertionPointToStart(branch.elseBlock());
  copyBlock(copy.width);
}

} // namespace hadal::cpu
