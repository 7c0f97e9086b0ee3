// SPDX-License-Identifier: Apache-2.0
//
// Row kernels that ask for a row's sequence and token: rotary positions, embedding, multi-token
// prediction. See Rows.h.

#include "codegen/Cpu/Rows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The position's factors, one for each rotated element: [c, c] a pair, and [-s, s] (inverse: [s,
/// -s]).
static void expandTables(RowWriter &w, RopeOp op, RowSpan cosines, RowSpan sines) {
  KernelBuilder &b = w.b;
  int64_t half = cosines.width / 2;
  Value position = w.token;
  if (op.getPosition())
    position = b.add(position,
                     b.toIndex(b.load(b.getI32Type(), w.pointerOf(op.getPosition()), b.index(0))));
  Value first = b.mul(position, half);
  b.loop(b.index(0), b.index(half), 1, [&](Value pair) {
    Value c = b.loadF32(w.pointerOf(op.getCos()), b.add(first, pair));
    Value s = b.loadF32(w.pointerOf(op.getSin()), b.add(first, pair));
    Value negative = arith::NegFOp::create(b, s);
    Value even = b.mul(pair, 2), odd = b.add(even, 1);
    b.store(c, cosines.pointer, b.add(cosines.base, even));
    b.store(c, cosines.pointer, b.add(cosines.base, odd));
    b.store(op.getInverse() ? s : negative, sines.pointer, b.add(sines.base, even));
    b.store(op.getInverse() ? negative : s, sines.pointer, b.add(sines.base, odd));
  });
}

void emitRow(RowWriter &w, RopeOp op) {
  KernelBuilder &b = w.b;
  RowSpan input = w.read(op.getInput()), result = w.write(cast<OpResult>(op.getResult()));
  int64_t rotary = int64_t(op.getRotaryDim()), heads = int64_t(op.getHeads());
  int64_t width = input.width / heads, plain = width - rotary;
  RowSpan cosines{w.workspaceOf(op), b.index(0), rotary}, sines = cosines.from(b, rotary, rotary);
  expandTables(w, op, cosines, sines);
  SmallVector<int64_t> swap;
  for (int64_t lane = 0; lane < b.target.lanes; ++lane)
    swap.push_back(lane ^ 1);
  b.loop(b.index(0), b.index(heads), 1, [&](Value head) {
    Value start = b.mul(head, width), turned = b.add(start, plain);
    b.vectorLoop(b.index(plain), [&](Value at, Value mask) {
      w.store(w.load(input, b.add(start, at), mask), result, b.add(start, at), mask);
    });
    b.vectorLoop(b.index(rotary), [&](Value at, Value mask) {
      Value x = w.load(input, b.add(turned, at), mask);
      Value other = vector::ShuffleOp::create(b, x, x, swap);
      Value sum =
          b.addf(b.mulf(x, w.load(cosines, at, mask)), b.mulf(other, w.load(sines, at, mask)));
      w.store(sum, result, b.add(turned, at), mask);
    });
  });
}

/// The token id of the row, `offset` positions on, out of ids [B, S]: sizes S and offset.
static Value idOf(RowWriter &w, Operation *op, Value ids) {
  KernelBuilder &b = w.b;
  Value at = b.add(b.mul(w.sequence, w.sizeOf(op, 0)), b.add(w.token, w.sizeOf(op, 1)));
  return b.toIndex(b.load(b.getI32Type(), w.pointerOf(ids), at));
}

void emitRow(RowWriter &w, EmbeddingOp op) {
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  Value id = idOf(w, op, op.getIds());
  w.copy({w.pointerOf(op.getTable()), w.b.mul(id, result.width), result.width}, result);
}

void emitRow(RowWriter &w, LastTokenOp op) {
  KernelBuilder &b = w.b;
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  Value valid = b.toIndex(b.load(b.getI32Type(), w.pointerOf(op.getValid()), b.index(0)));
  Value last = b.sub(valid, b.index(1));
  w.copy({w.pointerOf(op.getInput()), b.mul(last, result.width), result.width}, result);
}

void emitRow(RowWriter &w, MtpJoinOp op) {
  KernelBuilder &b = w.b;
  RowSpan embedding = w.read(op.getEmbedding()), result = w.write(cast<OpResult>(op.getResult()));
  int64_t width = embedding.width;
  RowSpan hidden;
  if (readsOwnRow(op.getHiddenMutable()))
    hidden = w.read(op.getHidden());
  else {
    Value from = b.add(b.mul(w.sequence, w.sizeOf(op, 0)), w.token);
    hidden = {w.pointerOf(op.getHidden()), b.mul(from, width), width};
  }
  bool embeddingFirst = op.getHalfOrder() == HalfOrder::EmbeddingFirst;
  w.copy(embeddingFirst ? embedding : hidden, result.from(b, 0, width));
  w.copy(embeddingFirst ? hidden : embedding, result.from(b, width, width));
}

void emitRow(RowWriter &w, MtpJoinGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan hidden = w.write(cast<OpResult>(op.getHiddenGradient()));
  RowSpan embedding = w.write(cast<OpResult>(op.getEmbeddingGradient()));
  int64_t width = hidden.width;
  bool embeddingFirst = op.getHalfOrder() == HalfOrder::EmbeddingFirst;
  auto cut = [&](RowSpan gradient) {
    w.copy(gradient.from(b, embeddingFirst ? 0 : width, width), embedding);
    w.copy(gradient.from(b, embeddingFirst ? width : 0, width), hidden);
  };
  if (readsOwnRow(op.getGradientMutable()))
    return cut(w.read(op.getGradient()));
  // Rows of the hidden state's gradient; only the first positions of a sequence are there in the
  // operand.
  Value tokens = w.sizeOf(op, 0);
  b.ifThen(b.less(w.token, tokens), [&] {
    Value from = b.add(b.mul(w.sequence, tokens), w.token);
    if (!w.layout.scratch.count(op.getEmbeddingGradient()))
      embedding.base = b.mul(from, width);
    cut({w.pointerOf(op.getGradient()), b.mul(from, 2 * width), 2 * width});
  });
  b.ifThen(b.less(tokens, b.add(w.token, 1)), [&] {
    b.vectorLoop(b.index(width),
                 [&](Value at, Value mask) { w.store(b.splat(0.0), hidden, at, mask); });
  });
}

void emitRow(RowWriter &w, SumHeadsOp op) {
  KernelBuilder &b = w.b;
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  int64_t heads = typeOf(op.getInput()).getDimSize(1);
  // Row (sequence, head, token) of the input.
  Value first = b.add(b.mul(b.mul(w.sequence, heads), b.sizes[1]), w.token);
  Value step = b.mul(b.sizes[1], result.width);
  RowSpan input{w.pointerOf(op.getInput()), b.mul(first, result.width), result.width};
  b.vectorLoop(b.index(result.width), [&](Value at, Value mask) {
    Value start = w.load(input, at, mask);
    Value sum = b.loop(b.index(1), b.index(heads), 1, start, [&](Value head, ValueRange carried) {
      Value from = b.add(at, b.mul(head, step));
      return SmallVector<Value>{b.addf(carried[0], w.load(input, from, mask))};
    })[0];
    w.store(sum, result, at, mask);
  });
}

} // namespace hadal::cpu
