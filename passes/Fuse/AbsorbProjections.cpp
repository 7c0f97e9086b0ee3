// SPDX-License-Identifier: Apache-2.0
//
// --hadal-absorb-projections: attention over the cache in the latent space. With [W_UK; W_UV] the
// up-projection of a head: q . (W_UK c) = (W_UK^T q) . c, and sum_s p_s (W_UV c_s) = W_UV (sum_s
// p_s c_s).

#include "passes/Fuse/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace hadal {
#define GEN_PASS_DEF_ABSORBPROJECTIONSPASS
#include "passes/Fuse/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

void absorb(CachedAttentionOp op) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  auto sizeOf = [](Value tensor, unsigned dimension) {
    return cast<RankedTensorType>(tensor.getType()).getDimSize(dimension);
  };
  int64_t heads = op.getHeads();
  auto query = AbsorbQueryOp::create(builder, loc, op.getQuery(), op.getUpProjection(),
                                     op.getHeadsAttr(), op.getRotaryDimAttr());
  auto latent = LatentAttentionOp::create(
      builder, loc, query, op.getCache(), op.getBlockTable(), op.getPosition(), op.getHeadsAttr(),
      builder.getI64IntegerAttr(sizeOf(op.getUpProjection(), 1)), op.getScaleAttr());
  auto output = ExpandValueOp::create(builder, loc, latent, op.getUpProjection(), op.getHeadsAttr(),
                                      builder.getI64IntegerAttr(sizeOf(op.getOutput(), 2) / heads));
  op.getOutput().replaceAllUsesWith(output);
  op.erase();
}

struct AbsorbProjections : hadal::impl::AbsorbProjectionsPassBase<AbsorbProjections> {
  using AbsorbProjectionsPassBase::AbsorbProjectionsPassBase;

  void runOnOperation() override {
    getOperation()->walk([&](CachedAttentionOp op) {
      absorb(op);
      ++absorbed;
    });
  }
};

} // namespace
