// SPDX-License-Identifier: Apache-2.0
//
// Frames of components.

#include "passes/Memory/ComponentSlots.h"
#include "passes/Memory/Passes.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_PLANFRAMESPASS
#include "passes/Memory/Passes.h.inc"

namespace {

struct PlanFramesPass : impl::PlanFramesPassBase<PlanFramesPass> {
  using PlanFramesPassBase::PlanFramesPassBase;

  void runOnOperation() override {
    const int64_t gap =
        std::max<int64_t>(redZone, getOperation()->hasAttr(kCheckMemoryAttr) ? kRedZone : 0);
    for (auto component : getOperation().getOps<func::FuncOp>()) {
      if (!isComponent(component))
        continue;
      FailureOr<ComponentSlots> slots = ComponentSlots::compute(component);
      if (failed(slots))
        return signalPassFailure();
      SmallVector<Interval> intervals(slots->temporaries());
      int64_t bytes = assignOffsets(intervals, {gap});
      SmallVector<int64_t> offsets;
      for (const Interval &interval : intervals)
        offsets.push_back(interval.offset);
      component->setAttr(pipe::kFrameAttr, pipe::FrameAttr::get(&getContext(), bytes, offsets));
      temporaries += intervals.size();
      largest.updateMax(bytes);
    }
  }
};

} // namespace

} // namespace hadal
