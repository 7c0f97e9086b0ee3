// SPDX-License-Identifier: Apache-2.0
//
// See ParkedSums.h.

#include "passes/Schedule/ParkedSums.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

ParkedSums::ParkedSums(Components &components, const HolderTable &holders, const Stages &stages,
                       int64_t rank, ProgramBuilder &builder)
    : holders(holders), rank(rank), builder(builder) {
  size_t number = 0;
  for (auto &[name, holder] : holders.all()) {
    if (!holder.parks)
      continue;
    for (auto [index, accumulator] : llvm::enumerate(holder.accumulators)) {
      const OrderPlace &place = *holders.firstHalves().of(accumulator.stage);
      if (++number; holder.has(rank))
        add(components, stages, {number, name, &holder, index, place});
    }
  }
  llvm::sort(shared, [](const Sum &a, const Sum &b) {
    return std::pair(a.moment(), a.number) < std::pair(b.moment(), b.number);
  });
}

void ParkedSums::add(Components &components, const Stages &stages, const Sum &sum) {
  if (sum.holders->group.getRanks().size() > 1) {
    shared.push_back(sum);
    return;
  }
  const Accumulator &accumulator = sum.holders->accumulators[sum.accumulator];
  const std::string bound = sum.parameter + accumulator.suffix;
  for (Operation *step : llvm::reverse(stages[accumulator.stage].weights)) {
    auto apply = dyn_cast<ApplyOp>(step);
    if (!apply || !llvm::is_contained(components.bound(apply, BindingKind::Gradient), bound))
      continue;
    own[step].push_back(sum);
    return;
  }
}

void ParkedSums::before(int64_t entry) {
  for (; next < shared.size() && shared[next].moment() < momentOf(entry); ++next)
    make(shared[next]);
}

void ParkedSums::after(int64_t entry) {
  for (; next < shared.size() && shared[next].moment() <= momentOf(entry); ++next)
    make(shared[next]);
}

void ParkedSums::behind(Operation *step, int64_t entry) {
  auto found = own.find(step);
  if (found == own.end())
    return;
  for (const Sum &sum : found->second)
    if (sum.place.entry == entry)
      make(sum);
}

void ParkedSums::finish() {
  for (; next < shared.size(); ++next)
    make(shared[next]);
}

void ParkedSums::make(const Sum &sum) {
  const Holders &holder = *sum.holders;
  const Accumulator &accumulator = holder.accumulators[sum.accumulator];
  BufferOp here,
      shard = builder.stored(StorageKind::Gradient,
                             holders.parkedOf(sum.parameter)[sum.accumulator], holder.windowType());
  if (accumulator.rank == rank)
    here = builder.stored(StorageKind::Gradient,
                          holders.storageOf(sum.parameter + accumulator.suffix, /*half=*/0, rank),
                          holder.type);
  OpBuilder &at = builder.end();
  const auto place = llvm::find(holder.group.getRanks(), accumulator.rank);
  Attribute term = at.getI64ArrayAttr({place - holder.group.getRanks().begin(), 0});
  builder.park(here, shard, holder.group, at.getArrayAttr(at.getArrayAttr(term)), sum.parameter);
}
