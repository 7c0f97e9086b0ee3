// SPDX-License-Identifier: Apache-2.0
//
// Which ranks hold a parameter, which accumulators of its gradient each of them has, and in which
// order these are added: DESIGN N1 and N5, and the shards of ZeRO-1.

#ifndef HADAL_PASSES_SCHEDULE_HOLDERS_H
#define HADAL_PASSES_SCHEDULE_HOLDERS_H

#include "passes/Schedule/FirstHalves.h"
#include "passes/Schedule/Stages.h"

#include "llvm/ADT/MapVector.h"

#include <map>

namespace hadal::pipe {

/// One accumulator of a parameter's gradient.
struct Accumulator {
  std::string suffix; ///< of the parameter's name: empty, "#mtp"
  int64_t half = 0, stage = 0, rank = 0;
};

struct Holders {
  GroupAttr group;
  int64_t count = 1;           ///< of the group, replicas included
  mlir::RankedTensorType type; ///< of what one rank holds
  std::vector<Accumulator> accumulators;
  int64_t window = 0; ///< elements of a shard; all where count is 1
  /// The first half is summed when it is complete, each member keeps its shard of that, and the
  /// second half goes to the same accumulators; those of half 1 are not listed then.
  bool parks = false;

  bool has(int64_t rank) const { return llvm::is_contained(group.getRanks(), rank); }
  bool sharded() const { return count > 1; }
  mlir::RankedTensorType windowType() const;
};

/// By name, in the order of insertion.
template <typename Value>
using NamedVector = llvm::MapVector<std::string, Value, std::map<std::string, unsigned>>;

class HolderTable {
public:
  /// Reports accumulators that cannot be summed in one order.
  static llvm::FailureOr<HolderTable> of(const Stages &stages, const RankLayout &layout,
                                         Components &components, FirstHalves halves);

  /// Null for what nobody trains.
  const Holders *find(llvm::StringRef parameter) const;
  /// Parameters in the order in which the program first adds to their gradients.
  const NamedVector<Holders> &all() const { return parameters; }
  /// The storage of an accumulator `NAME` or `NAME#mtp` on a rank. A rank's first one lies in the
  /// storage of the gradient itself.
  std::string storageOf(llvm::StringRef accumulator, int64_t half, int64_t rank) const;
  llvm::SmallVector<std::string> storagesOf(llvm::StringRef parameter, int64_t rank) const;
  /// `sums` of pipe.reduce_scatter: of what is there at the end.
  mlir::ArrayAttr sumsOf(llvm::StringRef parameter, mlir::Builder &builder) const;
  /// Where a parameter that parks keeps the sums of its first halves: one storage each of its
  /// accumulators.
  llvm::SmallVector<std::string> parkedOf(llvm::StringRef parameter) const;
  /// Whether any does.
  bool parks() const;
  /// Whether any parameter has several holders.
  bool shards() const;
  const FirstHalves &firstHalves() const { return halves; }
  /// The groups that count tokens in one state (`counts.3`), in program order.
  const NamedVector<GroupAttr> &counts() const { return states; }

private:
  llvm::LogicalResult add(ApplyOp apply, int64_t stage, Components &components);
  void addCounts(ApplyOp apply, int64_t stage, Components &components);
  void complete(llvm::StringRef name, Holders &holders, mlir::MLIRContext *context) const;

  RankLayout layout;
  FirstHalves halves;
  NamedVector<Holders> parameters;
  NamedVector<GroupAttr> states;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_HOLDERS_H
