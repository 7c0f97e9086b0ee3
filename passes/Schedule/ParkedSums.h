// SPDX-License-Identifier: Apache-2.0
//
// The sums of first halves, each made when it can be (DESIGN N1).

#ifndef HADAL_PASSES_SCHEDULE_PARKEDSUMS_H
#define HADAL_PASSES_SCHEDULE_PARKEDSUMS_H

#include "passes/Schedule/ProgramBuilder.h"

namespace hadal::pipe {

/// On one rank. What replicas of this rank alone hold is summed as soon as the last step has added
/// to it. What other pipeline ranks hold, too, is summed at the border of an entry of the order:
/// all of them make these sums in the order in which they are complete at unit times. So nobody
/// waits for one that comes later, and there is no ring.
class ParkedSums {
public:
  ParkedSums(Components &components, const HolderTable &holders, const Stages &stages, int64_t rank,
             ProgramBuilder &builder);

  /// An entry of the order begins, or has ended.
  void before(int64_t entry);
  void after(int64_t entry);
  /// A step of the entry has been issued.
  void behind(mlir::Operation *step, int64_t entry);
  /// The order has ended.
  void finish();

private:
  struct Sum {
    size_t number; ///< the same on all ranks
    std::string parameter;
    const Holders *holders;
    size_t accumulator; ///< among those of the holders
    OrderPlace place;   ///< where it is complete
    std::pair<double, int64_t> moment() const { return {place.time, place.rank}; }
  };

  void add(Components &components, const Stages &stages, const Sum &sum);
  void make(const Sum &sum);
  std::pair<double, int64_t> momentOf(int64_t entry) const {
    return {holders.firstHalves().endOf(rank, entry), rank};
  }

  const HolderTable &holders;
  int64_t rank;
  ProgramBuilder &builder;
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<Sum>> own; ///< by the last step
  std::vector<Sum> shared; ///< with other pipeline ranks, in the order of moments
  size_t next = 0;         ///< of those
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_PARKEDSUMS_H
