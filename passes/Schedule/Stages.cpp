// SPDX-License-Identifier: Apache-2.0
//
// See Stages.h.

#include "passes/Schedule/Stages.h"

#include "llvm/ADT/StringSet.h"

#include <map>

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

FailureOr<Stages> Stages::of(func::FuncOp program, int64_t count, Components &components,
                             bool phases, bool early) {
  Stages made;
  made.stages.resize(size_t(count));
  for (Operation &op : program.getBody().front())
    if (isa<ApplyOp, ExchangeOp>(op) && failed(made.add(&op, components, phases)))
      return failure();
  for (Operation &op : program.getBody().front()) {
    if (failed(made.findBorders(&op)))
      return failure();
    if (auto output = dyn_cast<OutputOp>(op)) {
      auto producer = made.stageOf.find(output.getValue().getDefiningOp());
      made.stages[producer == made.stageOf.end() ? 0 : size_t(producer->second)].outputs.push_back(
          output);
    }
  }
  for (Stage &stage : made.stages) {
    stage.both = early ? interleave(stage, components) : stage.backward;
    if (!early)
      stage.both.append(stage.weights);
  }
  return made;
}

LogicalResult Stages::add(Operation *step, Components &components, bool phases) {
  auto attribute = step->getAttrOfType<IntegerAttr>("stage");
  auto count = int64_t(stages.size());
  if (count > 1 && !attribute)
    return step->emitOpError("has no stage (--hadal-partition-stages gives it one)");
  int64_t stage = count > 1 ? attribute.getInt() : 0;
  if (stage < 0 || stage >= count)
    return step->emitOpError("is of stage ") << stage << "; there are " << count;
  stageOf[step] = stage;
  PhaseKind phase = phases ? components.phaseOf(step) : PhaseKind::Forward;
  Stage &target = stages[size_t(stage)];
  (phase == PhaseKind::Forward          ? target.forward
   : phase == PhaseKind::WeightGradient ? target.weights
                                        : target.backward)
      .push_back(step);
  return success();
}

/// Notes the values that a step gets from another stage. One goes forwards over each border, one
/// backwards.
LogicalResult Stages::findBorders(Operation *step) {
  auto own = stageOf.find(step);
  if (own == stageOf.end())
    return success();
  for (Value operand : step->getOperands()) {
    auto producer = stageOf.find(operand.getDefiningOp());
    if (producer == stageOf.end() || producer->second == own->second)
      continue;
    int64_t from = producer->second, to = own->second;
    if (std::abs(from - to) != 1)
      return step->emitOpError("of stage ")
             << to << " needs a value of stage " << from << "; only neighbours pass one on";
    Value &border = from < to ? stages[size_t(to)].input : stages[size_t(from)].inputGradient;
    if (border && border != operand)
      return step->emitOpError("of stage ")
             << to << " needs a second value of stage " << from << "; one is passed on";
    border = operand;
    sent.insert(operand);
  }
  return success();
}

/// The component's name without its phase, and the layer: what a B and its W have in common.
static std::pair<StringRef, int64_t> partOf(Operation *step) {
  auto apply = dyn_cast<ApplyOp>(step);
  if (!apply)
    return {"", -1};
  StringRef name = apply.getComponent();
  if (!name.consume_back("_B") && !name.consume_back("_W"))
    return {"", -1};
  return {name, int64_t(apply.getLayer().value_or(-1))};
}

/// B and W of one micro-batch: weight gradients as soon as the backward parts they need are there,
/// and behind their own in any case. Those that add to one accumulator keep their order, which
/// decides the bits of the sum.
Steps Stages::interleave(const Stage &stage, Components &components) {
  struct Waiting {
    Operation *step, *backward;
    SmallVector<std::string> sums;
  };
  std::map<std::pair<StringRef, int64_t>, Operation *> parts;
  for (Operation *step : stage.backward)
    if (auto part = partOf(step); !part.first.empty())
      parts[part] = step;
  SmallVector<Waiting> waiting;
  for (Operation *step : stage.weights) {
    auto apply = dyn_cast<ApplyOp>(step);
    auto own = parts.find(partOf(step));
    waiting.push_back(
        {step, own == parts.end() ? nullptr : own->second,
         apply ? components.bound(apply, BindingKind::Gradient) : SmallVector<std::string>()});
  }
  llvm::DenseSet<Operation *> open(stage.backward.begin(), stage.backward.end());
  open.insert(stage.weights.begin(), stage.weights.end());
  Steps order;
  auto takeReady = [&] {
    llvm::StringSet<> blocked;
    llvm::erase_if(waiting, [&](Waiting &entry) {
      auto &[step, backward, sums] = entry;
      bool ready = !open.contains(backward) &&
                   llvm::none_of(sums, [&](StringRef sum) { return blocked.contains(sum); }) &&
                   llvm::none_of(step->getOperands(),
                                 [&](Value input) { return open.contains(input.getDefiningOp()); });
      if (ready) {
        order.push_back(step);
        open.erase(step);
      } else {
        for (StringRef sum : sums)
          blocked.insert(sum);
      }
      return ready;
    });
  };
  if (stage.backward.empty())
    takeReady();
  for (Operation *step : stage.backward) {
    order.push_back(step);
    open.erase(step);
    takeReady();
  }
  takeReady();
  return order;
}
