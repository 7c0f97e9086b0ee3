// SPDX-License-Identifier: Apache-2.0
//
// 1F1B (arXiv 1806.03377, as Megatron-LM has it): a rank runs ahead by the ranks behind it, then
// one forward and one backward part in turn.

#include "passes/Schedule/Order.h"
#include "passes/Schedule/Passes.h"

using namespace mlir;
using namespace hadal;

pipe::Order pipe::order1F1B(int64_t ranks, int64_t microBatches) {
  Order order;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankWriter writer(rank, ranks);
    int64_t ahead = std::min(ranks - 1 - rank, microBatches);
    for (int64_t i = 0; i < ahead; ++i)
      writer.forward(0);
    for (int64_t i = 0; i < microBatches; ++i) {
      if (i < microBatches - ahead)
        writer.forward(0);
      writer.backward(0, /*full=*/true);
    }
    order.push_back(writer.finish());
  }
  return order;
}

namespace hadal {

#define GEN_PASS_DEF_ONEF1BPASS
#include "passes/Schedule/Passes.h.inc"

namespace {
struct OneF1BPass : impl::OneF1BPassBase<OneF1BPass> {
  void runOnOperation() override {
    int64_t found = 0, most = 0;
    if (failed(expandSchedules(getOperation(), "1f1b", found, most)))
      return signalPassFailure();
    chunks += found;
    peak.updateMax(most);
  }
};
} // namespace

} // namespace hadal
