// SPDX-License-Identifier: Apache-2.0
//
// See AttentionStream.h.

#include "codegen/Cpu/AttentionStream.h"

using namespace mlir;

namespace hadal::cpu {

/// Below every score, and finite: differences to it are not NaN.
constexpr double kLowest = -3.0e38;

void startPanel(KernelBuilder &b, const StreamShape &shape, const PanelMemory &panel) {
  int64_t lanes = b.target.lanes, width = shape.width(b.target);
  b.loop(b.index(0), b.index(shape.values * width), lanes,
         [&](Value at) { b.storeVector(b.splat(0.0), panel.output, at); });
  for (int64_t j = 0; j < shape.vectors; ++j) {
    b.storeVector(b.splat(kLowest), panel.maximum, b.index(j * lanes));
    b.storeVector(b.splat(0.0), panel.sum, b.index(j * lanes));
  }
}

namespace {

/// One block of keys for one panel.
class Visit {
public:
  Visit(KernelBuilder &b, const StreamShape &shape, const PanelMemory &panel,
        const PanelLimits &limits, const KeyBlock &block, Value scores)
      : b(b), shape(shape), panel(panel), limits(limits), block(block), scores(scores),
        lanes(b.target.lanes), width(shape.width(b.target)) {
    // Keys some lane sees, and keys all lanes see.
    count = b.minimum(block.count, b.sub(b.add(limits.largest, 1), block.first));
    Value open = b.sub(b.add(limits.smallest, 1), block.first);
    unmasked = b.maximum(b.index(0), b.minimum(count, open));
  }

  void run() {
    b.ifThen(b.less(b.index(0), count), [&] {
      computeScores();
      computeWeights();
      addValues();
    });
  }

private:
  void computeScores() {
    Value depth = b.index(shape.depth);
    SmallVector<Value> zeros(shape.keyTile * shape.vectors, b.splat(0.0));
    b.loop(b.index(0), count, shape.keyTile, [&](Value key) {
      Value keys = b.pointerAt(block.keys, b.getF32Type(), b.mul(key, block.keyStride));
      SmallVector<Value> sums =
          registerTile(b, shape.keyTile, shape.vectors, depth, {keys, block.keyStride, 1},
                       {panel.query, width}, zeros);
      Value at = b.mul(key, width);
      for (auto [i, sum] : llvm::enumerate(sums))
        b.storeVector(sum, scores, b.add(at, int64_t(i) * lanes));
    });
  }

  /// Runs `body` over the keys with one carried value a vector: first those all lanes see.
  SmallVector<Value>
  overKeys(ValueRange initial,
           function_ref<Value(Value at, Value mask, int64_t j, Value carried)> body) {
    SmallVector<Value> carried(initial);
    for (bool masked : {false, true})
      carried = b.loop(masked ? unmasked : b.index(0), masked ? count : unmasked, 1, carried,
                       [&](Value key, ValueRange values) {
                         SmallVector<Value> next;
                         for (int64_t j = 0; j < shape.vectors; ++j) {
                           Value mask;
                           if (masked)
                             mask = visible(b, limits.limits[j], b.add(block.first, key));
                           Value at = b.add(b.mul(key, width), j * lanes);
                           next.push_back(body(at, mask, j, values[j]));
                         }
                         return next;
                       });
    return carried;
  }

  /// Scores become exp(score - maximum); `shrink` is what older sums are multiplied by.
  void computeWeights() {
    SmallVector<Value> older, sums;
    for (int64_t j = 0; j < shape.vectors; ++j)
      older.push_back(b.loadVector(panel.maximum, b.index(j * lanes)));
    SmallVector<Value> newer = overKeys(older, [&](Value at, Value mask, int64_t, Value greatest) {
      Value score = b.loadVector(scores, at);
      Value greater = b.maxf(score, greatest);
      return mask ? b.select(mask, greater, greatest) : greater;
    });
    for (int64_t j = 0; j < shape.vectors; ++j) {
      b.storeVector(newer[j], panel.maximum, b.index(j * lanes));
      shrink.push_back(emitWeight(b, b.subf(older[j], newer[j])));
      sums.push_back(b.mulf(b.loadVector(panel.sum, b.index(j * lanes)), shrink[j]));
    }
    sums = overKeys(sums, [&](Value at, Value mask, int64_t j, Value sum) {
      Value weight = emitWeight(b, b.subf(b.loadVector(scores, at), newer[j]));
      if (mask)
        weight = b.select(mask, weight, b.splat(0.0));
      b.storeVector(weight, scores, at);
      return b.addf(sum, weight);
    });
    for (int64_t j = 0; j < shape.vectors; ++j)
      b.storeVector(sums[j], panel.sum, b.index(j * lanes));
  }

  void addValues() {
    int64_t most = tileRows(b.target, shape.vectors);
    forPieces(b, shape.values, most, [&](Value first, int64_t rows) {
      SmallVector<Value> sums;
      Value at = b.mul(first, width);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < shape.vectors; ++j)
          sums.push_back(
              b.mulf(b.loadVector(panel.output, b.add(at, i * width + j * lanes)), shrink[j]));
      Value values = b.pointerAt(block.values, b.getF32Type(), first);
      sums = registerTile(b, rows, shape.vectors, count, {values, 1, block.valueStride},
                          {scores, width}, sums);
      for (auto [i, sum] : llvm::enumerate(sums))
        b.storeVector(sum, panel.output, b.add(at, int64_t(i) * lanes));
    });
  }

  KernelBuilder &b;
  const StreamShape &shape;
  const PanelMemory &panel;
  const PanelLimits &limits;
  const KeyBlock &block;
  Value scores;
  int64_t lanes, width;
  Value count, unmasked;
  SmallVector<Value> shrink;
};

} // namespace

void visitKeys(KernelBuilder &b, const StreamShape &shape, const PanelMemory &panel,
               const PanelLimits &limits, const KeyBlock &block, Value scores) {
  Visit(b, shape, panel, limits, block, scores).run();
}

} // namespace hadal::cpu
