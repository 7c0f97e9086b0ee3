// SPDX-License-Identifier: Apache-2.0
//
// Row kernels of layers: sums, RMSNorm, SwiGLU, cut and join. See Rows.h.

#include "codegen/Cpu/Rows.h"
#include "codegen/Cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

void emitRow(RowWriter &w, AddOp op) {
  RowSpan lhs = w.read(op.getLhs()), rhs = w.read(op.getRhs());
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  w.b.vectorLoop(w.b.index(result.width), [&](Value at, Value mask) {
    w.store(w.b.addf(w.load(lhs, at, mask), w.load(rhs, at, mask)), result, at, mask);
  });
}

void emitRow(RowWriter &w, RmsNormOp op) {
  KernelBuilder &b = w.b;
  RowSpan input = w.read(op.getInput());
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  RowSpan inverseRms = w.write(cast<OpResult>(op.getInverseRms()));
  Value weight = w.pointerOf(op.getWeight());
  Value squares = w.sum(input.width, [&](Value at, Value mask, Value sum) {
    Value x = w.load(input, at, mask);
    return b.fma(x, x, sum);
  });
  Value mean = b.divf(squares, b.f32(double(input.width)));
  Value root = emitSqrt(b, b.addf(mean, b.f32(op.getEpsilon().convertToDouble())));
  Value inverse = b.divf(b.f32(1.0), root);
  w.storeScalar(inverse, inverseRms);
  Value scale = b.splat(inverse);
  b.vectorLoop(b.index(input.width), [&](Value at, Value mask) {
    Value normed = b.mulf(w.load(input, at, mask), scale);
    w.store(b.mulf(b.loadVector(weight, at, mask), normed), result, at, mask);
  });
}

void emitRow(RowWriter &w, RmsNormGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan gradient = w.read(op.getGradient()), input = w.read(op.getInput());
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  Value weight = w.pointerOf(op.getWeight());
  Value s = w.loadScalar(w.read(op.getInverseRms()));
  auto weighted = [&](Value at, Value mask) {
    return b.mulf(w.load(gradient, at, mask), b.loadVector(weight, at, mask));
  };
  Value dot = w.sum(input.width, [&](Value at, Value mask, Value sum) {
    return b.fma(weighted(at, mask), w.load(input, at, mask), sum);
  });
  Value cube = b.mulf(b.mulf(s, s), s);
  Value scale = b.splat(s);
  Value shift = b.splat(b.divf(b.mulf(cube, dot), b.f32(double(input.width))));
  b.vectorLoop(b.index(input.width), [&](Value at, Value mask) {
    Value straight = b.mulf(scale, weighted(at, mask));
    w.store(b.subf(straight, b.mulf(w.load(input, at, mask), shift)), result, at, mask);
  });
}

void emitRow(RowWriter &w, SwigluOp op) {
  KernelBuilder &b = w.b;
  RowSpan gate = w.read(op.getGate()), up = w.read(op.getUp());
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  Value scale;
  if (op.getRowScale())
    scale = b.splat(w.loadScalar(w.read(op.getRowScale())));
  b.vectorLoop(b.index(gate.width), [&](Value at, Value mask) {
    Value g = w.load(gate, at, mask);
    Value product = b.mulf(b.mulf(g, emitSigmoid(b, g)), w.load(up, at, mask));
    w.store(scale ? b.mulf(product, scale) : product, result, at, mask);
  });
}

void emitRow(RowWriter &w, SwigluGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan gradient = w.read(op.getGradient()), gate = w.read(op.getGate()), up = w.read(op.getUp());
  RowSpan gateGradient = w.write(cast<OpResult>(op.getGateGradient()));
  RowSpan upGradient = w.write(cast<OpResult>(op.getUpGradient()));
  Value scale;
  if (op.getRowScale())
    scale = b.splat(w.loadScalar(w.read(op.getRowScale())));
  Value one = b.splat(1.0);
  Value total = w.sum(gate.width, [&](Value at, Value mask, Value sum) {
    Value d = w.load(gradient, at, mask), g = w.load(gate, at, mask), u = w.load(up, at, mask);
    Value s = emitSigmoid(b, g), silu = b.mulf(g, s);
    Value scaled = scale ? b.mulf(d, scale) : d;
    Value slope = b.mulf(s, b.fma(g, b.subf(one, s), one));
    w.store(b.mulf(b.mulf(scaled, u), slope), gateGradient, at, mask);
    w.store(b.mulf(scaled, silu), upGradient, at, mask);
    return scale ? b.fma(d, b.mulf(silu, u), sum) : sum;
  });
  if (scale)
    w.storeScalar(total, w.write(cast<OpResult>(op.getScaleGradient())));
}

void emitRow(RowWriter &w, SplitOp op) {
  RowSpan input = w.read(op.getInput());
  int64_t size = int64_t(op.getSize());
  RowSpan first = input.from(w.b, 0, size), second = input.from(w.b, size, input.width - size);
  for (auto [result, part] : {std::pair(op.getFirst(), first), std::pair(op.getSecond(), second)})
    if (!w.alias(cast<OpResult>(result), part))
      w.copy(part, w.write(cast<OpResult>(result)));
}

void emitRow(RowWriter &w, ConcatOp op) {
  RowSpan first = w.read(op.getFirst()), second = w.read(op.getSecond());
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  w.copy(first, result.from(w.b, 0, first.width));
  w.copy(second, result.from(w.b, first.width, second.width));
}

} // namespace hadal::cpu
