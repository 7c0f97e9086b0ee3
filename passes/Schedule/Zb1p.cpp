// SPDX-License-Identifier: Apache-2.0
//
// ZB1P (ZB-H1 of arXiv 2401.10241): 1F1B with the weight gradients of micro-batch i - rank behind
// the input gradients of micro-batch i, the rest at the end. Memory as 1F1B, bubble (P - 1)(F + I -
// W).

#include "passes/Schedule/Order.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/SchedulePass.h"

using namespace mlir;
using namespace hadal;

pipe::Order pipe::orderZb1p(int64_t ranks, int64_t microBatches) {
  Order order;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankWriter writer(rank, ranks);
    writeOneF1B(writer, ranks - 1 - rank, microBatches, [&](int64_t i) {
      writer.backward(0, /*full=*/false);
      if (i >= rank)
        writer.weights();
    });
    while (writer.weightsWait())
      writer.weights();
    order.push_back(writer.finish());
  }
  return order;
}

namespace hadal {

#define GEN_PASS_DEF_ZB1PPASS
#include "passes/Schedule/Passes.h.inc"

namespace {
struct Zb1pPass : SchedulePass<impl::Zb1pPassBase<Zb1pPass>> {};
} // namespace

} // namespace hadal
