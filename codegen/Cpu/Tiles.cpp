// SPDX-License-Identifier: Apache-2.0
//
// FP8 tiles: hadal.quantize_tiles and hadal.dequantize_tiles. The conversions are integer
// arithmetic on the bits of f32, exact: round to nearest even, saturation, subnormals.

#include "codegen/Cpu/KernelBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace mlir;

namespace hadal::cpu {

namespace {

/// One FP8 format as the conversions need it.
struct Format {
  int64_t mantissa; ///< bits
  int64_t bias;
  double largest;
  int64_t largestCode;
  bool infinities; ///< the highest exponent is kept for them and NaN

  static Format of(Type element) {
    return isa<Float8E5M2Type>(element) ? Format{2, 15, 57344, 0x7B, true}
                                        : Format{3, 7, 448, 0x7E, false};
  }
  int64_t shift() const { return 23 - mantissa; } ///< of its last bit within f32
};

/// Arithmetic on vectors of any length.
struct Vectors {
  KernelBuilder &b;
  int64_t size;

  VectorType type(Type element) const { return VectorType::get({size}, element); }
  Value integer(int64_t value) const {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(type(b.getI32Type()), int32_t(uint32_t(value))));
  }
  Value real(double value) const {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(type(b.getF32Type()), float(value)));
  }
  Value spread(Value scalar) const {
    return vector::BroadcastOp::create(b, type(scalar.getType()), scalar);
  }
  Value bits(Value x) const { return arith::BitcastOp::create(b, type(b.getI32Type()), x); }
  Value asReal(Value x) const { return arith::BitcastOp::create(b, type(b.getF32Type()), x); }
  Value load(Type element, Value pointer, Value at) const {
    Value from = b.pointerAt(pointer, element, at);
    return LLVM::LoadOp::create(b, type(element), from, element.getIntOrFloatBitWidth() / 8);
  }
  void store(Value vector, Value pointer, Value at) const {
    Type element = cast<VectorType>(vector.getType()).getElementType();
    LLVM::StoreOp::create(b, vector, b.pointerAt(pointer, element, at),
                          element.getIntOrFloatBitWidth() / 8);
  }

  /// The bytes (i8) of f32 values.
  Value encode(Value x, const Format &format) const {
    Value all = bits(x), magnitude = arith::AndIOp::create(b, all, integer(0x7FFFFFFF));
    Value shift = integer(format.shift());
    // Normal results: the discarded bits round by carrying into the kept ones.
    Value last = arith::AndIOp::create(b, arith::ShRUIOp::create(b, magnitude, shift), integer(1));
    Value half = integer((int64_t(1) << (format.shift() - 1)) - 1);
    Value rounded = arith::AddIOp::create(b, arith::AddIOp::create(b, magnitude, half), last);
    Value normal = arith::SubIOp::create(b, arith::ShRUIOp::create(b, rounded, shift),
                                         integer((127 - format.bias) << format.mantissa));
    normal = arith::MinSIOp::create(b, normal, integer(format.largestCode));
    // Subnormal ones: added to a number whose last bit is the format's step, f32 rounds for us.
    double step = std::ldexp(1.0, int(1 - format.bias - format.mantissa));
    Value magic = real(std::ldexp(step, 23));
    Value low = arith::SubIOp::create(b, bits(arith::AddFOp::create(b, asReal(magnitude), magic)),
                                      bits(magic));
    auto below = [&](int64_t bound) {
      return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, magnitude, integer(bound));
    };
    Value code = b.select(below((128 - format.bias) << 23), low, normal);
    Value sign =
        arith::AndIOp::create(b, arith::ShRUIOp::create(b, all, integer(24)), integer(0x80));
    code = arith::OrIOp::create(b, code, sign);
    code = b.select(below(0x7F800001), code, integer(0x7F)); // NaN
    return arith::TruncIOp::create(b, type(b.getI8Type()), code);
  }

  /// f32 values of bytes (i8).
  Value decode(Value bytes, const Format &format) const {
    Value code = arith::ExtUIOp::create(b, type(b.getI32Type()), bytes);
    Value magnitude = arith::AndIOp::create(b, code, integer(0x7F));
    // The fields in f32's places, then the difference of the biases: exact for subnormals too.
    Value fields = arith::ShLIOp::create(b, magnitude, integer(format.shift()));
    Value value =
        arith::MulFOp::create(b, asReal(fields), real(std::ldexp(1.0, int(127 - format.bias))));
    Value special = arith::OrIOp::create(b, fields, integer(0x7F800000));
    Value isSpecial = arith::CmpIOp::create(b, arith::CmpIPredicate::sgt, magnitude,
                                            integer(format.infinities ? 0x7B : 0x7E));
    Value sign =
        arith::ShLIOp::create(b, arith::AndIOp::create(b, code, integer(0x80)), integer(24));
    return asReal(arith::OrIOp::create(b, b.select(isSpecial, special, bits(value)), sign));
  }
};

/// Visits columns [first, end) of a matrix in vectors, those that are left over at the matrix's end
/// in shorter ones: body(column, size). A multiple of the lanes, or the matrix's last column, is
/// `end`.
void forColumns(KernelBuilder &b, int64_t columns, Value first, Value end,
                function_ref<void(Value, int64_t)> body) {
  int64_t lanes = b.target.lanes, whole = columns / lanes * lanes;
  b.loop(first, b.minimum(end, b.index(whole)), lanes, [&](Value at) { body(at, lanes); });
  if (whole == columns)
    return;
  b.ifThen(b.less(b.index(whole), end), [&] {
    int64_t at = whole;
    for (int64_t size = lanes / 2; size; size /= 2)
      for (; at + size <= columns; at += size)
        body(b.index(at), size);
  });
}

int64_t sizeOf(Value tensor, unsigned dimension) {
  return cast<RankedTensorType>(tensor.getType()).getDimSize(dimension);
}
int64_t ceilOf(int64_t value, int64_t step) { return (value + step - 1) / step; }

Value pointerOf(KernelBuilder &b, KernelOp kernel, Value value) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return b.pointers[argument.getArgNumber()];
  ValueRange yielded = kernel.getBody().front().getTerminator()->getOperands();
  return b.pointers[kernel.getNumOperands() + (llvm::find(yielded, value) - yielded.begin())];
}

// --- quantisation: one grid index is one tile, or, where tiles are one column wide, those of one
// vector ---

class Quantize {
public:
  Quantize(QuantizeTilesOp op, KernelOp kernel, KernelBuilder &b)
      : b(b), format(Format::of(op.getElement())), columns(sizeOf(op.getInput(), 1)),
        tileRows(op.getTileRows()), narrow(op.getTileColumns() == 1),
        step(narrow ? b.target.lanes : op.getTileColumns()), powerOfTwo(op.getPowerOfTwo()),
        amaxFloor(op.getAmaxFloor().convertToDouble()), rows(b.sizes[0]) {
    input = pointerOf(b, kernel, op.getInput());
    elements = pointerOf(b, kernel, op.getElements());
    scales = pointerOf(b, kernel, op.getScales());
  }

  void run(Value index) {
    int64_t across = ceilOf(columns, step);
    tileRow = b.div(index, across);
    firstRow = b.mul(tileRow, tileRows);
    lastRow = b.minimum(b.add(firstRow, tileRows), rows);
    Value tile = b.rem(index, across);
    Value first = b.mul(tile, step), end = b.minimum(b.add(first, step), b.index(columns));
    if (narrow)
      forColumns(b, columns, first, end,
                 [&](Value column, int64_t size) { columnTiles(column, size); });
    else
      wideTile(tile, first, end);
  }

private:
  Value at(Value row, Value column) { return b.add(b.mul(row, columns), column); }

  Value magnitude(const Vectors &v, Value row, Value column) {
    Value x = v.load(b.getF32Type(), input, at(row, column));
    return v.asReal(arith::AndIOp::create(b, v.bits(x), v.integer(0x7FFFFFFF)));
  }
  /// The scale of tiles by their largest magnitudes.
  Value scaleOf(const Vectors &v, Value largest) {
    Value scale = b.divf(b.maxf(largest, v.real(amaxFloor)), v.real(format.largest));
    if (!powerOfTwo)
      return scale;
    // The next power of two: a fraction other than 0 carries into the exponent.
    Value carried = arith::AddIOp::create(b, v.bits(scale), v.integer(0x7FFFFF));
    return v.asReal(arith::AndIOp::create(b, carried, v.integer(0xFF800000)));
  }
  void encode(const Vectors &v, Value row, Value column, Value scale) {
    Value x = v.load(b.getF32Type(), input, at(row, column));
    v.store(v.encode(b.divf(x, scale), format), elements, at(row, column));
  }

  void columnTiles(Value column, int64_t size) {
    Vectors v{b, size};
    Value largest = b.loop(firstRow, lastRow, 1, v.real(0), [&](Value row, ValueRange carried) {
      return SmallVector<Value>{b.maxf(magnitude(v, row, column), carried[0])};
    })[0];
    Value scale = scaleOf(v, largest);
    v.store(scale, scales, b.add(b.mul(tileRow, columns), column));
    b.loop(firstRow, lastRow, 1, [&](Value row) { encode(v, row, column, scale); });
  }

  void wideTile(Value tile, Value first, Value end) {
    Value largest = b.loop(firstRow, lastRow, 1, b.f32(0), [&](Value row, ValueRange carried) {
      return SmallVector<Value>{largestOfRow(row, first, end, carried[0])};
    })[0];
    Vectors one{b, 1};
    Value scale =
        vector::ExtractOp::create(b, scaleOf(one, one.spread(largest)), ArrayRef<int64_t>{0});
    b.store(scale, scales, b.add(b.mul(tileRow, ceilOf(columns, step)), tile));
    b.loop(firstRow, lastRow, 1, [&](Value row) {
      forColumns(b, columns, first, end, [&](Value column, int64_t size) {
        Vectors v{b, size};
        encode(v, row, column, v.spread(scale));
      });
    });
  }
  Value largestOfRow(Value row, Value first, Value end, Value start) {
    Vectors v{b, b.target.lanes};
    int64_t whole = columns / v.size * v.size;
    Value wholeEnd = b.minimum(end, b.index(whole));
    Value largest =
        b.loop(first, wholeEnd, v.size, v.real(0), [&](Value column, ValueRange carried) {
          return SmallVector<Value>{b.maxf(magnitude(v, row, column), carried[0])};
        })[0];
    // The maximum does not depend on the order: what is left over follows one by one.
    return b.loop(b.maximum(wholeEnd, first), end, 1, b.maxf(b.maxLanes(largest), start),
                  [&](Value column, ValueRange carried) {
                    Vectors one{b, 1};
                    Value x = vector::ExtractOp::create(b, magnitude(one, row, column),
                                                        ArrayRef<int64_t>{0});
                    return SmallVector<Value>{b.maxf(x, carried[0])};
                  })[0];
  }

  KernelBuilder &b;
  Format format;
  int64_t columns, tileRows;
  bool narrow;
  int64_t step; ///< columns of a grid index
  bool powerOfTwo;
  double amaxFloor;
  Value rows, input, elements, scales;
  Value tileRow, firstRow, lastRow;
};

// --- the way back: one grid index is one row ---

void emitDequantize(DequantizeTilesOp op, KernelOp kernel, KernelBuilder &b) {
  Format format = Format::of(cast<RankedTensorType>(op.getElements().getType()).getElementType());
  int64_t columns = sizeOf(op.getElements(), 1), tileColumns = op.getTileColumns();
  int64_t across = ceilOf(columns, tileColumns);
  Value elements = pointerOf(b, kernel, op.getElements());
  Value scales = pointerOf(b, kernel, op.getScales());
  Value result = pointerOf(b, kernel, op.getResult());
  b.loop(b.begin, b.end, 1, [&](Value row) {
    Value tiles = b.mul(b.div(row, op.getTileRows()), across);
    forColumns(b, columns, b.index(0), b.index(columns), [&](Value column, int64_t size) {
      Vectors v{b, size};
      Value at = b.add(b.mul(row, columns), column);
      Value value = v.decode(v.load(b.getI8Type(), elements, at), format);
      // Vectors do not cross a tile: the lanes divide 128.
      Value scale = tileColumns == 1
                        ? v.load(b.getF32Type(), scales, b.add(tiles, column))
                        : v.spread(b.loadF32(scales, b.add(tiles, b.div(column, tileColumns))));
      v.store(b.mulf(value, scale), result, at);
    });
  });
}

// --- the family ---

Operation *onlyOp(KernelOp kernel) {
  Block &body = kernel.getBody().front();
  return llvm::hasSingleElement(body.without_terminator()) ? &body.front() : nullptr;
}

class TileEmitter : public KernelEmitter {
public:
  StringRef name() const override { return "tiles"; }
  bool accepts(KernelOp kernel) const override {
    Operation *op = onlyOp(kernel);
    if (!isa_and_nonnull<QuantizeTilesOp, DequantizeTilesOp>(op))
      return false;
    // Every result is written, to one place.
    ValueRange yielded = kernel.getBody().front().getTerminator()->getOperands();
    return llvm::all_of(op->getResults(),
                        [&](Value result) { return llvm::count(yielded, result) == 1; }) &&
           yielded.size() == op->getNumResults();
  }

  KernelConfig configure(KernelOp kernel, const Target &target) const override {
    KernelConfig config;
    if (auto op = dyn_cast<QuantizeTilesOp>(onlyOp(kernel))) {
      int64_t rows = sizeOf(op.getInput(), 0), columns = sizeOf(op.getInput(), 1);
      int64_t step = op.getTileColumns() == 1 ? target.lanes : op.getTileColumns();
      config.key =
          llvm::formatv("quantize;{0};{1}x{2};{3};{4};{5}", columns, op.getTileRows(),
                        op.getTileColumns(), Format::of(op.getElement()).mantissa,
                        op.getPowerOfTwo(), op.getAmaxFloor().bitcastToAPInt().getZExtValue());
      config.key += op.getElements() == kernel.getBody().front().getTerminator()->getOperand(0)
                        ? ";"
                        : ";swapped";
      config.sizes = {rows};
      config.grid = ceilOf(rows, op.getTileRows()) * ceilOf(columns, step);
      return config;
    }
    auto op = cast<DequantizeTilesOp>(onlyOp(kernel));
    auto type = cast<RankedTensorType>(op.getElements().getType());
    config.key =
        llvm::formatv("dequantize;{0};{1}x{2};{3};{4}", type.getDimSize(1), op.getTileRows(),
                      op.getTileColumns(), Format::of(type.getElementType()).mantissa,
                      cast<BlockArgument>(op.getElements()).getArgNumber());
    config.grid = type.getDimSize(0);
    return config;
  }

  LogicalResult emit(KernelOp kernel, const KernelConfig &, KernelBuilder &b) const override {
    if (auto op = dyn_cast<QuantizeTilesOp>(onlyOp(kernel))) {
      Quantize quantize(op, kernel, b);
      b.loop(b.begin, b.end, 1, [&](Value index) { quantize.run(index); });
    } else {
      emitDequantize(cast<DequantizeTilesOp>(onlyOp(kernel)), kernel, b);
    }
    return success();
  }
};

} // namespace

const KernelEmitter &tileEmitter() {
  static const TileEmitter emitter;
  return emitter;
}

} // namespace hadal::cpu
