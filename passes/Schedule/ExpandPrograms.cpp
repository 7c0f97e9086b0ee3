// SPDX-License-Identifier: Apache-2.0
//
// From straight-line programs and schedules to pipe programs.

#include "passes/Schedule/GradientSums.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/ProgramBuilder.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace hadal::pipe;

namespace hadal {

#define GEN_PASS_DEF_EXPANDPROGRAMSPASS
#include "passes/Schedule/Passes.h.inc"

namespace {

/// The phase that launches of a program carry; those of a training step have their component's.
std::optional<PhaseKind> phaseOfProgram(StringRef name) {
  if (name == "update")
    return PhaseKind::Update;
  if (name == "evaluate")
    return PhaseKind::Evaluate;
  if (name == "prefill" || name == "decode")
    return PhaseKind::Generate;
  return std::nullopt;
}

/// The applications of one micro-batch, by phase.
struct Chunk {
  SmallVector<ApplyOp> forward, backward, weights;
  SmallVector<ApplyOp> both; ///< backward and weights in the order of a chunk that has both
  SmallVector<OutputOp> outputs;
};

class Expansion {
public:
  /// `name`: of the program that is made from `program`.
  Expansion(ModuleOp module, func::FuncOp program, StringRef name, ScheduleOp schedule, bool early)
      : module(module), symbols(module), program(program), schedule(schedule), early(early),
        name(name),
        builder(module, program, name, schedule ? int64_t(schedule.getMicroBatches()) : 0) {}

  LogicalResult run() {
    if (failed(schedule ? expandSchedule() : expandStraight()))
      return failure();
    builder.zeroAccumulators();
    return success();
  }

  ProgramBuilder &result() { return builder; }

private:
  PhaseKind phaseOf(ApplyOp apply) {
    if (auto fixed = phaseOfProgram(name))
      return *fixed;
    auto component = symbols.lookup<func::FuncOp>(apply.getComponent());
    auto phase = component ? component->getAttrOfType<PhaseKindAttr>(kPhaseAttr) : PhaseKindAttr();
    return phase ? phase.getValue() : PhaseKind::Forward;
  }

  LogicalResult expandStraight() {
    for (auto apply : program.getOps<ApplyOp>())
      if (failed(builder.launch(apply, phaseOf(apply), -1)))
        return failure();
    for (auto output : program.getOps<OutputOp>())
      if (failed(builder.output(output, -1)))
        return failure();
    return success();
  }

  LogicalResult expandSchedule() {
    if (schedule.getRanks() != 1)
      return schedule.emitOpError("on ")
             << schedule.getRanks() << " ranks cannot be expanded yet; supported: 1 rank";
    if (!schedule.getOrder())
      return schedule.emitOpError("has no order; --pipe-schedule-")
             << schedule.getAlgorithm() << " makes it";
    for (auto apply : program.getOps<ApplyOp>()) {
      PhaseKind phase = phaseOf(apply);
      (phase == PhaseKind::Forward          ? parts.forward
       : phase == PhaseKind::WeightGradient ? parts.weights
                                            : parts.backward)
          .push_back(apply);
    }
    if (early) {
      parts.both = interleave();
    } else {
      parts.both = parts.backward;
      parts.both.append(parts.weights);
    }
    parts.outputs = llvm::to_vector(program.getOps<OutputOp>());
    auto order = cast<ArrayAttr>((*schedule.getOrder())[0]);
    for (auto part : order.getAsRange<StringAttr>())
      if (failed(expandPart(part.getValue())))
        return failure();
    return addGradientSums(module, builder);
  }

  /// `F0.3` and its like.
  LogicalResult expandPart(StringRef part) {
    int64_t microBatch = 0;
    if (part.size() < 4 || part[1] != '0' || part[2] != '.' ||
        part.drop_front(3).getAsInteger(10, microBatch) || microBatch < 0 ||
        microBatch >= int64_t(schedule.getMicroBatches()))
      return schedule.emitOpError("has ")
             << part << " in its order; one rank runs F0.M, B0.M, I0.M and W0.M";
    switch (part.front()) {
    case 'F':
      return launchAll(parts.forward, microBatch);
    case 'B':
      return LogicalResult::success(succeeded(launchAll(parts.both, microBatch)) &&
                                    succeeded(outputs(microBatch)));
    case 'I':
      return launchAll(parts.backward, microBatch);
    case 'W':
      return LogicalResult::success(succeeded(launchAll(parts.weights, microBatch)) &&
                                    succeeded(outputs(microBatch)));
    default:
      return schedule.emitOpError("has ") << part << " in its order; one rank runs F, B, I and W";
    }
  }

  LogicalResult launchAll(ArrayRef<ApplyOp> applies, int64_t microBatch) {
    for (ApplyOp apply : applies)
      if (failed(builder.launch(apply, phaseOf(apply), microBatch)))
        return failure();
    return success();
  }

  /// What the micro-batch gives, when all of it is done.
  LogicalResult outputs(int64_t microBatch) {
    for (OutputOp output : parts.outputs)
      if (failed(builder.output(output, microBatch)))
        return failure();
    return success();
  }

  /// B and W of one micro-batch: weight gradients as soon as the backward parts they need are
  /// there. Those that add to one accumulator keep their order, which decides the bits of the sum.
  SmallVector<ApplyOp> interleave() {
    SmallVector<std::pair<ApplyOp, SmallVector<std::string>>> waiting;
    for (ApplyOp apply : parts.weights)
      waiting.push_back({apply, accumulators(apply)});
    llvm::DenseSet<Operation *> open(parts.backward.begin(), parts.backward.end());
    open.insert(parts.weights.begin(), parts.weights.end());
    SmallVector<ApplyOp> order;
    auto takeReady = [&] {
      llvm::StringSet<> blocked;
      llvm::erase_if(waiting, [&](auto &entry) {
        auto &[apply, sums] = entry;
        bool ready = llvm::none_of(sums, [&](StringRef sum) { return blocked.contains(sum); }) &&
                     llvm::none_of(apply.getInputs(), [&](Value input) {
                       return open.contains(input.getDefiningOp());
                     });
        if (ready) {
          order.push_back(apply);
          open.erase(apply);
        } else {
          for (StringRef sum : sums)
            blocked.insert(sum);
        }
        return ready;
      });
    };
    for (ApplyOp apply : parts.backward) {
      order.push_back(apply);
      open.erase(apply);
      takeReady();
    }
    takeReady();
    return order;
  }

  SmallVector<std::string> accumulators(ApplyOp apply) {
    SmallVector<std::string> names;
    auto component = symbols.lookup<func::FuncOp>(apply.getComponent());
    for (unsigned argument = 0; component && argument < component.getNumArguments(); ++argument)
      if (BindingAttr binding = bindingOf(component, argument);
          binding && binding.getKind() == BindingKind::Gradient)
        names.push_back(boundName(binding, apply));
    return names;
  }

  ModuleOp module;
  SymbolTable symbols;
  func::FuncOp program;
  ScheduleOp schedule;
  bool early;
  std::string name;
  ProgramBuilder builder;
  Chunk parts;
};

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
    if (!isa<ApplyOp, OutputOp, func::ReturnOp>(op))
      return op.emitOpError("in a program; expected hadal.apply or hadal.output");
  return success();
}

struct ExpandProgramsPass : impl::ExpandProgramsPassBase<ExpandProgramsPass> {
  using ExpandProgramsPassBase::ExpandProgramsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    llvm::StringMap<ScheduleOp> schedules;
    SmallVector<func::FuncOp> sources;
    for (auto schedule : module.getOps<ScheduleOp>())
      schedules[schedule.getProgram()] = schedule;
    for (auto function : module.getOps<func::FuncOp>())
      if (function->hasAttr(kProgramAttr))
        sources.push_back(function);
    for (func::FuncOp source : sources) {
      if (failed(checkSource(source)))
        return signalPassFailure();
      std::string name = source.getSymName().str();
      ScheduleOp schedule = schedules.lookup(name);
      source.setSymName(name + ".source");
      Expansion expansion(module, source, name, schedule, earlyWeightGradients);
      if (failed(expansion.run()))
        return signalPassFailure();
      launches += expansion.result().launches;
      copies += expansion.result().copies;
      ++programs;
      if (schedule)
        schedule.erase();
      source.erase();
    }
  }
};

} // namespace

} // namespace hadal
