// SPDX-License-Identifier: Apache-2.0
//
// From straight-line programs and schedules to pipe programs.

#include "passes/Schedule/ExpandGradients.h"
#include "passes/Schedule/Passes.h"

using namespace mlir;
using namespace hadal::pipe;

namespace hadal {

#define GEN_PASS_DEF_EXPANDPROGRAMSPASS
#include "passes/Schedule/Passes.h.inc"

namespace {

/// The phase that launches of a program carry; those of a training step have their component's.
PhaseKind phaseOfProgram(StringRef name) {
  if (name == "update")
    return PhaseKind::Update;
  if (name == "prefill" || name == "decode")
    return PhaseKind::Generate;
  return PhaseKind::Evaluate;
}

LogicalResult checkSource(func::FuncOp program) {
  if (program.getNumArguments() > 1)
    return program.emitOpError("expects one argument at most, the tokens; found ")
           << program.getNumArguments();
  for (Type type : program.getArgumentTypes())
    if (!isBufferType(type))
      return program.emitOpError("expects its argument to be a tensor of static shape; found ")
             << type;
  if (!llvm::hasSingleElement(program.getBody()))
    return program.emitOpError("expects a body of one block");
  for (Operation &op : program.getBody().front())
    if (!isa<ApplyOp, ExchangeOp, OutputOp, func::ReturnOp>(op))
      return op.emitOpError("in a program; expected hadal.apply, hadal.exchange or hadal.output");
  return success();
}

/// All programs of a module.
class ModuleExpansion {
public:
  ModuleExpansion(ModuleOp module, bool early, const Rates &rates)
      : module(module), early(early), components(module), expansion{components, layout, rates, {}} {
  }

  LogicalResult run() {
    FailureOr<RankLayout> found = RankLayout::of(module);
    if (failed(found))
      return failure();
    layout = *found;
    for (auto schedule : module.getOps<ScheduleOp>())
      schedules[schedule.getProgram()] = schedule;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr(kProgramAttr))
        sources.push_back({function.getSymName().str(), function});
    for (auto &[name, source] : sources)
      if (failed(checkSource(source)))
        return failure();
    if (failed(findHolders()))
      return failure();
    for (auto &[name, source] : sources) {
      source.setSymName(name + ".source");
      if (failed(expand(name, source)))
        return failure();
    }
    for (auto &[name, source] : sources) {
      if (ScheduleOp schedule = schedules.lookup(name))
        schedule.erase();
      source.erase();
    }
    return success();
  }

  const Expanded &made() const { return expansion.made; }

private:
  /// Who holds what is read off the program of the gradients.
  LogicalResult findHolders() {
    for (auto &[name, source] : sources) {
      ScheduleOp schedule = schedules.lookup(name);
      if (!schedule)
        continue;
      FailureOr<Stages> cut =
          Stages::of(source, layout.stages(), components, /*phases=*/true, early);
      if (failed(cut))
        return failure();
      training = std::move(*cut);
      FailureOr<HolderTable> table =
          HolderTable::of(training, layout, components, FirstHalves(orderOf(schedule), layout));
      if (failed(table))
        return failure();
      holders = std::move(*table);
    }
    return success();
  }

  LogicalResult expand(const std::string &name, func::FuncOp source) {
    if (ScheduleOp schedule = schedules.lookup(name))
      return expandGradients(expansion, schedule, source, training, holders);
    if (name == "update" && !layout.alone())
      return expandUpdate(expansion, source, holders);
    // Generation runs on one rank, whatever there is.
    bool spread = name == "evaluate";
    int64_t stages = spread ? layout.stages() : 1;
    FailureOr<Stages> cut =
        Stages::of(source, stages, components, /*phases=*/false, /*early=*/false);
    if (failed(cut))
      return failure();
    return expandForward(expansion, source, name, phaseOfProgram(name), *cut,
                         spread ? layout.ranks : 1);
  }

  ModuleOp module;
  bool early;
  Components components;
  RankLayout layout;
  Expansion expansion;
  llvm::StringMap<ScheduleOp> schedules;
  SmallVector<std::pair<std::string, func::FuncOp>> sources;
  Stages training;
  HolderTable holders;
};

struct ExpandProgramsPass : impl::ExpandProgramsPassBase<ExpandProgramsPass> {
  using ExpandProgramsPassBase::ExpandProgramsPassBase;

  void runOnOperation() override {
    for (double rate : {double(flops), double(memoryBytes), double(exchangeBytes)})
      if (!(rate > 0)) {
        getOperation().emitError(
            "expects flops, memory-bytes and exchange-bytes to be positive; found ")
            << rate;
        return signalPassFailure();
      }
    ModuleExpansion expansion(getOperation(), earlyWeightGradients,
                              {flops, memoryBytes, exchangeBytes});
    if (failed(expansion.run()))
      return signalPassFailure();
    programs += expansion.made().programs;
    launches += expansion.made().launches;
    copies += expansion.made().copies;
    events += expansion.made().events;
  }
};

} // namespace

} // namespace hadal
