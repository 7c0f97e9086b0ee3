// SPDX-License-Identifier: Apache-2.0
//
// Which ops of a component share a kernel.

#ifndef HADAL_PASSES_FUSE_GROUPING_H
#define HADAL_PASSES_FUSE_GROUPING_H

#include "passes/Fuse/FusionRules.h"

#include "llvm/ADT/DenseMap.h"

namespace hadal {

/// Groups the ops of a component, in their order. Each op joins a group that its rules allow, where
/// no path of dependencies leads out of the group and back in; else it starts one.
class Grouping {
public:
  struct Group {
    llvm::SmallVector<mlir::Operation *> ops; ///< in the order of the component
    std::optional<RowDomain> domain;          ///< of a group of row-local ops
    llvm::SmallVector<mlir::Value> values;    ///< of a product and its epilogue
  };

  /// With `fuse` false every op gets a group of its own. Fails (with a diagnostic) where a value is
  /// read after an op has updated its memory.
  mlir::LogicalResult run(mlir::Block &block, bool fuse);

  /// The groups in an order that respects all dependencies; among those that are ready the one that
  /// starts first.
  llvm::SmallVector<const Group *> ordered() const;

private:
  mlir::LogicalResult addDependencies(mlir::Operation *op);
  void place(mlir::Operation *op, bool fuse);
  std::optional<unsigned> findGroup(mlir::Operation *op) const;
  /// Whether `op` may join the group as far as its kind goes.
  bool fits(mlir::Operation *op, const Group &group) const;
  bool staysInRow(mlir::Operation *op, const Group &group) const;
  bool connected(mlir::Operation *op, unsigned group) const;
  /// Whether something `op` depends on, in another group, depends on the group.
  bool makesCycle(mlir::Operation *op, unsigned group) const;
  void missed(mlir::Operation *op, llvm::StringRef reason) const;

  llvm::SmallVector<Group> groups;
  llvm::DenseMap<mlir::Operation *, unsigned> groupOf;
  /// Ops of the block that must run before an op.
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<mlir::Operation *>> before;
};

} // namespace hadal

#endif // HADAL_PASSES_FUSE_GROUPING_H
