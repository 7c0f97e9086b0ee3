// SPDX-License-Identifier: Apache-2.0
//
// Kernels that sum over rows, in ascending order, a block of columns a grid index: weight gradients
// of norm and embedding. See Single.h.

#include "codegen/Cpu/Single.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

/// Over the grid: body(first column, masks of the block's vectors; null masks for a whole block).
static void columnBlocks(KernelBuilder &b, int64_t columns,
                         function_ref<void(Value first, ArrayRef<Value> masks)> body) {
  int64_t lanes = b.target.lanes, vectors = kColumnBlock / lanes, whole = columns / kColumnBlock;
  Value wholeEnd = b.minimum(b.end, b.index(whole));
  b.loop(b.begin, wholeEnd, 1,
         [&](Value at) { body(b.mul(at, kColumnBlock), SmallVector<Value>(vectors)); });
  int64_t rest = columns % kColumnBlock;
  if (!rest)
    return;
  b.ifThen(b.less(b.index(whole), b.end), [&] {
    SmallVector<Value> masks;
    for (int64_t left = rest; left > 0; left -= lanes)
      masks.push_back(left < lanes ? b.maskOf(b.index(left)) : Value());
    body(b.index(whole * kColumnBlock), masks);
  });
}

static void columns(KernelConfig &config, int64_t count) {
  config.key += llvm::formatv(" columns={0}", count);
  config.grid = llvm::divideCeil(count, kColumnBlock);
}

void configureSingle(RmsNormWeightGradientOp op, KernelConfig &config) {
  columns(config, lastDimension(op.getInput()));
  config.sizes = {elementsOf(op.getInverseRms())};
}
void emitSingle(SingleWriter &w, RmsNormWeightGradientOp op) {
  KernelBuilder &b = w.b;
  int64_t width = lastDimension(op.getInput()), lanes = b.target.lanes;
  Value gradient = w.pointerOf(op.getGradient()), input = w.pointerOf(op.getInput());
  Value inverse = w.pointerOf(op.getInverseRms()), accumulator = w.pointerOf(op.getAccumulator());
  columnBlocks(b, width, [&](Value first, ArrayRef<Value> masks) {
    SmallVector<Value> zeros(masks.size(), b.splat(0.0));
    auto sums = b.loop(b.index(0), b.sizes[0], 1, zeros, [&](Value row, ValueRange so) {
      Value start = b.add(b.mul(row, width), first), scale = b.splat(b.loadF32(inverse, row));
      SmallVector<Value> next;
      for (auto [i, mask] : llvm::enumerate(masks)) {
        Value at = b.add(start, int64_t(i) * lanes);
        Value normed = b.mulf(b.loadVector(input, at, mask), scale);
        next.push_back(b.fma(b.loadVector(gradient, at, mask), normed, so[i]));
      }
      return next;
    });
    for (auto [i, mask] : llvm::enumerate(masks)) {
      Value at = b.add(first, int64_t(i) * lanes);
      b.storeVector(b.addf(b.loadVector(accumulator, at, mask), sums[i]), accumulator, at, mask);
    }
  });
}

void configureSingle(EmbeddingGradientOp op, KernelConfig &config) {
  columns(config, lastDimension(op.getGradient()));
  auto gradient = cast<RankedTensorType>(op.getGradient().getType());
  config.sizes = {gradient.getDimSize(0), gradient.getDimSize(1), lastDimension(op.getIds()),
                  int64_t(op.getOffset())};
}
void emitSingle(SingleWriter &w, EmbeddingGradientOp op) {
  KernelBuilder &b = w.b;
  int64_t width = lastDimension(op.getGradient()), lanes = b.target.lanes;
  Value gradient = w.pointerOf(op.getGradient()), ids = w.pointerOf(op.getIds());
  Value accumulator = w.pointerOf(op.getAccumulator());
  Value sequences = b.sizes[0], tokens = b.sizes[1], stride = b.sizes[2], offset = b.sizes[3];
  columnBlocks(b, width, [&](Value first, ArrayRef<Value> masks) {
    b.loop(b.index(0), sequences, 1, [&](Value sequence) {
      b.loop(b.index(0), tokens, 1, [&](Value token) {
        Value place = b.add(b.mul(sequence, stride), b.add(token, offset));
        Value id = b.toIndex(b.load(b.getI32Type(), ids, place));
        Value row = b.add(b.mul(sequence, tokens), token);
        for (auto [i, mask] : llvm::enumerate(masks)) {
          Value column = b.add(first, int64_t(i) * lanes), to = b.add(b.mul(id, width), column);
          Value added = b.loadVector(gradient, b.add(b.mul(row, width), column), mask);
          b.storeVector(b.addf(b.loadVector(accumulator, to, mask), added), accumulator, to, mask);
        }
      });
    });
  });
}

} // namespace hadal::cpu
