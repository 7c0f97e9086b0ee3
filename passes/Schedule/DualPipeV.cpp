// SPDX-License-Identifier: Apache-2.0
//
// DualPipeV (the published DualPipe cut in half): twice as many stages as ranks, folded to a V, so
// that each rank holds one stage on the way down and one on the way up. The order of a rank is
// DualPipe's on twice the ranks.

#include "passes/Schedule/Order.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/SchedulePass.h"

using namespace mlir;
using namespace hadal;

pipe::Order pipe::orderDualPipeV(int64_t ranks, int64_t microBatches) {
  Order order;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    RankWriter writer(rank, ranks);
    writeDualPipe(writer, rank, ranks, microBatches, /*swapped=*/false);
    order.push_back(writer.finish());
  }
  return order;
}

namespace hadal {

#define GEN_PASS_DEF_DUALPIPEVPASS
#include "passes/Schedule/Passes.h.inc"

namespace {
struct DualPipeVPass : SchedulePass<impl::DualPipeVPassBase<DualPipeVPass>> {};
} // namespace

} // namespace hadal
