// SPDX-License-Identifier: Apache-2.0
//
// Arenas of programs.

#include "passes/Memory/Offsets.h"
#include "passes/Memory/Passes.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace hadal::pipe;

namespace hadal {

#define GEN_PASS_DEF_PLANARENASPASS
#include "passes/Memory/Passes.h.inc"

namespace {

/// The life of a buffer in steps of instructions, and the phases at its ends.
struct Life {
  Interval interval{0, -1, -1, 0};
  std::optional<PhaseKind> firstPhase, lastPhase;

  /// Stash is what waits from B to W.
  bool isStash() const {
    return firstPhase == PhaseKind::Backward && lastPhase == PhaseKind::WeightGradient;
  }
};

class ArenaPlan {
public:
  explicit ArenaPlan(ProgramOp program) : program(program) {}

  void run(int64_t redZone) {
    collect();
    SmallVector<Interval> intervals;
    for (auto &[buffer, life] : lives)
      intervals.push_back(life.interval);
    bytes = assignOffsets(intervals, redZone);
    peak = peakOf(intervals);
    Builder builder(program.getContext());
    int64_t stash = 0;
    for (auto [entry, interval] : llvm::zip(lives, intervals)) {
      entry.first.setOffsetAttr(builder.getI64IntegerAttr(interval.offset));
      if (entry.second.isStash() && interval.first <= peak.step && peak.step <= interval.last)
        stash += interval.bytes;
    }
    program.setArenaAttr(ArenaAttr::get(program.getContext(), bytes, peak.bytes, peak.bytes - stash,
                                        stash, /*communication=*/0));
  }

  int64_t count() const { return int64_t(lives.size()); }
  int64_t bytes = 0;
  Peak peak;

private:
  /// One rank with one stream runs its list in order. With several streams a buffer must outlive
  /// every stream that may still use it; passes that make such programs extend `last` to the event
  /// that proves it.
  void collect() {
    int64_t step = 0;
    for (Operation &op : program.getBody().front()) {
      if (auto buffer = dyn_cast<BufferOp>(op)) {
        if (buffer.getKind() == StorageKind::Arena)
          lives[buffer].interval.bytes = buffer.bytes();
        continue;
      }
      auto launch = dyn_cast<LaunchOp>(op);
      for (Value operand : op.getOperands()) {
        auto buffer = operand.getDefiningOp<BufferOp>();
        if (!buffer || buffer.getKind() != StorageKind::Arena)
          continue;
        Life &life = lives[buffer];
        if (life.interval.first < 0) {
          life.interval.first = step;
          if (launch)
            life.firstPhase = launch.getPhase();
        }
        life.interval.last = step;
        if (launch)
          life.lastPhase = launch.getPhase();
      }
      ++step;
    }
    for (auto &[buffer, life] : lives) {
      life.interval.first = std::max<int64_t>(life.interval.first, 0);
      life.interval.last = std::max(life.interval.last, life.interval.first);
      if (buffer.getName()) // the runtime reads it when all is done
        life.interval.last = std::max<int64_t>(step - 1, 0);
    }
  }

  ProgramOp program;
  llvm::MapVector<BufferOp, Life> lives;
};

struct PlanArenasPass : impl::PlanArenasPassBase<PlanArenasPass> {
  using PlanArenasPassBase::PlanArenasPassBase;

  void runOnOperation() override {
    for (auto program : getOperation().getOps<ProgramOp>()) {
      if (program.getStreams().size() > 1) {
        program.emitOpError("has ")
            << program.getStreams().size() << " streams; the arena can be planned for one";
        return signalPassFailure();
      }
      ArenaPlan plan(program);
      plan.run(
          std::max<int64_t>(redZone, getOperation()->hasAttr(kCheckMemoryAttr) ? kRedZone : 0));
      remark::analysis(program.getLoc(), remark::RemarkOpts::name("Arena").category("memory"))
          << remark::add("@{0}: ", program.getSymName().str())
          << remark::metric("bytes", plan.bytes) << remark::metric("live", plan.peak.bytes);
      buffers += plan.count();
      bytes += plan.bytes;
      gaps += plan.bytes - plan.peak.bytes;
    }
  }
};

} // namespace

} // namespace hadal
