// SPDX-License-Identifier: Apache-2.0
//
// DualPipe (DeepSeek-V3, arXiv 2412.19437, 3.2.1): every rank holds a stage of both directions,
// half of the micro-batches goes each way. The order, transfers included, is that of the published
// implementation.

#include "passes/Schedule/Order.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/SchedulePass.h"

using namespace mlir;
using namespace hadal;

void pipe::writeDualPipe(RankWriter &writer, int64_t half, int64_t halves, int64_t chunks,
                         bool swapped) {
  const int zero = swapped ? 1 : 0, one = 1 - zero;
  const int64_t outer = halves - half - 1;
  const bool middle = outer == 0;
  for (int64_t i = 0; i < 2 * outer; ++i) // 1
    writer.forward(zero);
  writer.receiveForward(zero);          // each forward part of phase 0 is received one step ahead
  for (int64_t i = 0; i <= half; ++i) { // 2
    writer.forward(zero, /*receive=*/false, /*send=*/middle);
    writer.receiveForward(zero);
    writer.forward(one, /*receive=*/true, /*send=*/!middle || i < half);
    if (!middle)
      writer.sendForward(zero);
  }
  for (int64_t i = 0; i < outer; ++i) { // 3
    writer.backward(one, /*full=*/false);
    writer.receiveForward(one);
    writer.weights();
    writer.forward(one, /*receive=*/false);
  }
  for (int64_t i = 0; i < chunks - 2 * halves + half + 1; ++i) { // 4
    if (i == 0 && middle) {
      // Not overlapped: the peer can start sooner.
      writer.forward(zero, /*receive=*/false, /*send=*/false);
      writer.sendForward(one);
      writer.backward(one, /*full=*/true, /*receive=*/true, /*send=*/false);
      writer.sendForward(zero);
      writer.sendBackward(one);
    } else {
      writer.pair(zero, one, /*receiveForward=*/i > 0);
    }
    writer.pair(one, zero);
  }
  for (int64_t i = 0; i < outer; ++i) { // 5
    writer.backward(one, /*full=*/true);
    writer.pair(one, zero);
  }
  for (int64_t i = 0; i < 2 * (half + 1); ++i) // 6: the first half of these with weight gradients
    writer.backward(i % 2 ? zero : one, /*full=*/i <= half);
  for (int64_t i = 0; i < outer; ++i) { // 7
    writer.weights();
    writer.backward(zero, /*full=*/false);
  }
  for (int64_t i = 0; i <= half; ++i) // 8
    writer.weights();
}

pipe::Order pipe::orderDualPipe(int64_t ranks, int64_t microBatches) {
  Order order;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankWriter writer(rank, ranks);
    writeDualPipe(writer, std::min(rank, ranks - 1 - rank), ranks / 2, microBatches / 2,
                  /*swapped=*/rank >= ranks / 2);
    order.push_back(writer.finish());
  }
  return order;
}

namespace hadal {

#define GEN_PASS_DEF_DUALPIPEPASS
#include "passes/Schedule/Passes.h.inc"

namespace {
struct DualPipePass : SchedulePass<impl::DualPipePassBase<DualPipePass>> {};
} // namespace

} // namespace hadal
