// SPDX-License-Identifier: Apache-2.0
//
// 1F1B (arXiv 1806.03377, as Megatron-LM has it): a rank runs ahead by the ranks behind it, then
// one forward and one backward part in turn.

#include "passes/Schedule/Order.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/SchedulePass.h"

using namespace mlir;
using namespace hadal;

void pipe::writeOneF1B(RankWriter &writer, int64_t behind, int64_t microBatches,
                       llvm::function_ref<void(int64_t)> backward) {
  int64_t ahead = std::min(behind, microBatches);
  for (int64_t i = 0; i < ahead; ++i)
    writer.forward(0);
  for (int64_t i = 0; i < microBatches; ++i) {
    if (i < microBatches - ahead)
      writer.forward(0);
    backward(i);
  }
}

pipe::Order pipe::order1F1B(int64_t ranks, int64_t microBatches) {
  Order order;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankWriter writer(rank, ranks);
    writeOneF1B(writer, ranks - 1 - rank, microBatches,
                [&](int64_t) { writer.backward(0, /*full=*/true); });
    order.push_back(writer.finish());
  }
  return order;
}

namespace hadal {

#define GEN_PASS_DEF_ONEF1BPASS
#include "passes/Schedule/Passes.h.inc"

namespace {
struct OneF1BPass : SchedulePass<impl::OneF1BPassBase<OneF1BPass>> {};
} // namespace

} // namespace hadal
