// SPDX-License-Identifier: Apache-2.0
//
// hadal.attention_gradient_heads: one grid index is one head of one sequence. Blocks of keys
// outside, blocks of queries inside; a pair of blocks computes the scores again. Weights and score
// gradients lie as [keys][queries], so that all five products read one side scalar by scalar and
// the other as vectors.

#include "codegen/Cpu/Attention.h"

using namespace mlir;

namespace hadal::cpu {

namespace {

struct GradientPlan {
  AttentionSizes sizes;
  int64_t vectors = 2, tile, width, panels;
  int64_t queryBlock, keyBlock;        ///< multiples of `tile` and of `width`
  int64_t depthStride, valueStride;    ///< rows of whole vectors
  int64_t turnedQuery, turnedGradient; ///< [panels][depth or values][width]
  int64_t query, gradient;             ///< [queryBlock][stride]
  int64_t keys, values;                ///< [keyBlock][stride]
  int64_t keyGradient, valueGradient;  ///< [keyBlock][stride]
  int64_t weights, scoreGradients;     ///< [keyBlock][queryBlock]
  int64_t logs, deltas, scratch;       ///< [tokens, rounded up to queryBlock]

  GradientPlan(AttentionGradientHeadsOp op, const Target &target) : sizes(op) {
    tile = tileRows(target, vectors);
    width = vectors * target.lanes;
    queryBlock = target.registers >= 32 ? 96 : 48;
    keyBlock = 96;
    panels = queryBlock / width;
    depthStride = roundUp(sizes.depth, target.lanes);
    valueStride = roundUp(sizes.values, target.lanes);
    ScratchLayout layout;
    turnedQuery = layout.add(panels * sizes.depth * width);
    turnedGradient = layout.add(panels * sizes.values * width);
    query = layout.add(queryBlock * depthStride);
    gradient = layout.add(queryBlock * valueStride);
    keys = layout.add(keyBlock * depthStride);
    values = layout.add(keyBlock * valueStride);
    keyGradient = layout.add(keyBlock * depthStride);
    valueGradient = layout.add(keyBlock * valueStride);
    weights = layout.add(keyBlock * queryBlock);
    scoreGradients = layout.add(keyBlock * queryBlock);
    // Behind everything else: their size depends on the launch.
    logs = layout.add(0);
    deltas = roundUp(sizes.tokens, queryBlock) * 4;
    scratch = logs + 2 * deltas;
  }
};

/// One grid index.
class Gradient {
public:
  Gradient(AttentionGradientHeadsOp op, KernelOp kernel, KernelBuilder &b)
      : b(b), plan(op, b.target), sizes(plan.sizes), lanes(b.target.lanes),
        scale(op.getScale().convertToDouble()), tokens(b.sizes[0]) {
    gradient = pointerOf(b, kernel, op.getGradient());
    query = pointerOf(b, kernel, op.getQuery());
    keyValue = pointerOf(b, kernel, op.getKeyValue());
    keyRotary = pointerOf(b, kernel, op.getKeyRotary());
    output = pointerOf(b, kernel, op.getOutput());
    logSumExp = pointerOf(b, kernel, op.getLogSumExp());
    queryGradient = pointerOf(b, kernel, op.getQueryGradient());
    keyValueGradient = pointerOf(b, kernel, op.getKeyValueGradient());
    keyRotaryGradients = pointerOf(b, kernel, op.getKeyRotaryGradients());
    logs = b.scratchAt(plan.logs);
    Value rounded = b.mul(b.ceilDiv(tokens, plan.queryBlock), plan.queryBlock);
    deltas = at(logs, rounded);
  }

  void run(Value index) {
    sequenceHead = index;
    sequence = b.div(index, sizes.heads);
    head = b.rem(index, sizes.heads);
    prepareRows();
    b.loop(b.index(0), tokens, plan.keyBlock, [&](Value first) {
      firstKey = first;
      keyCount = b.minimum(b.index(plan.keyBlock), b.sub(tokens, first));
      startKeys();
      Value from = b.mul(b.div(first, plan.queryBlock), plan.queryBlock);
      b.loop(from, tokens, plan.queryBlock, [&](Value query) { visitPair(query); });
      finishKeys();
    });
  }

private:
  Value at(Value pointer, Value floats) { return b.pointerAt(pointer, b.getF32Type(), floats); }
  Value at(Value pointer, int64_t floats) { return at(pointer, b.index(floats)); }
  Value rowIndex(Value token) { return b.add(b.mul(sequence, tokens), token); }
  /// Row `token` of a tensor [B, T, heads * size], at this head.
  Value rowOf(Value tensor, Value token, int64_t size) {
    return at(tensor, b.add(b.mul(rowIndex(token), sizes.heads * size), b.mul(head, size)));
  }

  /// log_sum_exp and delta of all rows in scratch memory, the query gradient zero.
  void prepareRows() {
    b.vectorLoop(tokens, [&](Value first, Value mask) {
      Value from = b.add(b.mul(sequenceHead, tokens), first);
      b.storeVector(b.loadVector(logSumExp, from, mask), logs, first);
    });
    b.loop(b.index(0), tokens, 1, [&](Value token) {
      Value left = rowOf(gradient, token, sizes.values), right = rowOf(output, token, sizes.values);
      Value sum = b.vectorLoop(
          b.index(sizes.values), b.splat(0.0),
          [&](Value i, Value mask, ValueRange sums) -> SmallVector<Value> {
            return {b.fma(b.loadVector(left, i, mask), b.loadVector(right, i, mask), sums[0])};
          })[0];
      b.store(b.sumLanes(sum), deltas, token);
      Value to = rowOf(queryGradient, token, sizes.depth);
      forPieces(b, sizes.depth, lanes,
                [&](Value i, int64_t size) { storeFirst(b, b.splat(0.0), size, to, i); });
    });
  }

  // --- keys ---

  void startKeys() {
    Value keys = b.scratchAt(plan.keys), values = b.scratchAt(plan.values);
    b.loop(b.index(0), keyCount, 1, [&](Value i) {
      Value token = b.add(firstKey, i);
      Value from = rowOf(keyValue, token, sizes.nope + sizes.values);
      Value to = at(keys, b.mul(i, plan.depthStride));
      copyRow(b, sizes.nope, from, to);
      copyRow(b, sizes.rotary, at(keyRotary, b.mul(rowIndex(token), sizes.rotary)),
              at(to, sizes.nope));
      copyRow(b, sizes.values, at(from, sizes.nope), at(values, b.mul(i, plan.valueStride)));
    });
    // The rest of the last tile is computed and masked.
    Value rest = b.sub(b.mul(b.ceilDiv(keyCount, plan.tile), plan.tile), keyCount);
    zeroFill(b, b.mul(rest, plan.depthStride), at(keys, b.mul(keyCount, plan.depthStride)));
    zeroFill(b, b.mul(rest, plan.valueStride), at(values, b.mul(keyCount, plan.valueStride)));
    zeroFill(b, b.index(plan.keyBlock * plan.depthStride), b.scratchAt(plan.keyGradient));
    zeroFill(b, b.index(plan.keyBlock * plan.valueStride), b.scratchAt(plan.valueGradient));
  }

  void finishKeys() {
    b.loop(b.index(0), keyCount, 1, [&](Value i) {
      Value token = b.add(firstKey, i);
      Value keys = at(b.scratchAt(plan.keyGradient), b.mul(i, plan.depthStride));
      Value to = rowOf(keyValueGradient, token, sizes.nope + sizes.values);
      copyRow(b, sizes.nope, keys, to);
      copyRow(b, sizes.values, at(b.scratchAt(plan.valueGradient), b.mul(i, plan.valueStride)),
              at(to, sizes.nope));
      Value row = b.add(b.mul(sequenceHead, tokens), token);
      copyRow(b, sizes.rotary, at(keys, sizes.nope),
              at(keyRotaryGradients, b.mul(row, sizes.rotary)));
    });
  }

  // --- a block of keys with a block of queries ---

  void visitPair(Value query) {
    firstQuery = query;
    queryCount = b.minimum(b.index(plan.queryBlock), b.sub(tokens, query));
    copyQueries();
    b.loop(b.index(0), b.ceilDiv(queryCount, plan.width), 1, [&](Value panel) { weigh(panel); });
    b.loop(b.index(0), keyCount, plan.tile, [&](Value key) { addToKeys(key); });
    b.loop(b.index(0), queryCount, plan.tile, [&](Value row) { addToQueries(row); });
  }

  void copyQueries() {
    auto copy = [&](Value tensor, int64_t size, int64_t turned, int64_t plain, int64_t stride) {
      Value last = b.sub(tokens, b.index(1));
      b.loop(b.index(0), b.ceilDiv(queryCount, plan.width), 1, [&](Value panel) {
        Value first = b.add(firstQuery, b.mul(panel, plan.width));
        packTurned(
            b, size, plan.vectors,
            [&](Value row) { return rowOf(tensor, b.minimum(b.add(first, row), last), size); },
            at(b.scratchAt(turned), b.mul(panel, size * plan.width)), 1.0);
      });
      b.loop(b.index(0), queryCount, 1, [&](Value i) {
        copyRow(b, size, rowOf(tensor, b.add(firstQuery, i), size),
                at(b.scratchAt(plain), b.mul(i, stride)));
      });
    };
    copy(query, sizes.depth, plan.turnedQuery, plan.query, plan.depthStride);
    copy(gradient, sizes.values, plan.turnedGradient, plan.gradient, plan.valueStride);
  }

  /// Weights and score gradients of one panel of queries.
  void weigh(Value panel) {
    Value row = b.mul(panel, plan.width), first = b.add(firstQuery, row);
    // Keys that some lane sees.
    Value count = b.minimum(keyCount, b.sub(b.add(first, plan.width), firstKey));
    SmallVector<Value> limits, rowLogs, rowDeltas;
    for (int64_t j = 0; j < plan.vectors; ++j) {
      Value token = b.add(first, j * lanes);
      limits.push_back(laneNumbers(b, token));
      rowLogs.push_back(b.loadVector(logs, token));
      rowDeltas.push_back(b.loadVector(deltas, token));
    }
    Value queries = at(b.scratchAt(plan.turnedQuery), b.mul(panel, sizes.depth * plan.width));
    Value gradients = at(b.scratchAt(plan.turnedGradient), b.mul(panel, sizes.values * plan.width));
    SmallVector<Value> zeros(plan.tile * plan.vectors, b.splat(0.0));
    b.loop(b.index(0), count, plan.tile, [&](Value key) {
      Value keys = at(b.scratchAt(plan.keys), b.mul(key, plan.depthStride));
      SmallVector<Value> scores =
          registerTile(b, plan.tile, plan.vectors, b.index(sizes.depth),
                       {keys, plan.depthStride, 1}, {queries, plan.width}, zeros);
      auto place = [&](int64_t i) { // of register i of the tile
        return b.add(b.add(b.mul(key, plan.queryBlock), row),
                     i / plan.vectors * plan.queryBlock + i % plan.vectors * lanes);
      };
      for (auto [i, score] : llvm::enumerate(scores)) {
        int64_t j = i % plan.vectors;
        Value sees = visible(b, limits[j], b.add(firstKey, b.add(key, i / plan.vectors)));
        Value weight = emitWeight(b, b.subf(b.mulf(score, b.splat(scale)), rowLogs[j]));
        b.storeVector(b.select(sees, weight, b.splat(0.0)), b.scratchAt(plan.weights), place(i));
      }
      Value values = at(b.scratchAt(plan.values), b.mul(key, plan.valueStride));
      SmallVector<Value> products =
          registerTile(b, plan.tile, plan.vectors, b.index(sizes.values),
                       {values, plan.valueStride, 1}, {gradients, plan.width}, zeros);
      for (auto [i, product] : llvm::enumerate(products)) {
        Value weight = b.loadVector(b.scratchAt(plan.weights), place(i));
        Value difference = b.subf(product, rowDeltas[i % plan.vectors]);
        b.storeVector(b.mulf(b.mulf(weight, difference), b.splat(scale)),
                      b.scratchAt(plan.scoreGradients), place(i));
      }
    });
  }

  /// A tile of rows that `load` and `store` reach, plus left times right, all its columns.
  void addProduct(int64_t columns, Value depth, Scalars left, Vectors right,
                  function_ref<Value(int64_t row, Value column, int64_t size)> load,
                  function_ref<void(Value value, int64_t row, Value column, int64_t size)> store) {
    auto piece = [&](Value first, int64_t vectors, int64_t last) {
      // `last`: columns of the last vector.
      auto sizeOf = [&](int64_t j) { return j + 1 < vectors ? lanes : last; };
      SmallVector<Value> sums;
      for (int64_t i = 0; i < plan.tile; ++i)
        for (int64_t j = 0; j < vectors; ++j)
          sums.push_back(load(i, b.add(first, j * lanes), sizeOf(j)));
      sums = registerTile(b, plan.tile, vectors, depth, left,
                          {at(right.pointer, first), right.stride}, sums);
      for (int64_t i = 0; i < plan.tile; ++i)
        for (int64_t j = 0; j < vectors; ++j)
          store(sums[i * vectors + j], i, b.add(first, j * lanes), sizeOf(j));
    };
    int64_t step = plan.vectors * lanes;
    forPieces(b, columns, step, [&](Value first, int64_t size) {
      int64_t vectors = (size + lanes - 1) / lanes;
      piece(first, vectors, size - (vectors - 1) * lanes);
    });
  }

  /// Adds the block of queries to the gradients of one tile of keys.
  void addToKeys(Value key) {
    // The first panel with a query that sees a key of the tile.
    Value open = b.maximum(b.index(0), b.sub(b.add(firstKey, key), firstQuery));
    Value from = b.mul(b.div(open, plan.width), plan.width);
    Value depth = b.sub(queryCount, from);
    auto add = [&](int64_t sums, int64_t columns, int64_t stride, int64_t left, int64_t right) {
      Value rows = at(b.scratchAt(sums), b.mul(key, stride));
      Value scalars = at(b.scratchAt(left), b.add(b.mul(key, plan.queryBlock), from));
      addProduct(
          columns, depth, {scalars, plan.queryBlock, 1},
          {at(b.scratchAt(right), b.mul(from, stride)), stride},
          [&](int64_t i, Value column, int64_t) {
            return b.loadVector(rows, b.add(column, i * stride));
          },
          [&](Value value, int64_t i, Value column, int64_t) {
            b.storeVector(value, rows, b.add(column, i * stride));
          });
    };
    b.ifThen(b.less(from, queryCount), [&] {
      add(plan.valueGradient, sizes.values, plan.valueStride, plan.weights, plan.gradient);
      add(plan.keyGradient, sizes.depth, plan.depthStride, plan.scoreGradients, plan.query);
    });
  }

  /// Adds the block of keys to the gradient of one tile of queries, in its place.
  void addToQueries(Value row) {
    Value first = b.add(firstQuery, row), last = b.sub(tokens, b.index(1));
    Value count = b.minimum(keyCount, b.sub(b.add(first, plan.tile), firstKey));
    SmallVector<Value> rows;
    for (int64_t i = 0; i < plan.tile; ++i)
      rows.push_back(rowOf(queryGradient, b.minimum(b.add(first, i), last), sizes.depth));
    b.ifThen(b.less(b.index(0), count), [&] {
      addProduct(
          sizes.depth, count, {at(b.scratchAt(plan.scoreGradients), row), 1, plan.queryBlock},
          {b.scratchAt(plan.keys), plan.depthStride},
          [&](int64_t i, Value column, int64_t size) {
            return b.loadVector(rows[i], column, size < lanes ? b.maskOf(b.index(size)) : Value());
          },
          [&](Value value, int64_t i, Value column, int64_t size) {
            b.ifThen(b.less(b.add(row, i), queryCount),
                     [&] { storeFirst(b, value, size, rows[i], column); });
          });
    });
  }

  KernelBuilder &b;
  GradientPlan plan;
  const AttentionSizes &sizes;
  int64_t lanes;
  double scale;
  Value tokens;
  Value gradient, query, keyValue, keyRotary, output, logSumExp;
  Value queryGradient, keyValueGradient, keyRotaryGradients, logs, deltas;
  Value sequenceHead, sequence, head, firstKey, keyCount, firstQuery, queryCount;
};

} // namespace

KernelConfig configureGradient(AttentionGradientHeadsOp op, const Target &target) {
  GradientPlan plan(op, target);
  KernelConfig config;
  config.key = plan.sizes.key() + keyOf(op.getScale());
  config.sizes = {plan.sizes.tokens};
  config.grid = plan.sizes.sequences * plan.sizes.heads;
  config.scratch = plan.scratch;
  return config;
}

void emitGradient(AttentionGradientHeadsOp op, KernelOp kernel, KernelBuilder &b) {
  Gradient gradient(op, kernel, b);
  b.loop(b.begin, b.end, 1, [&](Value index) { gradient.run(index); });
}

} // namespace hadal::cpu
