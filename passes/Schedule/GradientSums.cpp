// SPDX-License-Identifier: Apache-2.0
//
// See GradientSums.h.

#include "passes/Schedule/GradientSums.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

namespace {

class GradientSums {
public:
  GradientSums(Components &components, const HolderTable &holders, int64_t rank,
               const RankLayout &layout, ProgramBuilder &builder)
      : components(components), holders(holders), rank(rank), layout(layout), builder(builder) {}

  LogicalResult run() {
    // Sums of one group are made one behind the other: on one stream, or after the parked ones.
    if (layout.directions() == 1)
      awaitParked();
    if (failed(addHere()))
      return failure();
    for (const auto &[moment, entry] : inTurn())
      reduce(entry.first, *entry.second);
    for (auto &[state, group] : holders.counts())
      if (int64_t(group.getRanks().size()) * layout.dataParallel > 1 &&
          llvm::is_contained(group.getRanks(), rank))
        count(state, group);
    return success();
  }

private:
  /// Nobody else has a part of these.
  LogicalResult addHere() {
    SmallVector<BufferOp> own;
    for (BufferOp buffer : builder.gradients()) {
      const Holders *holder = holders.find(buffer.getStorage()->split('#').first);
      if (!holder || !holder->sharded())
        own.push_back(buffer);
    }
    for (BufferOp buffer : own) {
      StringRef name = *buffer.getStorage();
      if (name.consume_back(kSecondHalf) && failed(add(buffer, name)))
        return failure();
    }
    for (BufferOp buffer : own) {
      StringRef name = *buffer.getStorage();
      if (!name.ends_with(kSecondHalf) && name.contains('#') &&
          failed(add(buffer, name.split('#').first)))
        return failure();
    }
    return success();
  }

  LogicalResult add(BufferOp value, StringRef into) {
    BufferOp sum = builder.find(StorageKind::Gradient, into);
    if (!sum || sum.getType() != value.getType())
      return value.emitOpError("expects an accumulator \"")
             << into << "\" of the same type to be added to";
    Type type = value.getType();
    func::FuncOp component = components.make("accumulate", {type, type}, PhaseKind::WeightGradient,
                                             [&](OpBuilder &at, ValueRange values) -> Operation * {
                                               return AccumulateOp::create(at, value.getLoc(), type,
                                                                           values[0], values[1]);
                                             });
    builder.launch(component, {value, sum}, PhaseKind::WeightGradient);
    return success();
  }

  SmallVector<Value> parkedOf(StringRef name, const Holders &holder) {
    SmallVector<Value> parked;
    if (holder.parks && holder.has(rank))
      for (const std::string &storage : holders.parkedOf(name))
        parked.push_back(builder.stored(StorageKind::Gradient, storage, holder.windowType()));
    return parked;
  }

  /// What this rank shares. Of two stages a rank, what is complete first at unit times comes first;
  /// all holders have the same order.
  std::map<std::pair<double, size_t>, std::pair<StringRef, const Holders *>> inTurn() {
    std::map<std::pair<double, size_t>, std::pair<StringRef, const Holders *>> shared;
    for (auto &[name, holder] : holders.all()) {
      if (!holder.sharded() || !holder.has(rank))
        continue;
      double moment = 0;
      if (layout.directions() > 1)
        for (const Accumulator &each : holder.accumulators)
          moment = std::max(moment, holders.firstHalves().lastOf(each.stage));
      shared[{moment, shared.size()}] = {name, &holder};
    }
    return shared;
  }

  void awaitParked() {
    SmallVector<Value> all;
    for (auto &[name, holder] : holders.all())
      all.append(parkedOf(name, holder));
    builder.await(all);
  }

  void reduce(StringRef name, const Holders &holder) {
    SmallVector<Value> accumulators;
    for (const std::string &storage : holders.storagesOf(name, rank))
      accumulators.push_back(builder.stored(StorageKind::Gradient, storage, holder.type));
    BufferOp shard = builder.stored(StorageKind::Gradient, name, holder.windowType(), holder.group);
    builder.reduce(accumulators, parkedOf(name, holder), shard, holder.group,
                   holders.sumsOf(name, builder.end()), name);
  }

  void count(StringRef state, GroupAttr group) {
    builder.allReduce(builder.find(StorageKind::State, state), group);
  }

  Components &components;
  const HolderTable &holders;
  int64_t rank;
  const RankLayout &layout;
  ProgramBuilder &builder;
};

} // namespace

LogicalResult pipe::addGradientSums(Components &components, const HolderTable &holders,
                                    int64_t rank, const RankLayout &layout,
                                    ProgramBuilder &builder) {
  return GradientSums(components, holders, rank, layout, builder).run();
}
