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

/// Rows are rounded up to 16, and temporaries start at multiples of 64 bytes.
constexpr int64_t kRowsTogether = 16;

/// Offsets of the temporaries whose rows are counted in one way; the frame's bytes.
int64_t placeTemporaries(const ComponentSlots &slots, TemporaryRows rows, int64_t gap,
                         MutableArrayRef<int64_t> offsets) {
  SmallVector<Interval> intervals;
  SmallVector<size_t> places;
  for (auto [index, interval] : llvm::enumerate(slots.temporaries()))
    if (slots.temporaryRows()[index] == rows) {
      intervals.push_back(interval);
      places.push_back(index);
    }
  if (intervals.empty())
    return 0;
  Placing placing{gap};
  if (rows != TemporaryRows::Fixed) {
    placing.gap = llvm::divideCeil(gap, kRowsTogether);
    placing.alignment = kBufferAlignment / kRowsTogether;
  }
  int64_t bytes = assignOffsets(intervals, placing);
  for (auto [interval, place] : llvm::zip(intervals, places))
    offsets[place] = interval.offset;
  return bytes;
}

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
      component->setAttr(pipe::kFrameAttr, frameOf(*slots, gap));
    }
  }

private:
  pipe::FrameAttr frameOf(const ComponentSlots &slots, int64_t gap) {
    SmallVector<int64_t> offsets(slots.temporaries().size());
    auto place = [&](TemporaryRows rows) { return placeTemporaries(slots, rows, gap, offsets); };
    const int64_t bytes = place(TemporaryRows::Fixed), received = place(TemporaryRows::Received),
                  routed = place(TemporaryRows::Routed);
    SmallVector<int64_t> rows;
    if (received || routed)
      for (TemporaryRows of : slots.temporaryRows())
        rows.push_back(int64_t(of));
    temporaries += offsets.size();
    largest.updateMax(bytes);
    return pipe::FrameAttr::get(&getContext(), bytes, offsets, rows, received, routed);
  }
};

} // namespace

} // namespace hadal
