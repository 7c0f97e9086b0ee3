// SPDX-License-Identifier: Apache-2.0
//
// hadal.latent_attention: queries of all heads and tokens are rows over the same keys, the cache's
// rows, which are read where they lie. One grid index is a panel of rows; a row's result depends on
// neither the panel nor the token count.

#include "codegen/Cpu/Attention.h"
#include "codegen/Cpu/AttentionStream.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

namespace {

struct LatentPlan {
  int64_t tokens, heads;
  StreamShape shape;
  int64_t width, query, output, maximum, sum, scores, scratch;

  LatentPlan(LatentAttentionOp op, const Target &target) {
    tokens = sizeOf(op.getQuery(), 1);
    heads = op.getHeads();
    int64_t vectors = heads > target.lanes ? 2 : 1;
    // Tiles divide the cache's blocks.
    int64_t tile = (target.registers >= 32 ? 16 : 8) / vectors;
    shape = {sizeOf(op.getCache(), 2), int64_t(op.getLatentDim()), vectors, tile, kCacheBlock};
    width = shape.width(target);
    ScratchLayout layout;
    query = layout.add(shape.depth * width);
    output = layout.add(shape.values * width);
    maximum = layout.add(width);
    sum = layout.add(width);
    scores = layout.add(kCacheBlock * width);
    scratch = layout.size();
  }
};

} // namespace

KernelConfig configureLatent(LatentAttentionOp op, const Target &target) {
  LatentPlan plan(op, target);
  KernelConfig config;
  config.key = "h" + std::to_string(plan.heads) + "d" + std::to_string(plan.shape.depth) + "c" +
               std::to_string(plan.shape.values) + keyOf(op.getScale());
  config.sizes = {plan.tokens};
  config.grid = (plan.tokens * plan.heads + plan.width - 1) / plan.width;
  config.scratch = plan.scratch;
  return config;
}

/// Which keys the panel's rows see, its first row being `first` of `rows`.
static PanelLimits limitsOf(KernelBuilder &b, const LatentPlan &plan, Value position, Value first,
                            Value rows) {
  PanelLimits limits;
  VectorType type = b.vectorType(b.getI32Type());
  auto splat = [&](Value integer) -> Value {
    return vector::BroadcastOp::create(b, type, integer);
  };
  Value heads = splat(b.i32(plan.heads)), start = splat(position);
  for (int64_t j = 0; j < plan.shape.vectors; ++j) {
    Value token =
        arith::DivUIOp::create(b, laneNumbers(b, b.add(first, j * b.target.lanes)), heads);
    limits.limits.push_back(arith::AddIOp::create(b, token, start));
  }
  Value last = b.minimum(b.add(first, plan.width), rows);
  limits.smallest = b.add(b.toIndex(position), b.div(first, plan.heads));
  limits.largest = b.add(b.toIndex(position), b.div(b.sub(last, b.index(1)), plan.heads));
  return limits;
}

void emitLatent(LatentAttentionOp op, KernelOp kernel, KernelBuilder &b) {
  LatentPlan plan(op, b.target);
  const StreamShape &shape = plan.shape;
  Value query = pointerOf(b, kernel, op.getQuery()), output = pointerOf(b, kernel, op.getOutput());
  Value cache = pointerOf(b, kernel, op.getCache());
  Value table = pointerOf(b, kernel, op.getBlockTable());
  Value position = b.load(b.getI32Type(), pointerOf(b, kernel, op.getPosition()), b.index(0));
  Value rows = b.mul(b.sizes[0], plan.heads);
  PanelMemory panel = {b.scratchAt(plan.query), b.scratchAt(plan.output), b.scratchAt(plan.maximum),
                       b.scratchAt(plan.sum)};
  b.loop(b.begin, b.end, 1, [&](Value index) {
    Value first = b.mul(index, plan.width), last = b.sub(rows, b.index(1));
    auto rowOf = [&](Value tensor, Value row, int64_t size) {
      return b.pointerAt(tensor, b.getF32Type(), b.mul(b.add(first, row), size));
    };
    packTurned(
        b, shape.depth, shape.vectors,
        [&](Value row) { return rowOf(query, b.minimum(row, b.sub(last, first)), shape.depth); },
        panel.query, op.getScale().convertToDouble());
    startPanel(b, shape, panel);

    PanelLimits limits = limitsOf(b, plan, position, first, rows);
    Value keys = b.add(limits.largest, 1);
    b.loop(b.index(0), keys, kCacheBlock, [&](Value firstKey) {
      Value place = b.toIndex(b.load(b.getI32Type(), table, b.div(firstKey, kCacheBlock)));
      Value block = b.pointerAt(cache, b.getF32Type(), b.mul(place, kCacheBlock * shape.depth));
      visitKeys(b, shape, panel, limits,
                {firstKey, b.index(kCacheBlock), block, block, shape.depth, shape.depth},
                b.scratchAt(plan.scores));
    });

    SmallVector<Value> sums;
    for (int64_t j = 0; j < shape.vectors; ++j)
      sums.push_back(b.loadVector(panel.sum, b.index(j * b.target.lanes)));
    unpackTurned(
        b, shape.values, shape.vectors, b.sub(rows, first),
        [&](Value row) { return rowOf(output, row, shape.values); }, panel.output,
        [&](Value value, int64_t j) { return b.divf(value, sums[j]); });
  });
}

} // namespace hadal::cpu
