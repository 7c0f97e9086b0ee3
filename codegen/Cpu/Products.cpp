// SPDX-License-Identifier: Apache-2.0
//
// The family of products: which regions it takes and how they are cut.

#include "codegen/Cpu/Products.h"

#include "llvm/ADT/SmallPtrSet.h"

using namespace mlir;

namespace hadal::cpu {

static ArrayRef<int64_t> shapeOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape();
}
static int64_t rowsOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getNumElements() / shapeOf(value).back();
}

// --- matching ---

/// `value` as rows to read: an operand, or the one use of a dispatch of operands.
static std::optional<RowSource> rowSource(Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return RowSource{argument.getArgNumber(), std::nullopt, 1};
  auto dispatch = value.getDefiningOp<DispatchOp>();
  if (!dispatch || !value.hasOneUse())
    return std::nullopt;
  auto input = dyn_cast<BlockArgument>(dispatch.getInput());
  auto indices = dyn_cast<BlockArgument>(dispatch.getSource());
  if (!input || !indices || !isa<BlockArgument>(dispatch.getSlot()))
    return std::nullopt;
  return RowSource{input.getArgNumber(), indices.getArgNumber(),
                   shapeOf(dispatch.getSlot()).back()};
}

static std::optional<unsigned> argumentNumber(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  return argument ? std::optional<unsigned>(argument.getArgNumber()) : std::nullopt;
}

/// Fills in operands; false where one of them is computed in the region by anything but a dispatch.
static bool setOperands(Product &product, Value left, Value right, Value weight, Value offsets) {
  std::optional<RowSource> from = rowSource(left);
  std::optional<unsigned> matrix = argumentNumber(weight);
  if (!from || !matrix)
    return false;
  product.left = *from;
  product.weight = *matrix;
  product.rows = rowsOf(left);
  product.leftWidth = shapeOf(left).back();
  if (shapeOf(weight).size() == 3)
    product.experts = shapeOf(weight)[0];
  if (right) {
    std::optional<RowSource> other = rowSource(right);
    if (!other)
      return false;
    product.right = *other;
  }
  if (offsets) {
    product.offsets = argumentNumber(offsets);
    if (!product.offsets)
      return false;
  }
  return true;
}

static bool setRoot(Product &product) {
  if (auto op = dyn_cast<LinearOp>(product.root)) {
    product.transposed = op.getTransposeWeight();
    product.rightWidth = shapeOf(op.getResult()).back();
    return setOperands(product, op.getInput(), {}, op.getWeight(), {});
  }
  if (auto op = dyn_cast<GroupedLinearOp>(product.root)) {
    product.transposed = op.getTransposeWeight();
    product.rightWidth = shapeOf(op.getResult()).back();
    return setOperands(product, op.getRows(), {}, op.getWeight(), op.getOffsets());
  }
  product.kind = Product::WeightGradient;
  if (auto op = dyn_cast<WeightGradientOp>(product.root)) {
    product.rightWidth = shapeOf(op.getInput()).back();
    return setOperands(product, op.getGradient(), op.getInput(), op.getAccumulator(), {});
  }
  auto op = cast<GroupedWeightGradientOp>(product.root);
  product.rightWidth = shapeOf(op.getRows()).back();
  return setOperands(product, op.getGradient(), op.getRows(), op.getAccumulator(), op.getOffsets());
}

std::optional<Product> matchProduct(KernelOp kernel) {
  Product product;
  llvm::SmallPtrSet<Value, 4> computed;
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (isa<DispatchOp>(op) && !product.root)
      continue;
    if (!product.root) {
      if (!isa<LinearOp, GroupedLinearOp, WeightGradientOp, GroupedWeightGradientOp>(op))
        return std::nullopt;
      product.root = &op;
    } else if (product.kind == Product::Forward && isEpilogueOp(&op, computed)) {
      product.epilogue.push_back(&op);
    } else {
      return std::nullopt;
    }
    if (product.root == &op && !setRoot(product))
      return std::nullopt;
    computed.insert(op.getResult(0));
  }
  // What is yielded must be a result of the product or of its epilogue.
  Operation *yield = kernel.getBody().front().getTerminator();
  if (!product.root ||
      !llvm::all_of(yield->getOperands(), [&](Value v) { return computed.contains(v); }))
    return std::nullopt;
  return product;
}

unsigned resultPointer(KernelOp kernel, unsigned result) {
  if (int64_t updated = kernel.getUpdatedOperand(result); updated >= 0)
    return unsigned(updated);
  unsigned pointer = kernel.getNumOperands();
  for (unsigned before = 0; before < result; ++before)
    pointer += kernel.getUpdatedOperand(before) < 0;
  return pointer;
}

Value rowPointer(KernelBuilder &b, const RowSource &source, Value row, int64_t width) {
  if (source.indices) {
    Value flat = b.toIndex(b.load(b.getI32Type(), b.pointers[*source.indices], row));
    row = b.div(flat, source.choices);
  }
  return b.pointerAt(b.pointers[source.operand], b.getF32Type(), b.mul(row, width));
}

// --- decisions ---

/// Elements of a packed panel block that the second-level cache holds beside what streams through
/// it.
constexpr int64_t kPackedElements = 64 * 1024 + 8192;
/// Grid indices that keep 16 threads evenly busy.
constexpr int64_t kEnoughItems = 16;
/// Elements of C that are computed in the time of packing one of a row.
constexpr double kComputedPerPacked = 8;

/// The block of columns depends on features only: kernels for all row counts share it and so their
/// code.
static ProductConfig configureForward(const Product &product, TileShape tile) {
  ProductConfig config;
  int64_t held = std::max<int64_t>(1, kPackedElements / (product.leftWidth * tile.columns));
  int64_t panels = llvm::divideCeil(product.rightWidth, tile.columns);
  int64_t perBlock = std::min<int64_t>({panels, held, 64 / tile.columns});
  config.columnBlock = perBlock * tile.columns;
  config.rowBlock = 96;
  if (product.offsets)
    return config;
  int64_t columnBlocks = llvm::divideCeil(panels, perBlock);
  while (config.rowBlock > 2 * tile.rows &&
         columnBlocks * llvm::divideCeil(product.rows, config.rowBlock) < kEnoughItems)
    config.rowBlock /= 2;
  return config;
}

/// The block of C whose packed rows cost least: each row of `left` is read once for every block of
/// columns and the other way round. What it needs at a time stays in the second-level cache.
static ProductConfig configureWeightGradient(const Product &product, TileShape tile) {
  ProductConfig best;
  double bestCost = 0;
  for (int64_t rows : {192, 96, 48, 24})
    for (int64_t columns : {256, 128, 64, 32}) {
      ProductConfig config;
      config.rowBlock = llvm::alignTo(std::min(rows, product.leftWidth), tile.rows);
      config.columnBlock = llvm::alignTo(std::min(columns, product.rightWidth), tile.columns);
      config.depthBlock = 128;
      int64_t rowBlocks = llvm::divideCeil(product.leftWidth, config.rowBlock);
      int64_t columnBlocks = llvm::divideCeil(product.rightWidth, config.columnBlock);
      int64_t held = config.depthBlock * (config.rowBlock + config.columnBlock) +
                     config.rowBlock * config.columnBlock;
      // Computed and packed elements a row; fewer indices than threads leave some idle.
      double packed = double(product.leftWidth * columnBlocks + product.rightWidth * rowBlocks);
      double computed =
          double(rowBlocks * config.rowBlock) * double(columnBlocks * config.columnBlock);
      double idle =
          std::max(1.0, double(kEnoughItems) / double(product.experts * rowBlocks * columnBlocks));
      double cost = (computed / kComputedPerPacked + packed) * idle;
      if (held <= kPackedElements && (!bestCost || cost < bestCost)) {
        best = config;
        bestCost = cost;
      }
    }
  return best;
}

ProductConfig configureProduct(const Product &product, const Target &target) {
  TileShape tile = tileShape(target);
  return product.kind == Product::Forward ? configureForward(product, tile)
                                          : configureWeightGradient(product, tile);
}

/// The region as text, with the sizes that the code holds: two kernels with one text have the same
/// code.
static std::string keyOf(KernelOp kernel, const Product &product, const ProductConfig &config) {
  std::string key;
  llvm::raw_string_ostream out(key);
  llvm::DenseMap<Value, unsigned> numbers;
  for (Value argument : kernel.getBody().getArguments())
    numbers.try_emplace(argument, numbers.size());
  for (Operation &op : kernel.getBody().front()) {
    out << op.getName() << op.getAttrDictionary() << '(';
    for (Value operand : op.getOperands())
      out << numbers[operand] << ',';
    out << ')';
    for (Value result : op.getResults())
      numbers.try_emplace(result, numbers.size());
  }
  out << product.leftWidth << 'x' << product.rightWidth << 'x' << product.experts << '/'
      << product.left.choices << '/' << product.right.choices << '/' << config.columnBlock << '/'
      << config.depthBlock;
  if (product.kind == Product::WeightGradient)
    out << '/' << config.rowBlock;
  return key;
}

/// Of a kernel that is accepted.
static Product productOf(KernelOp kernel) { return matchProduct(kernel).value_or(Product()); }

namespace {
class ProductEmitter : public KernelEmitter {
public:
  StringRef name() const override { return "products"; }
  bool accepts(KernelOp kernel) const override { return matchProduct(kernel).has_value(); }

  KernelConfig configure(KernelOp kernel, const Target &target) const override {
    Product product = productOf(kernel);
    ProductConfig cut = configureProduct(product, target);
    KernelConfig config;
    config.key = keyOf(kernel, product, cut);
    int64_t columns = llvm::divideCeil(product.rightWidth, cut.columnBlock);
    if (product.kind == Product::WeightGradient) {
      config.sizes = {product.rows};
      config.rowsSize = product.offsets ? 0 : -1; // plain ones are packed by blocks of all rows
      config.grid = product.experts * llvm::divideCeil(product.leftWidth, cut.rowBlock) * columns;
      config.scratch = weightGradientScratch(product, target);
    } else {
      config.sizes = {product.rows, cut.rowBlock};
      config.grid = columns * (product.offsets ? product.experts
                                               : llvm::divideCeil(product.rows, cut.rowBlock));
      config.scratch = forwardScratch(product, target);
      config.rowsSize = 0;
    }
    if (product.offsets || product.kind == Product::WeightGradient) {
      config.gridFixed = config.grid;
    } else {
      config.rowsBlock = cut.rowBlock;
      config.gridPerBlock = columns;
    }
    config.flops = 2 * product.rows * product.leftWidth * product.rightWidth;
    return config;
  }

  LogicalResult emit(KernelOp kernel, const KernelConfig &, KernelBuilder &builder) const override {
    Product product = productOf(kernel);
    if (product.kind == Product::Forward)
      emitForward(kernel, product, builder);
    else
      emitWeightGradient(kernel, product, builder);
    return success();
  }
};
} // namespace

const KernelEmitter &productEmitter() {
  static const ProductEmitter emitter;
  return emitter;
}

} // namespace hadal::cpu
