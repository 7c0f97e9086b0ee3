// SPDX-License-Identifier: Apache-2.0
//
// Rules of FP8 tiles. They are exact: f32 arithmetic in either precision of the interpreter.

#include "dialects/Hadal/Reference/Float8.h"
#include "dialects/Hadal/Reference/Rules.h"

#include <cmath>

using namespace mlir;

namespace hadal::reference {

namespace {
/// A matrix in tiles: element values and the scale of each tile.
struct Tiles {
  Array<double> elements; // [rows, columns]
  Array<float> scales;    // [ceil(rows / tileRows), ceil(columns / tileColumns)]
  int64_t tileRows, tileColumns;

  Tiles(int64_t rows, int64_t columns, int64_t tileRows, int64_t tileColumns)
      : elements({rows, columns}), scales({tilesOf(rows, tileRows), tilesOf(columns, tileColumns)}),
        tileRows(tileRows), tileColumns(tileColumns) {}

  static int64_t tilesOf(int64_t size, int64_t tile) { return (size + tile - 1) / tile; }
  float &scaleOf(int64_t row, int64_t column) {
    return scales(row / tileRows, column / tileColumns);
  }
};
} // namespace

/// The smallest power of two that is not below a positive f32.
static float powerOfTwo(float scale) {
  int exponent;
  float fraction = std::frexp(scale, &exponent);
  return std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
}

static void quantize(const Array<float> &x, float floor, bool toPowerOfTwo, Float8 format,
                     Tiles &tiles) {
  for (float &scale : tiles.scales.data)
    scale = floor;
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = 0; j < x.size(1); ++j)
      tiles.scaleOf(i, j) = std::fmax(tiles.scaleOf(i, j), std::fabs(x(i, j)));
  for (float &scale : tiles.scales.data) {
    scale /= float(format.largest);
    if (toPowerOfTwo)
      scale = powerOfTwo(scale);
  }
  for (int64_t i = 0; i < x.size(0); ++i)
    for (int64_t j = 0; j < x.size(1); ++j) {
      float quotient = x(i, j) / tiles.scaleOf(i, j);
      tiles.elements(i, j) = format.round(quotient);
    }
}

static void dequantize(Tiles &tiles, Value result, Frame &frame) {
  auto y = frame.zeros<float>(result);
  for (int64_t i = 0; i < y.size(0); ++i)
    for (int64_t j = 0; j < y.size(1); ++j)
      y(i, j) = float(tiles.elements(i, j)) * tiles.scaleOf(i, j);
  frame.set(result, y);
}

static Tiles readScaled(Value value, const Frame &frame) {
  auto type = cast<ScaledType>(value.getType());
  Tiles tiles(type.getRows(), type.getColumns(), type.getTileRows(), type.getTileColumns());
  const Tensor &tensor = *frame.get(value);
  tiles.elements.data = tensor.reals;
  tiles.scales.data.assign(tensor.scales.begin(), tensor.scales.end());
  return tiles;
}

template <typename Real> static void interpret(Real, QuantizeOp op, Frame &frame) {
  auto type = cast<ScaledType>(op.getResult().getType());
  Tiles tiles(type.getRows(), type.getColumns(), type.getTileRows(), type.getTileColumns());
  quantize(frame.read<float>(op.getInput()), float(op.getAmaxFloor().convertToDouble()),
           type.getRule() == TileScale::PowerOfTwo, Float8::of(type.getElement()), tiles);
  Tensor out(tiles.elements);
  out.scales.assign(tiles.scales.data.begin(), tiles.scales.data.end());
  frame.set(op.getResult(), std::make_shared<Tensor>(std::move(out)));
}

template <typename Real> static void interpret(Real, QuantizeTilesOp op, Frame &frame) {
  auto x = frame.read<float>(op.getInput());
  Tiles tiles(x.size(0), x.size(1), op.getTileRows(), op.getTileColumns());
  quantize(x, float(op.getAmaxFloor().convertToDouble()), op.getPowerOfTwo(),
           Float8::of(op.getElement()), tiles);
  frame.set(op.getElements(), tiles.elements);
  frame.set(op.getScales(), tiles.scales);
}

template <typename Real> static void interpret(Real, DequantizeOp op, Frame &frame) {
  Tiles tiles = readScaled(op.getInput(), frame);
  dequantize(tiles, op.getResult(), frame);
}

template <typename Real> static void interpret(Real, DequantizeTilesOp op, Frame &frame) {
  auto elements = frame.read<double>(op.getElements());
  Tiles tiles(elements.size(0), elements.size(1), op.getTileRows(), op.getTileColumns());
  tiles.elements = std::move(elements);
  tiles.scales = frame.read<float>(op.getScales());
  dequantize(tiles, op.getResult(), frame);
}

/// sum of products of FP8 values of columns [begin, end), rounded to f32 once. Elements are whole
/// multiples of 2^-16 (the smallest subnormal of E5M2), so integers hold the sum exactly.
static float exactSum(const Tiles &x, int64_t row, const Tiles &w, int64_t out, int64_t begin,
                      int64_t end) {
  __int128 sum = 0;
  for (int64_t i = begin; i < end; ++i)
    sum +=
        __int128(std::ldexp(x.elements(row, i), 16)) * __int128(std::ldexp(w.elements(out, i), 16));
  return std::ldexp(float(sum), -32);
}

template <typename Real> static void interpret(Real, ScaledLinearOp op, Frame &frame) {
  Tiles x = readScaled(op.getInput(), frame), w = readScaled(op.getWeight(), frame);
  auto y = frame.zeros<float>(op.getResult());
  int64_t interval = op.getInterval(), in = x.elements.size(1);
  for (int64_t r = 0; r < y.size(0); ++r)
    for (int64_t o = 0; o < y.size(1); ++o)
      for (int64_t i = 0; i < in; i += interval) {
        float partial = exactSum(x, r, w, o, i, std::min(i + interval, in));
        y(r, o) += partial * x.scaleOf(r, i) * w.scaleOf(o, i);
      }
  frame.set(op.getResult(), y);
}

void addScaledRules(RuleTable &table) {
  table.add<QuantizeOp, DequantizeOp, ScaledLinearOp, QuantizeTilesOp, DequantizeTilesOp>();
}

} // namespace hadal::reference
