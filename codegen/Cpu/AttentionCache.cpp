// SPDX-License-Identifier: Apache-2.0
//
// Ops around the latent cache: hadal.cache_append, hadal.absorb_query and hadal.expand_value. With
// one token they read each weight once, and a token's result is the same whatever the number of
// tokens.

#include "codegen/Cpu/Attention.h"

using namespace mlir;

namespace hadal::cpu {

static Value floatsAt(KernelBuilder &b, Value pointer, Value floats) {
  return b.pointerAt(pointer, b.getF32Type(), floats);
}

// --- hadal.cache_append: one grid index is one token ---

KernelConfig configureCacheAppend(CacheAppendOp op) {
  KernelConfig config;
  config.key = "c" + std::to_string(sizeOf(op.getLatent(), 2)) + "r" +
               std::to_string(sizeOf(op.getKeyRotary(), 2));
  config.grid = sizeOf(op.getLatent(), 1);
  return config;
}

void emitCacheAppend(CacheAppendOp op, KernelOp kernel, KernelBuilder &b) {
  int64_t latent = sizeOf(op.getLatent(), 2), rotary = sizeOf(op.getKeyRotary(), 2);
  Type i32 = b.getI32Type();
  Value latents = pointerOf(b, kernel, op.getLatent());
  Value rotaries = pointerOf(b, kernel, op.getKeyRotary());
  Value cache = pointerOf(b, kernel, op.getCache());
  Value table = pointerOf(b, kernel, op.getBlockTable());
  auto scalar = [&](Value tensor) {
    return b.toIndex(b.load(i32, pointerOf(b, kernel, tensor), b.index(0)));
  };
  Value position = scalar(op.getPosition()), valid = scalar(op.getValid());
  b.loop(b.begin, b.minimum(b.end, valid), 1, [&](Value token) {
    Value place = b.add(position, token);
    Value block = b.toIndex(b.load(i32, table, b.div(place, kCacheBlock)));
    Value row = b.add(b.mul(block, kCacheBlock), b.rem(place, kCacheBlock));
    Value to = floatsAt(b, cache, b.mul(row, latent + rotary));
    copyRow(b, latent, floatsAt(b, latents, b.mul(token, latent)), to);
    copyRow(b, rotary, floatsAt(b, rotaries, b.mul(token, rotary)),
            floatsAt(b, to, b.index(latent)));
  });
}

// --- hadal.absorb_query: one grid index is one head ---

namespace {
struct AbsorbSizes {
  int64_t heads, depth, nope, rotary, latent, weightRows;
  explicit AbsorbSizes(AbsorbQueryOp op) {
    heads = op.getHeads();
    depth = sizeOf(op.getQuery(), 2) / heads;
    rotary = op.getRotaryDim();
    nope = depth - rotary;
    latent = sizeOf(op.getUpProjection(), 1);
    weightRows = sizeOf(op.getUpProjection(), 0) / heads;
  }
};
} // namespace

KernelConfig configureAbsorb(AbsorbQueryOp op) {
  AbsorbSizes sizes(op);
  KernelConfig config;
  config.key = "h" + std::to_string(sizes.heads) + "n" + std::to_string(sizes.nope) + "r" +
               std::to_string(sizes.rotary) + "c" + std::to_string(sizes.latent) + "w" +
               std::to_string(sizes.weightRows);
  config.sizes = {sizeOf(op.getQuery(), 1)};
  config.grid = sizes.heads;
  return config;
}

void emitAbsorb(AbsorbQueryOp op, KernelOp kernel, KernelBuilder &b) {
  AbsorbSizes sizes(op);
  Value query = pointerOf(b, kernel, op.getQuery()), result = pointerOf(b, kernel, op.getResult());
  Value weights = pointerOf(b, kernel, op.getUpProjection());
  int64_t lanes = b.target.lanes, width = sizes.latent + sizes.rotary;
  Value tokens = b.sizes[0];
  b.loop(b.begin, b.end, 1, [&](Value head) {
    auto rowOf = [&](Value tensor, Value token, int64_t size) {
      return floatsAt(b, tensor, b.mul(b.add(b.mul(token, sizes.heads), head), size));
    };
    Value weight = floatsAt(b, weights, b.mul(head, sizes.weightRows * sizes.latent));
    // `rows` tokens from `token` on, columns in pieces of `vectors` registers.
    auto multiply = [&](Value token, int64_t rows, int64_t vectors) {
      forPieces(b, sizes.latent, vectors * lanes, [&](Value column, int64_t size) {
        int64_t used = (size + lanes - 1) / lanes, last = size - (used - 1) * lanes;
        Value mask = last < lanes ? b.maskOf(b.index(last)) : Value();
        SmallVector<Value> sums(rows * used, b.splat(0.0));
        sums = registerTile(b, rows, used, b.index(sizes.nope),
                            {rowOf(query, token, sizes.depth), sizes.heads * sizes.depth, 1},
                            {floatsAt(b, weight, column), sizes.latent, mask}, sums);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < used; ++j)
            storeFirst(b, sums[i * used + j], j + 1 < used ? lanes : last,
                       rowOf(result, b.add(token, i), width), b.add(column, j * lanes));
      });
    };
    int64_t tile = tileRows(b.target, 2);
    Value whole = b.mul(b.div(tokens, tile), tile);
    b.loop(b.index(0), whole, tile, [&](Value token) { multiply(token, tile, 2); });
    b.loop(whole, tokens, 1, [&](Value token) { multiply(token, 1, 8); });
    b.loop(b.index(0), tokens, 1, [&](Value token) {
      copyRow(b, sizes.rotary, floatsAt(b, rowOf(query, token, sizes.depth), b.index(sizes.nope)),
              floatsAt(b, rowOf(result, token, width), b.index(sizes.latent)));
    });
  });
}

// --- hadal.expand_value: one grid index is one head ---

KernelConfig configureExpand(ExpandValueOp op) {
  KernelConfig config;
  config.key = "h" + std::to_string(op.getHeads()) + "c" +
               std::to_string(sizeOf(op.getUpProjection(), 1)) + "v" +
               std::to_string(op.getValueDim()) + "w" +
               std::to_string(sizeOf(op.getUpProjection(), 0));
  config.sizes = {sizeOf(op.getLatent(), 1)};
  config.grid = op.getHeads();
  return config;
}

void emitExpand(ExpandValueOp op, KernelOp kernel, KernelBuilder &b) {
  int64_t heads = op.getHeads(), values = op.getValueDim();
  int64_t latent = sizeOf(op.getUpProjection(), 1);
  int64_t weightRows = sizeOf(op.getUpProjection(), 0) / heads;
  Value input = pointerOf(b, kernel, op.getLatent()), result = pointerOf(b, kernel, op.getResult());
  Value weights = pointerOf(b, kernel, op.getUpProjection());
  b.loop(b.begin, b.end, 1, [&](Value head) {
    Value firstRow = b.add(b.mul(head, weightRows), weightRows - values);
    forPieces(b, values, 8, [&](Value first, int64_t rows) {
      Value weight = floatsAt(b, weights, b.mul(b.add(firstRow, first), latent));
      b.loop(b.index(0), b.sizes[0], 1, [&](Value token) {
        Value row = b.add(b.mul(token, heads), head);
        Value from = floatsAt(b, input, b.mul(row, latent));
        SmallVector<Value> zeros(rows, b.splat(0.0));
        SmallVector<Value> sums =
            b.vectorLoop(b.index(latent), zeros, [&](Value at, Value mask, ValueRange carried) {
              SmallVector<Value> next;
              Value x = b.loadVector(from, at, mask);
              for (int64_t i = 0; i < rows; ++i)
                next.push_back(
                    b.fma(x, b.loadVector(weight, b.add(at, i * latent), mask), carried[i]));
              return next;
            });
        Value to = floatsAt(b, result, b.add(b.mul(row, values), first));
        for (int64_t i = 0; i < rows; ++i)
          b.store(b.sumLanes(sums[i]), to, b.index(i));
      });
    });
  });
}

} // namespace hadal::cpu
