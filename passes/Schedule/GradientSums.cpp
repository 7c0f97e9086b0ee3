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
    awaitParked();
    if (failed(addHere()))
      return failure();
    for (auto &[name, holder] : holders.all())
      if (holder.sharded() && holder.has(rank))
        reduce(name, holder);
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

  /// Sums of one group are made one behind the other, so that all members make them in one order.
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
    OpBuilder &at = builder.end();
    ReduceScatterOp::create(at, shard.getLoc(), accumulators, parkedOf(name, holder), shard,
                            holder.group, holders.sumsOf(name, at), name, /*stream=*/0);
  }

  void count(StringRef state, GroupAttr group) {
    BufferOp buffer = builder.find(StorageKind::State, state);
    AllReduceOp::create(builder.end(), buffer.getLoc(), buffer, group, /*stream=*/0);
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
