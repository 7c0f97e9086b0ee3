// SPDX-License-Identifier: Apache-2.0
//
// Row kernels of mixtures of experts: the router, rows to experts and back. See Rows.h.

#include "codegen/Cpu/Rows.h"
#include "codegen/Cpu/TopK.h"
#include "codegen/Cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

static int64_t lastDimension(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}
static Value loadIndex(KernelBuilder &b, RowSpan span, int64_t at) {
  return b.toIndex(b.load(b.getI32Type(), span.pointer, b.add(span.base, at)));
}

// --- the router ---

namespace {

/// The router's choice for one row. Workspace: selection scores of experts, ranks of groups, then
/// who is taken already (experts, groups) as i32.
struct Router {
  Router(RowWriter &w, RouteOp op)
      : b(w.b), op(op), experts(lastDimension(op.getLogits())), groups(int64_t(op.getGroups())),
        size(experts / groups) {
    auto part = [&](int64_t elements) {
      return b.pointerAt(w.workspaceOf(op), b.getF32Type(), b.index(elements));
    };
    selection = part(0);
    ranks = part(experts);
    takenExperts = part(experts + groups);
    takenGroups = part(2 * experts + groups);
  }
  static int64_t workspace(RouteOp op) {
    return 8 * (lastDimension(op.getLogits()) + int64_t(op.getGroups()));
  }

  void maskGroups();
  void rankGroups();

  KernelBuilder &b;
  RouteOp op;
  int64_t experts, groups, size;
  Value selection, ranks, takenExperts, takenGroups;
};

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

/// A group's rank: the sum of its two largest scores, or its only one.
void Router::rankGroups() {
  b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
    Value first = b.mul(group, size);
    SmallVector<Value> start(2, b.f32(kMinusInfinity));
    auto best = b.loop(first, b.add(first, size), 1, start, [&](Value expert, ValueRange two) {
      Value x = b.loadF32(selection, expert);
      Value wins = emitGreater(b, x, two[0]);
      Value second = b.select(emitGreater(b, x, two[1]), x, two[1]);
      return SmallVector<Value>{b.select(wins, x, two[0]), b.select(wins, two[0], second)};
    });
    b.store(size == 1 ? best[0] : b.addf(best[0], best[1]), ranks, group);
  });
}

/// The scores of groups that are not kept become the mask.
void Router::maskGroups() {
  rankGroups();
  emitTopK(b, ranks, takenGroups, groups, int64_t(op.getKeptGroups()));
  b.loop(b.index(0), b.index(groups), 1, [&](Value group) {
    b.ifThen(b.equal(b.load(b.getI32Type(), takenGroups, group), b.i32(0)), [&] {
      Value first = b.mul(group, size);
      b.loop(first, b.add(first, size), 1,
             [&](Value expert) { b.store(b.f32(kMinusInfinity), selection, expert); });
    });
  });
}

} // namespace

/// Writes the taken experts, ascending, and their scores; returns the sum of these.
static Value collect(RowWriter &w, Router &router, RowSpan scores, RowSpan ids, RowSpan weights) {
  KernelBuilder &b = w.b;
  SmallVector<Value> start{b.index(0), b.f32(0.0)};
  return b.loop(b.index(0), b.index(router.experts), 1, start, [&](Value expert, ValueRange so) {
    Value taken = emitIsTaken(b, router.takenExperts, expert);
    Value score = b.loadF32(scores.pointer, b.add(scores.base, expert));
    b.ifThen(taken, [&] {
      Value id = arith::IndexCastOp::create(b, b.getI32Type(), expert);
      b.store(id, ids.pointer, b.add(ids.base, so[0]));
      b.store(score, weights.pointer, b.add(weights.base, so[0]));
    });
    Value count = b.add(so[0], b.select(taken, b.index(1), b.index(0)));
    return SmallVector<Value>{count, b.select(taken, b.addf(so[1], score), so[1])};
  })[1];
}

void emitRow(RowWriter &w, RouteOp op) {
  KernelBuilder &b = w.b;
  RowSpan logits = w.read(op.getLogits()), scores = w.write(cast<OpResult>(op.getScores()));
  RowSpan ids = w.write(cast<OpResult>(op.getExperts()));
  RowSpan weights = w.write(cast<OpResult>(op.getWeights()));
  Value bias = w.pointerOf(op.getBias());
  Router router(w, op);
  b.vectorLoop(b.index(logits.width), [&](Value at, Value mask) {
    Value score = emitSigmoid(b, w.load(logits, at, mask));
    w.store(score, scores, at, mask);
    b.storeVector(b.addf(score, b.loadVector(bias, at, mask)), router.selection, at, mask);
  });
  if (op.getKeptGroups() < op.getGroups())
    router.maskGroups();
  emitTopK(b, router.selection, router.takenExperts, router.experts, int64_t(op.getTopK()));
  Value total = collect(w, router, scores, ids, weights);
  Value divisor = b.addf(total, b.f32(op.getEpsilon().convertToDouble()));
  Value factor = b.f32(op.getScalingFactor().convertToDouble());
  b.loop(b.index(0), b.index(weights.width), 1, [&](Value k) {
    Value at = b.add(weights.base, k), weight = b.loadF32(weights.pointer, at);
    if (op.getNormalize())
      weight = b.divf(weight, divisor);
    b.store(b.mulf(weight, factor), weights.pointer, at);
  });
}

/// Adds the gradient that comes through the chosen weights to the scores' gradient in `result`.
static void addWeightsGradient(RowWriter &w, RouteGradientOp op, RowSpan result) {
  KernelBuilder &b = w.b;
  RowSpan gradient = w.read(op.getWeightsGradient()), scores = w.read(op.getScores());
  RowSpan experts = w.read(op.getExperts());
  SmallVector<Value> ids, chosen, gradients;
  for (int64_t k = 0; k < experts.width; ++k) {
    ids.push_back(loadIndex(b, experts, k));
    chosen.push_back(b.loadF32(scores.pointer, b.add(scores.base, ids.back())));
    gradients.push_back(w.loadScalar(gradient, k));
  }
  Value factor = b.f32(op.getScalingFactor().convertToDouble()), total = chosen[0], dot;
  dot = b.mulf(gradients[0], chosen[0]);
  for (size_t k = 1; k < ids.size(); ++k) {
    total = b.addf(total, chosen[k]);
    dot = b.addf(dot, b.mulf(gradients[k], chosen[k]));
  }
  Value divisor = b.addf(total, b.f32(op.getEpsilon().convertToDouble()));
  for (size_t k = 0; k < ids.size(); ++k) {
    Value own = b.mulf(factor, gradients[k]);
    if (op.getNormalize())
      own = b.divf(b.mulf(factor, b.subf(gradients[k], b.divf(dot, divisor))), divisor);
    Value at = b.add(result.base, ids[k]);
    b.store(b.addf(b.loadF32(result.pointer, at), own), result.pointer, at);
  }
}

void emitRow(RowWriter &w, RouteGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan scores = w.read(op.getScores()), result = w.write(cast<OpResult>(op.getResult()));
  b.vectorLoop(b.index(result.width), [&](Value at, Value mask) {
    Value given =
        op.getScoresGradient() ? w.load(w.read(op.getScoresGradient()), at, mask) : b.splat(0.0);
    w.store(given, result, at, mask);
  });
  if (op.getWeightsGradient())
    addWeightsGradient(w, op, result);
  Value one = b.splat(1.0);
  b.vectorLoop(b.index(result.width), [&](Value at, Value mask) {
    Value s = w.load(scores, at, mask);
    Value slope = b.mulf(s, b.subf(one, s));
    w.store(b.mulf(w.load(result, at, mask), slope), result, at, mask);
  });
}

void emitRow(RowWriter &w, SequenceBalanceGradientOp op) {
  KernelBuilder &b = w.b;
  RowSpan scores = w.read(op.getScores()), result = w.write(cast<OpResult>(op.getResult()));
  RowSpan fractions{w.pointerOf(op.getFractions()), b.mul(w.sequence, scores.width), scores.width};
  Value total = w.sum(scores.width, [&](Value at, Value mask, Value sum) {
    return b.addf(sum, w.load(scores, at, mask));
  });
  Value dot = w.sum(scores.width, [&](Value at, Value mask, Value sum) {
    return b.fma(w.load(fractions, at, mask), w.load(scores, at, mask), sum);
  });
  // seed alpha / (B T): f64, rounded once.
  Value rows = arith::IndexCastOp::create(b, b.getI64Type(), b.sizes[0]);
  rows = arith::SIToFPOp::create(b, b.getF64Type(), rows);
  Value seed =
      arith::ExtFOp::create(b, b.getF64Type(), b.loadF32(w.pointerOf(op.getSeed()), b.index(0)));
  Value factor = b.divf(b.mulf(seed, b.f64(op.getAlpha().convertToDouble())), rows);
  factor = arith::TruncFOp::create(b, b.getF32Type(), factor);
  Value scale = b.splat(b.divf(factor, total)), mean = b.splat(b.divf(dot, total));
  b.vectorLoop(b.index(scores.width), [&](Value at, Value mask) {
    w.store(b.mulf(scale, b.subf(w.load(fractions, at, mask), mean)), result, at, mask);
  });
}

// --- rows to experts and back ---

void emitRow(RowWriter &w, DispatchOp op) {
  KernelBuilder &b = w.b;
  RowSpan result = w.write(cast<OpResult>(op.getRows()));
  Value token = b.div(loadIndex(b, w.read(op.getSource()), 0), lastDimension(op.getSlot()));
  w.copy({w.pointerOf(op.getInput()), b.mul(token, result.width), result.width}, result);
}

/// Adds the rows of those slots that have one, in order. A sum starts at -0, which changes nothing.
static void addPresent(RowWriter &w, Value rows, RowSpan slots, RowSpan result) {
  KernelBuilder &b = w.b;
  b.vectorLoop(b.index(result.width),
               [&](Value at, Value mask) { w.store(b.splat(-0.0), result, at, mask); });
  b.loop(b.index(0), b.index(slots.width), 1, [&](Value k) {
    Value slot = b.load(b.getI32Type(), slots.pointer, b.add(slots.base, k));
    b.ifThen(b.less(b.i32(-1), slot), [&] {
      RowSpan row{rows, b.mul(b.toIndex(slot), result.width), result.width};
      b.vectorLoop(b.index(result.width), [&](Value at, Value mask) {
        w.store(b.addf(w.load(result, at, mask), w.load(row, at, mask)), result, at, mask);
      });
    });
  });
}

/// Whether some slots of a token may have no row here.
static bool ofReceived(Value slot) { return cast<RankedTensorType>(slot.getType()).getRank() == 2; }

void emitRow(RowWriter &w, CombineMembersOp op) {
  RowSpan result = w.write(cast<OpResult>(op.getResult()));
  addPresent(w, w.pointerOf(op.getRows()), w.read(op.getSendSlot()), result);
}

void emitRow(RowWriter &w, CombineOp op) {
  KernelBuilder &b = w.b;
  RowSpan result = w.write(cast<OpResult>(op.getResult())), slots = w.read(op.getSlot());
  if (ofReceived(op.getSlot()))
    return addPresent(w, w.pointerOf(op.getRows()), slots, result);
  SmallVector<RowSpan> rows;
  for (int64_t k = 0; k < slots.width; ++k)
    rows.push_back(
        {w.pointerOf(op.getRows()), b.mul(loadIndex(b, slots, k), result.width), result.width});
  b.vectorLoop(b.index(result.width), [&](Value at, Value mask) {
    Value sum = w.load(rows[0], at, mask);
    for (RowSpan row : ArrayRef(rows).drop_front())
      sum = b.addf(sum, w.load(row, at, mask));
    w.store(sum, result, at, mask);
  });
}

void emitRow(RowWriter &w, DispatchWeightsOp op) {
  KernelBuilder &b = w.b;
  Value from = loadIndex(b, w.read(op.getSource()), 0);
  w.storeScalar(b.loadF32(w.pointerOf(op.getWeights()), from),
                w.write(cast<OpResult>(op.getRowWeights())));
}

void emitRow(RowWriter &w, CombineWeightsOp op) {
  KernelBuilder &b = w.b;
  RowSpan result = w.write(cast<OpResult>(op.getWeights())), slots = w.read(op.getSlot());
  for (int64_t k = 0; k < slots.width; ++k) {
    auto copy = [&](Value slot) {
      w.storeScalar(b.loadF32(w.pointerOf(op.getRowWeights()), slot), result, k);
    };
    if (!ofReceived(op.getSlot())) {
      copy(loadIndex(b, slots, k));
      continue;
    }
    w.storeScalar(b.f32(0.0), result, k);
    Value slot = b.load(b.getI32Type(), slots.pointer, b.add(slots.base, k));
    b.ifThen(b.less(b.i32(-1), slot), [&] { copy(b.toIndex(slot)); });
  }
}

// --- launch sizes, workspace ---

int64_t rowWorkspace(Operation *op) {
  if (auto rope = dyn_cast<RopeOp>(op))
    return 8 * int64_t(rope.getRotaryDim());
  if (auto route = dyn_cast<RouteOp>(op))
    return Router::workspace(route);
  return 0;
}

SmallVector<int64_t> rowSizes(Operation *op) {
  auto tokens = [](Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(1); };
  if (auto embedding = dyn_cast<EmbeddingOp>(op))
    return {tokens(embedding.getIds()), int64_t(embedding.getOffset())};
  if (auto loss = dyn_cast<CrossEntropyRowsOp>(op))
    return {tokens(loss.getIds()), int64_t(loss.getOffset())};
  if (auto loss = dyn_cast<CrossEntropyGradientOp>(op))
    return {tokens(loss.getIds()), int64_t(loss.getOffset()), int64_t(loss.getDivisor())};
  if (auto join = dyn_cast<MtpJoinOp>(op))
    return {tokens(join.getHidden())};
  if (auto join = dyn_cast<MtpJoinGradientOp>(op))
    return {tokens(join.getGradient())};
  return {};
}

} // namespace hadal::cpu
