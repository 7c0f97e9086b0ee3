// SPDX-License-Identifier: Apache-2.0
//
// hadal.linear and hadal.grouped_linear. A grid index is a block of columns and, ungrouped, a block
// of rows; columns change slowest, so that a range of indices packs a block of weights once.

#include "codegen/Cpu/Products.h"

using namespace mlir;

namespace hadal::cpu {

/// The scratch: packed columns, then one finished tile.
static int64_t packedBytes(const Product &product, const Target &target) {
  return product.leftWidth * configureProduct(product, target).columnBlock * 4;
}
int64_t forwardScratch(const Product &product, const Target &target) {
  TileShape tile = tileShape(target);
  return packedBytes(product, target) + tile.rows * tile.columns * 4;
}

namespace {
class ForwardWriter {
public:
  ForwardWriter(KernelOp kernel, const Product &product, KernelBuilder &b)
      : kernel(kernel), product(product), b(b), tile(tileShape(b.target)),
        config(configureProduct(product, b.target)),
        columnBlocks(llvm::divideCeil(product.rightWidth, config.columnBlock)) {}

  void writeLinear();
  void writeGrouped();

private:
  void pack(Value weight, Value column);
  void writeRows(Value column, Value firstRow, Value endRow);
  void writeFewRows(Value weight, Value column, Value firstRow, Value endRow);
  void writeVectors(ValueRange sums, Value row, Value column, ArrayRef<Value> masks);
  TransposedColumns columnsAt(Value weight, Value column);
  void writeByRow(ValueRange sums, Value row, Value rows, Value column, bool edge);
  SmallVector<Value> masksAt(Value column);
  template <typename Few, typename Many> void byRows(Value rows, Few few, Many many);
  void prefetch(Value number, Value column, Value row);
  void writeTile(Value number, Value column, Value row, Value endRow, bool edge);
  Value panelsAt(Value column);
  Value panelPointer(Value panel);

  KernelOp kernel;
  const Product &product;
  KernelBuilder &b;
  TileShape tile;
  ProductConfig config;
  int64_t columnBlocks;
};

Value ForwardWriter::panelsAt(Value column) {
  Value left = b.sub(b.index(product.rightWidth), column);
  return b.ceilDiv(b.minimum(left, b.index(config.columnBlock)), tile.columns);
}

Value ForwardWriter::panelPointer(Value panel) {
  return b.pointerAt(b.scratch, b.getF32Type(), b.mul(panel, product.leftWidth * tile.columns));
}

/// Packs the block of columns that starts at `column`, whole depth.
void ForwardWriter::pack(Value weight, Value column) {
  if (product.transposed) {
    auto row = [&](Value k) {
      return b.pointerAt(weight, b.getF32Type(), b.mul(k, product.rightWidth));
    };
    emitBlockCopy(b,
                  {row, product.rightWidth, b.index(product.leftWidth), column, config.columnBlock,
                   tile.columns, b.scratch, tile.columns, product.leftWidth * tile.columns});
    return;
  }
  b.loop(b.index(0), panelsAt(column), 1, [&](Value panel) {
    columnsAt(weight, b.add(column, b.mul(panel, tile.columns))).pack(panelPointer(panel));
  });
}

TransposedColumns ForwardWriter::columnsAt(Value weight, Value column) {
  return TransposedColumns(b, weight, column, product.rightWidth, product.leftWidth);
}

/// Few rows, [firstRow, endRow) of a block of columns: each is multiplied without packing. The same
/// chains as writeTile.
void ForwardWriter::writeFewRows(Value weight, Value column, Value firstRow, Value endRow) {
  b.loop(b.index(0), panelsAt(column), 1, [&](Value panel) {
    Value panelColumn = b.add(column, b.mul(panel, tile.columns));
    TransposedColumns columns = columnsAt(weight, panelColumn);
    SmallVector<Value> masks = masksAt(panelColumn);
    b.loop(firstRow, endRow, 1, [&](Value row) {
      SmallVector<Value> sums =
          columns.multiply(rowPointer(b, product.left, row, product.leftWidth));
      writeVectors(sums, row, panelColumn, masks);
    });
  });
}

/// The masks of the tile's vectors; none where no tile ends behind a row.
SmallVector<Value> ForwardWriter::masksAt(Value column) {
  SmallVector<Value> masks(size_t(tile.vectors));
  if (product.rightWidth % tile.columns)
    for (int64_t v = 0; v < tile.vectors; ++v)
      masks[size_t(v)] =
          b.maskOf(b.sub(b.index(product.rightWidth), b.add(column, v * b.target.lanes)));
  return masks;
}

void ForwardWriter::writeVectors(ValueRange sums, Value row, Value column, ArrayRef<Value> masks) {
  for (int64_t v = 0; v < tile.vectors; ++v)
    emitEpilogue(kernel, product, b, sums[unsigned(v)], row, b.add(column, v * b.target.lanes),
                 masks[size_t(v)]);
}

/// Asks for what panel `number`'s tile at [row, column] writes and reads at its end, and for a part
/// of the rows that the next block of rows starts with: the panels of a block ask for all of them.
void ForwardWriter::prefetch(Value number, Value column, Value row) {
  int64_t width = product.rightWidth;
  for (unsigned pointer : epiloguePointers(kernel, product))
    for (int64_t r = 0; r < tile.rows; ++r)
      b.prefetch(b.pointers[pointer], b.add(b.mul(b.add(row, r), width), column), tile.columns,
                 /*write=*/pointer >= kernel.getNumOperands());
  int64_t panels = llvm::divideCeil(config.columnBlock, tile.columns);
  int64_t part = llvm::alignTo(llvm::divideCeil(product.leftWidth, panels), 16);
  Value last = b.sub(b.sizes[0], b.index(1)), rowBlock = b.sizes[1];
  for (int64_t r = 0; r < tile.rows; ++r) {
    Value next = b.minimum(b.add(b.add(row, rowBlock), r), last);
    b.prefetch(rowPointer(b, product.left, next, product.leftWidth), b.mul(number, part), part,
               /*write=*/false);
  }
}

/// Tile `number` of the packed ones, at [row, column]. At an edge rows behind the last repeat it
/// and are not stored.
void ForwardWriter::writeTile(Value number, Value column, Value row, Value endRow, bool edge) {
  TileOperands operands;
  operands.panel = panelPointer(number);
  operands.panelStep = tile.columns;
  operands.depth = b.index(product.leftWidth);
  Value first = rowPointer(b, product.left, row, product.leftWidth);
  for (int64_t r = 0; r < tile.rows; ++r) {
    if (!edge && !product.left.indices)
      operands.rows.push_back(b.pointerAt(first, b.getF32Type(), b.index(r * product.leftWidth)));
    else
      operands.rows.push_back(rowPointer(
          b, product.left, b.minimum(b.add(row, r), b.sub(endRow, b.index(1))), product.leftWidth));
  }
  prefetch(number, column, row);
  SmallVector<Value> sums = emitTile(b, operands, zeroTile(b));
  if (edge || !product.epilogue.empty()) {
    Value rows = edge ? b.minimum(b.sub(endRow, row), b.index(tile.rows)) : b.index(tile.rows);
    writeByRow(sums, row, rows, column, edge);
    return;
  }
  SmallVector<Value> masks(size_t(tile.vectors));
  for (int64_t r = 0; r < tile.rows; ++r)
    writeVectors(ValueRange(sums).slice(size_t(r * tile.vectors), size_t(tile.vectors)),
                 b.add(row, r), column, masks);
}

/// A finished tile row by row, through the scratch: the epilogue is written once.
void ForwardWriter::writeByRow(ValueRange sums, Value row, Value rows, Value column, bool edge) {
  Value finished = b.scratchAt(packedBytes(product, b.target));
  for (auto [i, vector] : llvm::enumerate(sums))
    b.storeVector(vector, finished, b.index(int64_t(i) * b.target.lanes));
  SmallVector<Value> masks = edge ? masksAt(column) : SmallVector<Value>(size_t(tile.vectors));
  b.loop(b.index(0), rows, 1, [&](Value r) {
    SmallVector<Value> vectors;
    for (int64_t v = 0; v < tile.vectors; ++v)
      vectors.push_back(b.loadVector(finished, b.add(b.mul(r, tile.columns), v * b.target.lanes)));
    writeVectors(vectors, b.add(row, r), column, masks);
  });
}

/// Rows [firstRow, endRow) of the packed block of columns.
void ForwardWriter::writeRows(Value column, Value firstRow, Value endRow) {
  b.loop(b.index(0), panelsAt(column), 1, [&](Value panel) {
    Value panelColumn = b.add(column, b.mul(panel, tile.columns));
    Value wideEnough = b.less(b.add(panelColumn, tile.columns - 1), b.index(product.rightWidth));
    Value wholeEnd =
        b.select(wideEnough, b.sub(endRow, b.rem(b.sub(endRow, firstRow), tile.rows)), firstRow);
    b.loop(firstRow, wholeEnd, tile.rows,
           [&](Value row) { writeTile(panel, panelColumn, row, endRow, false); });
    b.loop(wholeEnd, endRow, tile.rows,
           [&](Value row) { writeTile(panel, panelColumn, row, endRow, true); });
  });
}

/// Writes two ways for few rows and for more.
template <typename Few, typename Many> void ForwardWriter::byRows(Value rows, Few few, Many many) {
  constexpr int64_t kFewRows = 3; // packing costs about as much as transposing three times
  if (product.transposed)
    return many();
  auto branch = scf::IfOp::create(b, b.less(b.index(kFewRows), rows), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  many();
  b.setInsertionPointToStart(branch.elseBlock());
  few();
}

void ForwardWriter::writeLinear() {
  Value rows = b.sizes[0], rowBlock = b.sizes[1], weight = b.pointers[product.weight];
  auto few = [&] { // rows are one block
    b.loop(b.begin, b.end, 1, [&](Value item) {
      writeFewRows(weight, b.mul(item, config.columnBlock), b.index(0), rows);
    });
  };
  auto many = [&] {
    Value rowBlocks = b.div(b.sub(b.add(rows, rowBlock), b.index(1)), rowBlock);
    b.loop(b.begin, b.end, 1, ValueRange{b.index(-1)}, [&](Value item, ValueRange packed) {
      Value block = b.div(item, rowBlocks);
      Value firstRow = b.mul(b.rem(item, rowBlocks), rowBlock);
      Value column = b.mul(block, config.columnBlock);
      Value other = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, block, packed[0]);
      b.ifThen(other, [&] { pack(weight, column); });
      writeRows(column, firstRow, b.minimum(b.add(firstRow, rowBlock), rows));
      return SmallVector<Value>{block};
    });
  };
  byRows(rows, few, many);
}

void ForwardWriter::writeGrouped() {
  b.loop(b.begin, b.end, 1, [&](Value item) {
    Value expert = b.div(item, columnBlocks);
    Value column = b.mul(b.rem(item, columnBlocks), config.columnBlock);
    Value offsets = b.pointers[*product.offsets];
    Value first = b.toIndex(b.load(b.getI64Type(), offsets, expert));
    Value end = b.toIndex(b.load(b.getI64Type(), offsets, b.add(expert, 1)));
    Value weight = b.pointerAt(b.pointers[product.weight], b.getF32Type(),
                               b.mul(expert, product.leftWidth * product.rightWidth));
    auto few = [&] { writeFewRows(weight, column, first, end); };
    auto many = [&] {
      pack(weight, column);
      b.loop(b.index(0), b.ceilDiv(b.sub(end, first), config.rowBlock), 1, [&](Value block) {
        Value firstRow = b.add(first, b.mul(block, config.rowBlock));
        writeRows(column, firstRow, b.minimum(b.add(firstRow, config.rowBlock), end));
      });
    };
    b.ifThen(b.less(first, end), [&] { byRows(b.sub(end, first), few, many); });
  });
}
} // namespace

void emitForward(KernelOp kernel, const Product &product, KernelBuilder &b) {
  ForwardWriter writer(kernel, product, b);
  if (product.offsets)
    writer.writeGrouped();
  else
    writer.writeLinear();
}

} // namespace hadal::cpu
