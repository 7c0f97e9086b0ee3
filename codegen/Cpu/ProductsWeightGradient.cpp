// SPDX-License-Identifier: Apache-2.0
//
// hadal.weight_gradient and its grouped form. A grid index is a block of the gradient; rows are
// packed some at a time and the block's sums wait in the scratch in between, exactly, so that each
// element is one chain over all rows. The chain is added to the accumulator once.

#include "codegen/Cpu/Products.h"

using namespace mlir;

namespace hadal::cpu {

namespace {
/// The scratch: rows of the left block, rows of the right block, sums of the block's tiles. Rows
/// are an odd number of cache lines apart, so that a tile's column of them does not crowd into few
/// sets of a cache.
struct Layout {
  int64_t leftPanels, rightPanels;
  int64_t leftStep, rightStep, tileSize; ///< elements
  int64_t right, sums, end;              ///< elements before it

  static int64_t oddLines(int64_t elements) {
    int64_t lines = llvm::divideCeil(elements, 16);
    return 16 * (lines % 2 ? lines : lines + 1);
  }
  Layout(const ProductConfig &config, TileShape tile)
      : leftPanels(config.rowBlock / tile.rows), rightPanels(config.columnBlock / tile.columns),
        leftStep(oddLines(config.rowBlock)), rightStep(oddLines(config.columnBlock)),
        tileSize(tile.rows * tile.columns), right(config.depthBlock * leftStep),
        sums(right + config.depthBlock * rightStep),
        end(sums + leftPanels * rightPanels * tileSize) {}
};

class GradientWriter {
public:
  GradientWriter(KernelOp kernel, const Product &product, KernelBuilder &b)
      : kernel(kernel), product(product), b(b), tile(tileShape(b.target)),
        config(configureProduct(product, b.target)), layout(config, tile) {}

  void write();

private:
  void writeBlock(Value expert, Value row, Value column, Value first, Value end);
  void pack(Value row, Value column, Value first, Value depth);
  void prefetch(Value leftPanel, Value rightPanel, Value row, Value column, Value next, Value end);
  void writeTile(Value leftPanel, Value rightPanel, Value depth, Value isFirst, Value isLast,
                 function_ref<void(ValueRange)> finish);
  void store(Value expert, Value row, Value column, ValueRange sums);
  Value panelsIn(Value first, int64_t width, int64_t block, int64_t panel);

  KernelOp kernel;
  const Product &product;
  KernelBuilder &b;
  TileShape tile;
  ProductConfig config;
  Layout layout;
};

/// Panels of a block that starts at `first`.
Value GradientWriter::panelsIn(Value first, int64_t width, int64_t block, int64_t panel) {
  return b.ceilDiv(b.minimum(b.sub(b.index(width), first), b.index(block)), panel);
}

void GradientWriter::write() {
  int64_t columnBlocks = llvm::divideCeil(product.rightWidth, config.columnBlock);
  int64_t blocks = llvm::divideCeil(product.leftWidth, config.rowBlock) * columnBlocks;
  b.loop(b.begin, b.end, 1, [&](Value item) {
    Value expert = b.div(item, blocks), block = b.rem(item, blocks);
    Value first = b.index(0), end = b.sizes[0];
    if (product.offsets) {
      Value offsets = b.pointers[*product.offsets];
      first = b.toIndex(b.load(b.getI64Type(), offsets, expert));
      end = b.toIndex(b.load(b.getI64Type(), offsets, b.add(expert, 1)));
    }
    b.ifThen(b.less(first, end), [&] {
      writeBlock(expert, b.mul(b.div(block, columnBlocks), config.rowBlock),
                 b.mul(b.rem(block, columnBlocks), config.columnBlock), first, end);
    });
  });
}

void GradientWriter::writeBlock(Value expert, Value row, Value column, Value first, Value end) {
  Value leftPanels = panelsIn(row, product.leftWidth, config.rowBlock, tile.rows);
  Value rightPanels = panelsIn(column, product.rightWidth, config.columnBlock, tile.columns);
  b.loop(first, end, config.depthBlock, [&](Value at) {
    Value depth = b.minimum(b.sub(end, at), b.index(config.depthBlock));
    Value isFirst = b.equal(at, first), isLast = b.equal(b.add(at, depth), end);
    pack(row, column, at, depth);
    b.loop(b.index(0), rightPanels, 1, [&](Value rightPanel) {
      b.loop(b.index(0), leftPanels, 1, [&](Value leftPanel) {
        prefetch(leftPanel, rightPanel, row, column, b.add(at, config.depthBlock), end);
        writeTile(leftPanel, rightPanel, depth, isFirst, isLast, [&](ValueRange sums) {
          store(expert, b.add(row, b.mul(leftPanel, tile.rows)),
                b.add(column, b.mul(rightPanel, tile.columns)), sums);
        });
      });
    });
  });
}

void GradientWriter::pack(Value row, Value column, Value first, Value depth) {
  int64_t lanes = b.target.lanes;
  auto left = [&](Value k) {
    return rowPointer(b, product.left, b.add(first, k), product.leftWidth);
  };
  emitBlockCopy(b, {left, product.leftWidth, depth, row, config.rowBlock, lanes, b.scratch,
                    layout.leftStep, lanes});
  auto right = [&](Value k) {
    return rowPointer(b, product.right, b.add(first, k), product.rightWidth);
  };
  emitBlockCopy(b, {right, product.rightWidth, depth, column, config.columnBlock, lanes,
                    b.scratchAt(layout.right * 4), layout.rightStep, lanes});
}

/// Asks for a part of the rows from `next` on that are packed next: the block's tiles ask for all
/// of them.
void GradientWriter::prefetch(Value leftPanel, Value rightPanel, Value row, Value column,
                              Value next, Value end) {
  int64_t part = llvm::divideCeil(config.depthBlock, layout.leftPanels * layout.rightPanels);
  Value number = b.add(b.mul(leftPanel, layout.rightPanels), rightPanel);
  for (int64_t i = 0; i < part; ++i) {
    Value at = b.minimum(b.add(b.add(next, b.mul(number, part)), i), b.sub(end, b.index(1)));
    b.prefetch(rowPointer(b, product.left, at, product.leftWidth), row, config.rowBlock, false);
    b.prefetch(rowPointer(b, product.right, at, product.rightWidth), column, config.columnBlock,
               false);
  }
}

/// Adds `depth` rows to a tile's sums; `finish` gets them after the last.
void GradientWriter::writeTile(Value leftPanel, Value rightPanel, Value depth, Value isFirst,
                               Value isLast, function_ref<void(ValueRange)> finish) {
  Type f32 = b.getF32Type();
  Value number = b.add(b.mul(leftPanel, layout.rightPanels), rightPanel);
  Value waiting = b.pointerAt(b.scratchAt(layout.sums * 4), f32, b.mul(number, layout.tileSize));
  size_t vectors = size_t(tile.rows * tile.vectors);
  auto slot = [&](size_t i) { return b.index(int64_t(i) * b.target.lanes); };

  SmallVector<Type> types(vectors, b.vectorType());
  auto start = scf::IfOp::create(b, types, isFirst, /*addThenBlock=*/true, /*addElseBlock=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(start.thenBlock());
    scf::YieldOp::create(b, zeroTile(b));
    b.setInsertionPointToStart(start.elseBlock());
    SmallVector<Value> before;
    for (size_t i = 0; i < vectors; ++i)
      before.push_back(b.loadVector(waiting, slot(i)));
    scf::YieldOp::create(b, before);
  }

  TileOperands operands;
  Value left = b.pointerAt(b.scratch, f32, b.mul(leftPanel, tile.rows));
  for (int64_t r = 0; r < tile.rows; ++r)
    operands.rows.push_back(b.pointerAt(left, f32, b.index(r)));
  operands.step = layout.leftStep;
  operands.panel = b.pointerAt(b.scratchAt(layout.right * 4), f32, b.mul(rightPanel, tile.columns));
  operands.panelStep = layout.rightStep;
  operands.depth = depth;
  SmallVector<Value> sums = emitTile(b, operands, start.getResults());

  auto branch = scf::IfOp::create(b, isLast, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  finish(sums);
  b.setInsertionPointToStart(branch.elseBlock());
  for (size_t i = 0; i < vectors; ++i)
    b.storeVector(sums[i], waiting, slot(i));
}

/// Adds a tile's sums to the accumulator at [row, column].
void GradientWriter::store(Value expert, Value row, Value column, ValueRange sums) {
  Value accumulator = b.pointerAt(b.pointers[product.weight], b.getF32Type(),
                                  b.mul(expert, product.leftWidth * product.rightWidth));
  SmallVector<Value> masks(size_t(tile.vectors));
  if (product.rightWidth % tile.columns)
    for (int64_t v = 0; v < tile.vectors; ++v)
      masks[size_t(v)] =
          b.maskOf(b.sub(b.index(product.rightWidth), b.add(column, v * b.target.lanes)));
  for (int64_t r = 0; r < tile.rows; ++r) {
    Value at = b.add(row, r);
    auto add = [&] {
      for (int64_t v = 0; v < tile.vectors; ++v) {
        Value to = b.add(b.mul(at, product.rightWidth), b.add(column, v * b.target.lanes));
        Value before = b.loadVector(accumulator, to, masks[size_t(v)]);
        b.storeVector(b.addf(before, sums[unsigned(r * tile.vectors + v)]), accumulator, to,
                      masks[size_t(v)]);
      }
    };
    if (r && product.leftWidth % tile.rows)
      b.ifThen(b.less(at, b.index(product.leftWidth)), add);
    else
      add();
  }
}
} // namespace

int64_t weightGradientScratch(const Product &product, const Target &target) {
  return Layout(configureProduct(product, target), tileShape(target)).end * 4;
}

void emitWeightGradient(KernelOp kernel, const Product &product, KernelBuilder &b) {
  GradientWriter(kernel, product, b).write();
}

} // namespace hadal::cpu
