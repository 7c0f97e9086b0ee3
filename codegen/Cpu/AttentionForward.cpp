// SPDX-License-Identifier: Apache-2.0
//
// hadal.attention: one grid index is a block of query rows of one head; keys arrive in blocks,
// copied together from their two parts.

#include "codegen/Cpu/Attention.h"
#include "codegen/Cpu/AttentionStream.h"
#include "codegen/Cpu/VectorMath.h"

using namespace mlir;

namespace hadal::cpu {

namespace {

struct ForwardPlan {
  AttentionSizes sizes;
  StreamShape shape;
  int64_t panels; ///< of a block of queries
  int64_t width;  ///< queries of a panel
  int64_t panelFloats, queries, outputs, maxima, sums, keys, values, scores, scratch;

  ForwardPlan(AttentionOp op, const Target &target) : sizes(op) {
    shape = {sizes.depth, sizes.values, 2, tileRows(target, 2), target.registers >= 32 ? 96 : 48};
    width = shape.width(target);
    panels = 96 / width;
    ScratchLayout layout;
    queries = layout.add(panels * shape.depth * width);
    outputs = layout.add(panels * shape.values * width);
    maxima = layout.add(panels * width);
    sums = layout.add(panels * width);
    keys = layout.add(shape.keyBlock * shape.depth);
    values = layout.add(shape.keyBlock * shape.values);
    scores = layout.add(shape.keyBlock * width);
    scratch = layout.size();
  }
  int64_t block() const { return panels * width; }
};

/// One grid index.
class Forward {
public:
  Forward(AttentionOp op, KernelOp kernel, KernelBuilder &b)
      : b(b), plan(op, b.target), sizes(plan.sizes), scale(op.getScale().convertToDouble()) {
    query = pointerOf(b, kernel, op.getQuery());
    keyValue = pointerOf(b, kernel, op.getKeyValue());
    keyRotary = pointerOf(b, kernel, op.getKeyRotary());
    output = pointerOf(b, kernel, op.getOutput());
    logSumExp = pointerOf(b, kernel, op.getLogSumExp());
    tokens = b.sizes[1];
  }

  void run(Value index) {
    Value blocks = b.ceilDiv(tokens, plan.block());
    Value sequenceHead = b.div(index, blocks);
    // The last rows see the most keys: they go first.
    firstQuery = b.mul(b.sub(b.sub(blocks, b.index(1)), b.rem(index, blocks)), plan.block());
    sequence = b.div(sequenceHead, sizes.heads);
    head = b.rem(sequenceHead, sizes.heads);
    Value rows = b.minimum(b.index(plan.block()), b.sub(tokens, firstQuery));
    panels = b.ceilDiv(rows, plan.width);

    b.loop(b.index(0), panels, 1, [&](Value panel) { startQueries(panel); });
    lastKey = b.add(firstQuery, rows);
    b.loop(b.index(0), lastKey, plan.shape.keyBlock, [&](Value firstKey) { visitBlock(firstKey); });
    b.loop(b.index(0), panels, 1, [&](Value panel) { finish(panel); });
  }

private:
  /// A pointer to row `token` of a tensor [B, T, heads * size], at this head.
  Value rowOf(Value tensor, Value token, int64_t size) {
    Value row = b.add(b.mul(sequence, tokens), token);
    return b.pointerAt(tensor, b.getF32Type(),
                       b.add(b.mul(row, sizes.heads * size), b.mul(head, size)));
  }
  Value part(int64_t offset, Value panel, int64_t floats) {
    return b.pointerAt(b.scratchAt(offset), b.getF32Type(), b.mul(panel, floats));
  }
  PanelMemory memoryOf(Value panel) {
    return {part(plan.queries, panel, sizes.depth * plan.width),
            part(plan.outputs, panel, sizes.values * plan.width),
            part(plan.maxima, panel, plan.width), part(plan.sums, panel, plan.width)};
  }
  Value firstOf(Value panel) { return b.add(firstQuery, b.mul(panel, plan.width)); }

  void startQueries(Value panel) {
    Value first = firstOf(panel), last = b.sub(tokens, b.index(1));
    packTurned(
        b, sizes.depth, plan.shape.vectors,
        [&](Value row) { return rowOf(query, b.minimum(b.add(first, row), last), sizes.depth); },
        memoryOf(panel).query, scale);
    startPanel(b, plan.shape, memoryOf(panel));
  }

  void copyKeys(Value firstKey, Value count) {
    Value keys = b.scratchAt(plan.keys), values = b.scratchAt(plan.values);
    b.loop(b.index(0), count, 1, [&](Value i) {
      Value token = b.add(firstKey, i);
      Value from = rowOf(keyValue, token, sizes.nope + sizes.values);
      Value to = b.pointerAt(keys, b.getF32Type(), b.mul(i, sizes.depth));
      copyRow(b, sizes.nope, from, to);
      Value row = b.add(b.mul(sequence, tokens), token);
      copyRow(b, sizes.rotary, b.pointerAt(keyRotary, b.getF32Type(), b.mul(row, sizes.rotary)),
              b.pointerAt(to, b.getF32Type(), b.index(sizes.nope)));
      copyRow(b, sizes.values, b.pointerAt(from, b.getF32Type(), b.index(sizes.nope)),
              b.pointerAt(values, b.getF32Type(), b.mul(i, sizes.values)));
    });
    // The rest of the last tile is computed and masked.
    Value end = b.mul(b.ceilDiv(count, plan.shape.keyTile), plan.shape.keyTile);
    zeroFill(b, b.mul(b.sub(end, count), sizes.depth),
             b.pointerAt(keys, b.getF32Type(), b.mul(count, sizes.depth)));
  }

  void visitBlock(Value firstKey) {
    Value count = b.minimum(b.index(plan.shape.keyBlock), b.sub(lastKey, firstKey));
    copyKeys(firstKey, count);
    KeyBlock block = {firstKey,    count,       b.scratchAt(plan.keys), b.scratchAt(plan.values),
                      sizes.depth, sizes.values};
    b.loop(b.index(0), panels, 1, [&](Value panel) {
      PanelLimits limits;
      limits.smallest = firstOf(panel);
      limits.largest = b.add(limits.smallest, plan.width - 1);
      for (int64_t j = 0; j < plan.shape.vectors; ++j)
        limits.limits.push_back(laneNumbers(b, b.add(limits.smallest, j * b.target.lanes)));
      visitKeys(b, plan.shape, memoryOf(panel), limits, block, b.scratchAt(plan.scores));
    });
  }

  void finish(Value panel) {
    PanelMemory memory = memoryOf(panel);
    Value first = firstOf(panel), rows = b.sub(tokens, first);
    SmallVector<Value> sums;
    for (int64_t j = 0; j < plan.shape.vectors; ++j)
      sums.push_back(b.loadVector(memory.sum, b.index(j * b.target.lanes)));
    unpackTurned(
        b, sizes.values, plan.shape.vectors, rows,
        [&](Value row) { return rowOf(output, b.add(first, row), sizes.values); }, memory.output,
        [&](Value value, int64_t j) { return b.divf(value, sums[j]); });
    if (!logSumExp)
      return;
    for (int64_t j = 0; j < plan.shape.vectors; ++j) {
      Value lane = b.index(j * b.target.lanes);
      Value greatest = b.loadVector(memory.maximum, lane);
      Value row = b.mul(b.add(b.mul(sequence, sizes.heads), head), tokens);
      b.storeVector(b.addf(greatest, emitLog(b, sums[j])), logSumExp,
                    b.add(row, b.add(first, lane)), b.maskOf(b.sub(rows, lane)));
    }
  }

  KernelBuilder &b;
  ForwardPlan plan;
  const AttentionSizes &sizes;
  double scale;
  Value query, keyValue, keyRotary, output, logSumExp, tokens;
  Value firstQuery, sequence, head, panels, lastKey;
};

} // namespace

KernelConfig configureAttention(AttentionOp op, const Target &target) {
  ForwardPlan plan(op, target);
  const AttentionSizes &sizes = plan.sizes;
  KernelConfig config;
  config.key = sizes.key() + keyOf(op.getScale());
  config.sizes = {sizes.sequences, sizes.tokens};
  config.grid = sizes.sequences * sizes.heads * ((sizes.tokens + plan.block() - 1) / plan.block());
  config.scratch = plan.scratch;
  return config;
}

void emitAttention(AttentionOp op, KernelOp kernel, KernelBuilder &b) {
  Forward forward(op, kernel, b);
  b.loop(b.begin, b.end, 1, [&](Value index) { forward.run(index); });
}

} // namespace hadal::cpu
