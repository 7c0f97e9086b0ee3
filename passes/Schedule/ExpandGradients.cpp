// SPDX-License-Identifier: Apache-2.0
//
// See ExpandGradients.h.

#include "passes/Schedule/ExpandGradients.h"

#include "passes/Schedule/GradientSums.h"
#include "passes/Schedule/Order.h"
#include "passes/Schedule/Overlap.h"
#include "passes/Schedule/ParkedSums.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

namespace {

/// The steps of a chunk as a pair's order needs them.
class PairSteps {
public:
  PairSteps(Expansion &expansion, const PairCosts &costs)
      : components(expansion.components), costs(costs), members(expansion.layout.expertParallel) {}

  std::vector<OverlapStep> of(const Steps &steps) {
    std::vector<OverlapStep> found;
    llvm::DenseMap<Operation *, size_t> places;
    for (Operation *step : steps) {
      found.push_back(describe(step));
      for (Value operand : step->getOperands())
        if (auto place = places.find(operand.getDefiningOp()); place != places.end())
          found.back().after.push_back(place->second);
      llvm::sort(found.back().after);
      found.back().after.erase(llvm::unique(found.back().after), found.back().after.end());
      places[step] = places.size();
    }
    return found;
  }

private:
  OverlapStep describe(Operation *step) {
    OverlapStep found;
    PhaseKind phase = components.phaseOf(step);
    found.phase = phase == PhaseKind::Forward          ? ComponentPhase::Forward
                  : phase == PhaseKind::WeightGradient ? ComponentPhase::WeightGradient
                                                       : ComponentPhase::Backward;
    if (auto exchange = dyn_cast<ExchangeOp>(step)) {
      bool scatter = exchange.getKind() == ExchangeKind::Scatter;
      found.kind = scatter == (phase == PhaseKind::Forward) ? ComponentKind::Dispatch
                                                            : ComponentKind::Combine;
      found.layer = int64_t(exchange.getLayer());
      found.cost = costs.exchange(found.kind, found.phase, bytesOf(exchange), members);
      return found;
    }
    auto apply = cast<ApplyOp>(step);
    StringRef name = apply.getComponent();
    found.kind = name.contains("attn")  ? ComponentKind::Attention
                 : name.contains("mlp") ? ComponentKind::Mlp
                                        : ComponentKind::Other;
    found.layer = int64_t(apply.getLayer().value_or(-1));
    if (const Component *component = components.find(name)) {
      double part = component->counted ? balance : 1;
      found.cost = costs.launch(name, found.kind, found.phase, part * component->flops,
                                part * component->bytes);
    }
    return found;
  }

  /// What a rank sends where routing is balanced: every row of its layout. Notes which part of the
  /// most rows a rank then gets.
  double bytesOf(ExchangeOp exchange) {
    auto rowsOf = [](Value value) {
      return double(cast<RankedTensorType>(value.getType()).getDimSize(0));
    };
    double sent = rowsOf(exchange.getSendToken()), bytes = 0;
    bool scatter = exchange.getKind() == ExchangeKind::Scatter;
    ValueRange moved = exchange.getMoved(), payload = exchange.getPayload();
    ValueRange received = scatter ? moved : payload;
    for (Value value : received) {
      auto type = cast<RankedTensorType>(value.getType());
      bytes += sent * double(pipe::bytesOf(type)) / rowsOf(value);
      balance = std::min(1.0, sent / rowsOf(value));
    }
    return bytes;
  }

  Components &components;
  const PairCosts &costs;
  const int64_t members;
  double balance = 1;
};

/// The program of one rank.
class RankGradients {
public:
  RankGradients(Expansion &expansion, ScheduleOp schedule, func::FuncOp source,
                const Stages &stages, const HolderTable &holders, const PairCosts &costs,
                int64_t rank)
      : expansion(expansion), components(expansion.components), layout(expansion.layout),
        schedule(schedule), stages(stages), holders(holders), costs(costs), rank(rank),
        builder(components, source, layout,
                {kGradientsProgram, rank, layout.microBatches, /*stages=*/true, &stages, &holders}),
        sums(components, holders, stages, rank, builder) {}

  LogicalResult run() {
    auto order = cast<ArrayAttr>((*schedule.getOrder())[unsigned(rank)]);
    for (auto [index, text] : llvm::enumerate(order.getAsRange<StringAttr>())) {
      std::optional<OrderEntry> entry = parseEntry(text.getValue());
      if (!entry || !isLegal(*entry))
        return refuse(text.getValue());
      if (failed(entry->batch.empty() ? chunk(text.getValue(), entry->parts, int64_t(index))
                                      : transfer(entry->batch)))
        return failure();
    }
    builder.beginChunk({});
    sums.finish();
    if (failed(addGradientSums(components, holders, rank, layout, builder)))
      return failure();
    builder.finish();
    expansion.made.add(builder);
    return success();
  }

private:
  using Work = SmallVector<std::pair<Operation *, int64_t>>; // steps and their micro-batches

  bool isLegal(const OrderEntry &entry) const {
    auto legal = [&](const OrderPart &part) {
      return part.direction < layout.directions() && part.chunk < layout.chunks();
    };
    return llvm::all_of(entry.parts, legal) &&
           llvm::all_of(entry.batch,
                        [&](const OrderTransfer &transfer) { return legal(transfer.part); });
  }

  LogicalResult refuse(StringRef text) {
    return schedule.emitOpError("has ")
           << text << " in its order; its parts are F, B, I and W of D.M with directions D below "
           << layout.directions() << " and micro-batches M below " << layout.chunks();
  }

  int64_t microBatchOf(const OrderPart &part) const {
    return layout.microBatchOf(part.direction, part.chunk);
  }
  int64_t stageOf(const OrderPart &part) const { return layout.stageOf(rank, part.direction); }

  const Steps &stepsOf(const OrderPart &part) const {
    const Stage &stage = stages[stageOf(part)];
    return part.what == 'F'   ? stage.forward
           : part.what == 'B' ? stage.both
           : part.what == 'I' ? stage.backward
                              : stage.weights;
  }

  /// One part, or an overlapped pair.
  LogicalResult chunk(StringRef text, ArrayRef<OrderPart> parts, int64_t entry) {
    builder.beginChunk(text);
    sums.before(entry);
    bool pair = parts.size() == 2 && parts[0].what == 'F' && parts[1].what != 'F';
    for (auto [step, microBatch] :
         pair &&layout.overlap != "none" ? interleaved(parts[0], parts[1]) : inTurn(parts)) {
      if (failed(builder.step(step, components.phaseOf(step), microBatch)))
        return failure();
      sums.behind(step, entry);
    }
    sums.after(entry);
    for (const OrderPart &part : parts)
      if ((part.what == 'B' || part.what == 'W') && failed(outputs(part)))
        return failure();
    return success();
  }

  Work inTurn(ArrayRef<OrderPart> parts) const {
    Work work;
    for (const OrderPart &part : parts)
      for (Operation *step : stepsOf(part))
        work.push_back({step, microBatchOf(part)});
    return work;
  }

  /// Which order a pair has depends on its stages only.
  Work interleaved(const OrderPart &forward, const OrderPart &backward) {
    std::vector<OverlapSlot> &order = overlaps[{stageOf(forward), stageOf(backward)}];
    const Steps &front = stepsOf(forward), &back = stepsOf(backward);
    if (order.empty()) {
      PairSteps steps(expansion, costs);
      std::vector<OverlapStep> first = steps.of(front), second = steps.of(back);
      order =
          layout.overlap == "searched" ? search(first, second) : overlapAsPublished(first, second);
    }
    Work work;
    for (const OverlapSlot &slot : order)
      work.push_back(slot.backward ? std::pair(back[slot.step], microBatchOf(backward))
                                   : std::pair(front[slot.step], microBatchOf(forward)));
    return work;
  }

  std::vector<OverlapSlot> search(const std::vector<OverlapStep> &front,
                                  const std::vector<OverlapStep> &back) {
    std::vector<OverlapSlot> order = searchOverlap(front, back);
    auto time = [&](const std::vector<OverlapSlot> &order) {
      return int64_t(1e3 * timeOfOverlap(front, back, order)); // from us
    };
    remark::analysis(schedule.getLoc(), remark::RemarkOpts::name("Overlap").category("schedule"))
        << remark::add("pair on rank {0}: ", rank) << remark::metric("searched_ns", time(order))
        << remark::metric("published_ns", time(overlapAsPublished(front, back)));
    return order;
  }

  /// What the micro-batch gives, when all of the stage is done with it.
  LogicalResult outputs(const OrderPart &part) {
    for (OutputOp output : stages[stageOf(part)].outputs)
      if (failed(builder.output(output, microBatchOf(part))))
        return failure();
    return success();
  }

  LogicalResult transfer(ArrayRef<OrderTransfer> batch) {
    SmallVector<Transfer> transfers;
    for (const OrderTransfer &each : batch) {
      // Forwards a border's value goes to the next stage, backwards its gradient to the one before.
      bool forward = each.part.what == 'F';
      int64_t own = stageOf(each.part), border = forward == each.send ? own + 1 : own;
      Value value = border <= 0 || border >= layout.stages() ? Value()
                    : forward                                ? stages[border].input
                                                             : stages[border].inputGradient;
      if (!value)
        return schedule.emitOpError("passes on ")
               << each.part.what << " at stage " << own << ", which has no value there to pass on";
      transfers.push_back({each.send, value, microBatchOf(each.part), each.peer});
    }
    return builder.transfer(transfers);
  }

  Expansion &expansion;
  Components &components;
  const RankLayout &layout;
  ScheduleOp schedule;
  const Stages &stages;
  const HolderTable &holders;
  const PairCosts &costs;
  int64_t rank;
  ProgramBuilder builder;
  ParkedSums sums;
  std::map<std::pair<int64_t, int64_t>, std::vector<OverlapSlot>> overlaps;
};

} // namespace

/// Tokens of a micro-batch: its rows have one more, the last one's target.
static int64_t tokensOf(func::FuncOp source) {
  if (!source.getNumArguments())
    return 1;
  auto rows = cast<RankedTensorType>(source.getArgument(0).getType());
  return rows.getDimSize(0) * (rows.getDimSize(1) - 1);
}

LogicalResult pipe::expandGradients(Expansion &expansion, ScheduleOp schedule, func::FuncOp source,
                                    const Stages &stages, const HolderTable &holders) {
  if (!schedule.getOrder())
    return schedule.emitOpError("has no order; --pipe-schedule-")
           << schedule.getAlgorithm() << " makes it";
  FailureOr<PairCosts> costs =
      PairCosts::of(source->getParentOfType<ModuleOp>(), expansion.rates, tokensOf(source));
  if (failed(costs))
    return failure();
  for (int64_t rank = 0; rank < expansion.layout.ranks; ++rank)
    if (failed(RankGradients(expansion, schedule, source, stages, holders, *costs, rank).run()))
      return failure();
  return success();
}

LogicalResult pipe::expandForward(Expansion &expansion, func::FuncOp source, StringRef name,
                                  PhaseKind phase, const Stages &stages, int64_t ranks) {
  const RankLayout &layout = expansion.layout;
  const bool others = ranks > 1 || (phase == PhaseKind::Evaluate && layout.expertParallel > 1);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    ProgramBuilder builder(expansion.components, source, layout,
                           {name, rank, 0, others, &stages, nullptr});
    // A folded pipeline passes each rank twice, the last one without a transfer between.
    SmallVector<int64_t> own = {rank};
    if (stages.size() > size_t(ranks))
      own.push_back(layout.stageOf(rank, 1));
    for (int64_t stage : own) {
      auto peerOf = [&](int64_t other) { return layout.rankOf(other, 0); };
      const Stage &parts = stages[stage];
      if (stage > 0 && peerOf(stage - 1) != rank &&
          failed(builder.transfer(Transfer{false, parts.input, -1, peerOf(stage - 1)})))
        return failure();
      for (Operation *step : parts.forward)
        if (failed(builder.step(step, phase, -1)))
          return failure();
      if (stage + 1 < int64_t(stages.size()) && peerOf(stage + 1) != rank &&
          failed(builder.transfer(Transfer{true, stages[stage + 1].input, -1, peerOf(stage + 1)})))
        return failure();
      for (OutputOp output : parts.outputs)
        if (failed(builder.output(output, -1)))
          return failure();
    }
    builder.finish();
    expansion.made.add(builder);
  }
  return success();
}
