// SPDX-License-Identifier: Apache-2.0
//
// Arenas of programs.

#include "passes/Memory/Offsets.h"
#include "passes/Memory/Passes.h"
#include "passes/Memory/StreamClocks.h"

#include "mlir/IR/Remarks.h"
#include "mlir/IR/Threading.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace hadal::pipe;

namespace hadal {

#define GEN_PASS_DEF_PLANARENASPASS
#include "passes/Memory/Passes.h.inc"

namespace {

/// The life of a buffer in steps of instructions, and what it is for.
struct Life {
  int64_t bytes = 0, first = -1, last = -1;
  std::optional<PhaseKind> firstPhase, lastPhase;
  bool communicates = false;
  llvm::SmallVector<int32_t> begins, ends; ///< by stream, as a Precedence wants them

  /// Stash is what waits from B to W.
  bool isStash() const {
    return firstPhase == PhaseKind::Backward && lastPhase == PhaseKind::WeightGradient;
  }
};

bool isCommunication(Operation &op) {
  return isa<SendOp, ReceiveOp, ExchangeCountsOp, ExchangeRowsOp, ReduceScatterOp, AllGatherOp,
             TotalSquaresOp, AllReduceOp>(op);
}

class ArenaPlan {
public:
  explicit ArenaPlan(ProgramOp program)
      : program(program), clocks(program), precedence(clocks.streams()) {
    collect();
    SmallVector<Interval> moments;
    for (auto &[buffer, life] : lives) {
      moments.push_back({life.bytes, life.first, life.last, 0});
      intervals.push_back({life.bytes, life.first, lastStep(buffer, life), 0});
      precedence.add(life.begins, life.ends);
    }
    peak = peakOf(moments);
  }

  /// Whether the other's places do for this one (ranks that mirror each other).
  bool isLike(const ArenaPlan &other) const {
    auto same = [](const Interval &a, const Interval &b) {
      return a.bytes == b.bytes && a.first == b.first && a.last == b.last;
    };
    return intervals.size() == other.intervals.size() &&
           std::equal(intervals.begin(), intervals.end(), other.intervals.begin(), same) &&
           precedence == other.precedence;
  }

  void place(int64_t redZone) {
    const bool several = clocks.streams() > 1;
    bytes = assignOffsets(intervals,
                          {redZone, kBufferAlignment, several ? &precedence : nullptr, peak.bytes});
  }

  /// Writes the places that `like` found.
  void write(const ArenaPlan &like) {
    if (&like != this)
      bytes = like.bytes;
    Builder builder(program.getContext());
    for (auto [entry, interval] : llvm::zip(lives, like.intervals))
      entry.first.setOffsetAttr(builder.getI64IntegerAttr(interval.offset));
    writeArena();
  }

  int64_t count() const { return int64_t(lives.size()); }
  int64_t bytes = 0;
  Peak peak;

private:
  void collect() {
    for (auto buffer : program.getBody().front().getOps<BufferOp>())
      if (buffer.getKind() == StorageKind::Arena) {
        Life &life = lives[buffer];
        life.bytes = buffer.bytes();
        life.begins.assign(clocks.streams(), INT32_MAX);
        life.ends.assign(clocks.streams(), 0);
      }
    int64_t step = 0;
    for (Operation &op : program.getBody().front()) {
      if (!isa<InstructionOpInterface>(op))
        continue;
      for (Value operand : op.getOperands())
        if (auto found = lives.find(operand.getDefiningOp<BufferOp>()); found != lives.end())
          use(found->second, op, step);
      ++step;
    }
    for (auto &[buffer, life] : lives) {
      if (life.first < 0) { // never used: as if in the first instruction
        life.first = life.last = 0;
        life.begins.assign(clocks.streams(), 0);
      }
      if (buffer.getName()) { // the runtime reads it when all is done
        life.last = std::max<int64_t>(step - 1, 0);
        life.ends.assign(clocks.streams(), INT32_MAX);
      }
    }
  }

  void use(Life &life, Operation &op, int64_t step) {
    auto launch = dyn_cast<LaunchOp>(op);
    if (life.first < 0) {
      life.first = step;
      if (launch)
        life.firstPhase = launch.getPhase();
    }
    life.last = step;
    if (launch)
      life.lastPhase = launch.getPhase();
    life.communicates |= isCommunication(op);
    for (auto [begin, before] : llvm::zip(life.begins, clocks.before(size_t(step))))
      begin = std::min(begin, before);
    life.ends[clocks.streamOf(size_t(step))] = clocks.placeOf(size_t(step));
  }

  /// The last step of any stream that may run before the buffer's last use has ended; with one
  /// stream that is its last use.
  int64_t lastStep(BufferOp buffer, const Life &life) const {
    int64_t last = life.last;
    if (clocks.streams() > 1 && !buffer.getName())
      for (unsigned stream = 0; stream < clocks.streams(); ++stream)
        last = std::max(last, clocks.lastBeside(stream, life.ends));
    return last;
  }

  void writeArena() {
    int64_t stash = 0, communication = 0;
    for (auto &[buffer, life] : lives)
      if (life.first <= peak.step && peak.step <= life.last) {
        if (life.communicates)
          communication += life.bytes;
        else if (life.isStash())
          stash += life.bytes;
      }
    program.setArenaAttr(ArenaAttr::get(program.getContext(), bytes, peak.bytes,
                                        peak.bytes - stash - communication, stash, communication));
  }

  ProgramOp program;
  StreamClocks clocks;
  llvm::MapVector<BufferOp, Life> lives;
  SmallVector<Interval> intervals; ///< of the lives
  Precedence precedence;
};

struct PlanArenasPass : impl::PlanArenasPassBase<PlanArenasPass> {
  using PlanArenasPassBase::PlanArenasPassBase;

  void runOnOperation() override {
    const int64_t zone =
        std::max<int64_t>(redZone, getOperation()->hasAttr(kCheckMemoryAttr) ? kRedZone : 0);
    SmallVector<ProgramOp> programs(getOperation().getOps<ProgramOp>());
    std::vector<std::optional<ArenaPlan>> plans(programs.size());
    parallelFor(&getContext(), 0, plans.size(), [&](size_t i) { plans[i].emplace(programs[i]); });
    SmallVector<ArenaPlan *> placed; // of each program: itself, or one that is like it
    for (auto &plan : plans) {
      auto like = llvm::find_if(placed, [&](ArenaPlan *other) { return plan->isLike(*other); });
      placed.push_back(like == placed.end() ? &*plan : *like);
    }
    parallelFor(&getContext(), 0, plans.size(), [&](size_t i) {
      if (placed[i] == &*plans[i])
        plans[i]->place(zone);
    });
    parallelFor(&getContext(), 0, plans.size(), [&](size_t i) { plans[i]->write(*placed[i]); });
    for (auto [program, own] : llvm::zip(programs, plans)) {
      ArenaPlan &plan = *own;
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
