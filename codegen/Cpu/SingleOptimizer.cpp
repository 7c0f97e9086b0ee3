// SPDX-License-Identifier: Apache-2.0
//
// Kernels of the optimizer: gradient norm, AdamW, sums of losses. See Single.h.

#include "codegen/Cpu/Single.h"
#include "codegen/Cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

static Value toF64(KernelBuilder &b, Value integer) {
  Value wide = arith::IndexCastOp::create(b, b.getI64Type(), integer);
  return arith::SIToFPOp::create(b, b.getF64Type(), wide);
}
static Value toF32(KernelBuilder &b, Value x) {
  return arith::TruncFOp::create(b, b.getF32Type(), x);
}

/// Sizes and grid of an op on `elements` elements in blocks.
static void flat(KernelConfig &config, int64_t elements, int64_t block) {
  config.sizes = {elements};
  config.grid = llvm::divideCeil(elements, block);
}

// --- sums in order ---

/// start + values[0] + values[1] + ..., f64.
static Value sumInOrder(KernelBuilder &b, Value start, Value values, Value count) {
  return b.loop(b.index(0), count, 1, start, [&](Value at, ValueRange sum) {
    return SmallVector<Value>{b.addf(sum[0], b.load(b.getF64Type(), values, at))};
  })[0];
}

void configureSingle(ReduceLossOp op, KernelConfig &config) {
  config.sizes = {elementsOf(op.getRowLoss()), int64_t(op.getDivisor())};
}
void emitSingle(SingleWriter &w, ReduceLossOp op) {
  KernelBuilder &b = w.b;
  Value sum = sumInOrder(b, b.f64(0.0), w.pointerOf(op.getRowLoss()), b.sizes[0]);
  b.store(b.divf(sum, toF64(b, b.sizes[1])), w.resultOf(op.getLoss()), b.index(0));
}

void configureSingle(AccumulateSquaresOp op, KernelConfig &config) {
  config.sizes = {elementsOf(op.getBlocks())};
}
void emitSingle(SingleWriter &w, AccumulateSquaresOp op) {
  KernelBuilder &b = w.b;
  Value sum = sumInOrder(b, w.scalarOf(op.getTotal()), w.pointerOf(op.getBlocks()), b.sizes[0]);
  b.store(sum, w.pointerOf(op.getTotal()), b.index(0));
}

void configureSingle(SquareSumOp op, KernelConfig &config) {
  flat(config, elementsOf(op.getGradient()), kNormBlock);
}
void emitSingle(SingleWriter &w, SquareSumOp op) {
  KernelBuilder &b = w.b;
  Value gradient = w.pointerOf(op.getGradient()), result = w.resultOf(op.getResult());
  VectorType wide = b.vectorType(b.getF64Type());
  Value zero = arith::ConstantOp::create(b, DenseElementsAttr::get(wide, 0.0));
  auto square = [&](Value at, Value mask, Value sum) -> Value {
    Value x = arith::ExtFOp::create(b, wide, b.loadVector(gradient, at, mask));
    return b.addf(sum, b.mulf(x, x));
  };
  w.blocks(b.sizes[0], kNormBlock, [&](Value first, Value count) {
    // Four sums run side by side over blocks of four vectors; the rest goes to the first.
    constexpr int64_t kSums = 4;
    int64_t lanes = b.target.lanes, stride = kSums * lanes;
    Value whole = b.mul(b.div(count, stride), stride);
    SmallVector<Value> zeros(kSums, zero);
    auto sums = b.loop(b.index(0), whole, stride, zeros, [&](Value at, ValueRange so) {
      SmallVector<Value> next;
      for (int64_t i = 0; i < kSums; ++i)
        next.push_back(square(b.add(b.add(first, at), i * lanes), Value(), so[size_t(i)]));
      return next;
    });
    Value start = b.add(first, whole);
    sums[0] = b.vectorLoop(b.sub(count, whole), sums[0], [&](Value at, Value mask, ValueRange so) {
      return SmallVector<Value>{square(b.add(start, at), mask, so[0])};
    })[0];
    Value total = b.addf(b.addf(sums[0], sums[1]), b.addf(sums[2], sums[3]));
    b.store(b.sumLanes(total), result, b.div(first, kNormBlock));
  });
}

void configureSingle(ClipFactorOp, KernelConfig &) {}
void emitSingle(SingleWriter &w, ClipFactorOp op) {
  KernelBuilder &b = w.b;
  Value norm = emitSqrt(b, w.scalarOf(op.getTotal())), factor = b.f32(1.0);
  if (double most = op.getClipNorm().convertToDouble(); most > 0) {
    Value above = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, norm, b.f64(most));
    factor = b.select(above, toF32(b, b.divf(b.f64(most), norm)), factor);
  }
  if (Value result = w.resultOf(op.getNorm()))
    b.store(norm, result, b.index(0));
  if (Value result = w.resultOf(op.getFactor()))
    b.store(factor, result, b.index(0));
}

// --- element by element ---

void configureSingle(AccumulateOp op, KernelConfig &config) {
  flat(config, elementsOf(op.getValue()), kFlatBlock);
}
void emitSingle(SingleWriter &w, AccumulateOp op) {
  KernelBuilder &b = w.b;
  Value value = w.pointerOf(op.getValue()), accumulator = w.pointerOf(op.getAccumulator());
  w.blocks(b.sizes[0], kFlatBlock, [&](Value first, Value count) {
    b.vectorLoop(count, [&](Value at, Value mask) {
      Value here = b.add(first, at);
      Value sum = b.addf(b.loadVector(accumulator, here, mask), b.loadVector(value, here, mask));
      b.storeVector(sum, accumulator, here, mask);
    });
  });
}

namespace {

/// The factors of one AdamW step, as vectors: computed in f64, rounded once.
struct AdamwFactors {
  AdamwFactors(SingleWriter &w, AdamwOp op) {
    KernelBuilder &b = w.b;
    auto constant = [&](double value) { return b.splat(value); };
    auto rounded = [&](Value value) { return b.splat(toF32(b, value)); };
    double first = op.getBeta1().convertToDouble(), second = op.getBeta2().convertToDouble();
    Value rate = w.scalarOf(op.getLearningRate());
    beta1 = constant(first), rest1 = constant(1 - first);
    beta2 = constant(second), rest2 = constant(1 - second);
    epsilon = constant(op.getEpsilon().convertToDouble());
    decay = rounded(b.subf(b.f64(1.0), b.mulf(rate, b.f64(op.getWeightDecay().convertToDouble()))));
    step = rounded(b.divf(rate, w.scalarOf(op.getCorrection1())));
    root = rounded(emitSqrt(b, w.scalarOf(op.getCorrection2())));
    clip = b.splat(w.scalarOf(op.getFactor()));
  }
  Value beta1, rest1, beta2, rest2, epsilon, decay, step, root, clip;
};

} // namespace

void configureSingle(AdamwOp op, KernelConfig &config) {
  flat(config, elementsOf(op.getParameter()), kFlatBlock);
}
void emitSingle(SingleWriter &w, AdamwOp op) {
  KernelBuilder &b = w.b;
  AdamwFactors f(w, op);
  Value parameter = w.pointerOf(op.getParameter()), gradient = w.pointerOf(op.getGradient());
  Value moment1 = w.pointerOf(op.getMoment1()), moment2 = w.pointerOf(op.getMoment2());
  w.blocks(b.sizes[0], kFlatBlock, [&](Value first, Value count) {
    b.vectorLoop(count, [&](Value at, Value mask) {
      Value here = b.add(first, at);
      Value g = b.mulf(b.loadVector(gradient, here, mask), f.clip);
      Value p = b.mulf(b.loadVector(parameter, here, mask), f.decay);
      Value m = b.addf(b.mulf(f.beta1, b.loadVector(moment1, here, mask)), b.mulf(f.rest1, g));
      Value v =
          b.addf(b.mulf(f.beta2, b.loadVector(moment2, here, mask)), b.mulf(f.rest2, b.mulf(g, g)));
      Value divisor = b.addf(b.divf(emitSqrt(b, v), f.root), f.epsilon);
      b.storeVector(b.subf(p, b.divf(b.mulf(f.step, m), divisor)), parameter, here, mask);
      b.storeVector(m, moment1, here, mask);
      b.storeVector(v, moment2, here, mask);
    });
  });
}

} // namespace hadal::cpu
