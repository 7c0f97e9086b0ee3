// SPDX-License-Identifier: Apache-2.0
//
// See Grouping.h.

#include "passes/Fuse/Grouping.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace hadal {

LogicalResult Grouping::run(Block &block, bool fuse) {
  for (Operation &op : block.without_terminator())
    if (failed(addDependencies(&op)))
      return failure();
  for (Operation &op : block.without_terminator())
    place(&op, fuse);
  return success();
}

/// An op comes after those that define its operands, and after all others that read what it
/// updates.
LogicalResult Grouping::addDependencies(Operation *op) {
  SmallVector<Operation *> &list = before[op];
  for (Value operand : op->getOperands())
    if (Operation *definition = operand.getDefiningOp())
      list.push_back(definition);
  auto updating = dyn_cast<InPlaceOpInterface>(op);
  if (!updating)
    return success();
  for (unsigned result = 0; result < op->getNumResults(); ++result) {
    int64_t operand = updating.getUpdatedOperand(result);
    if (operand < 0)
      continue;
    for (Operation *user : op->getOperand(unsigned(operand)).getUsers()) {
      if (user == op)
        continue;
      if (!user->isBeforeInBlock(op))
        return user->emitOpError(
                       "expects values that are still in memory, but an operand was updated before")
                   .attachNote(op->getLoc())
               << "updated here";
      list.push_back(user);
    }
  }
  return success();
}

void Grouping::place(Operation *op, bool fuse) {
  if (fuse && isPrologue(op))
    return; // comes with its product
  std::optional<unsigned> found = fuse ? findGroup(op) : std::nullopt;
  if (!found) {
    found = groups.size();
    groups.emplace_back();
    groups.back().domain = rowDomain(op);
  }
  Group &group = groups[*found];
  if (fuse)
    for (Value operand : op->getOperands())
      if (Operation *definition = operand.getDefiningOp(); definition && isPrologue(definition)) {
        group.ops.push_back(definition);
        groupOf[definition] = *found;
      }
  group.ops.push_back(op);
  groupOf[op] = *found;
  if (group.values.empty() ? isProduct(op) : isEpilogue(op, group.values))
    group.values.push_back(op->getResult(0));
  else if (group.domain)
    group.domain = sharedDomain(*group.domain, *rowDomain(op));
}

/// A product first (its elements are at hand), then a group that computes operands, then any other
/// that fits; among equals the latest.
std::optional<unsigned> Grouping::findGroup(Operation *op) const {
  std::optional<unsigned> best;
  int bestRank = 0;
  StringRef reason;
  for (unsigned group = 0; group < groups.size(); ++group) {
    if (!fits(op, groups[group]))
      continue;
    if (makesCycle(op, group)) {
      reason = "another kernel lies between";
      continue;
    }
    int rank = !groups[group].values.empty() ? 3 : connected(op, group) ? 2 : 1;
    if (rank >= bestRank) {
      best = group;
      bestRank = rank;
    }
  }
  if (!best && !reason.empty())
    missed(op, reason);
  return best;
}

bool Grouping::fits(Operation *op, const Group &group) const {
  if (op->getDiscardableAttr(kRowsAttr) != group.ops.back()->getDiscardableAttr(kRowsAttr))
    return false; // rows of another number, even if there are at most as many
  if (!group.values.empty())
    return isEpilogue(op, group.values);
  std::optional<RowDomain> domain = rowDomain(op);
  return domain && group.domain && sharedDomain(*domain, *group.domain) && staysInRow(op, group);
}

/// Whether all that passes between the group and the op stays within a row.
bool Grouping::staysInRow(Operation *op, const Group &group) const {
  for (OpOperand &operand : op->getOpOperands()) {
    Operation *definition = operand.get().getDefiningOp();
    if (!definition || !llvm::is_contained(group.ops, definition))
      continue;
    if (readsOwnRow(operand) && writesOwnRow(cast<OpResult>(operand.get())))
      continue;
    missed(op, "it reads other rows than its own");
    return false;
  }
  return true;
}

bool Grouping::connected(Operation *op, unsigned group) const {
  return llvm::any_of(op->getOperands(), [&](Value operand) {
    Operation *definition = operand.getDefiningOp();
    return definition && groupOf.lookup_or(definition, ~0u) == group;
  });
}

bool Grouping::makesCycle(Operation *op, unsigned group) const {
  SmallVector<unsigned> work;
  llvm::DenseSet<unsigned> seen;
  auto visit = [&](Operation *user) {
    for (Operation *definition : before.find(user)->second)
      if (unsigned other = groupOf.find(definition)->second; seen.insert(other).second)
        work.push_back(other);
  };
  seen.insert(group); // what op takes from the group itself is no detour
  visit(op);
  while (!work.empty()) {
    for (Operation *inner : groups[work.pop_back_val()].ops)
      for (Operation *definition : before.find(inner)->second) {
        unsigned other = groupOf.find(definition)->second;
        if (other == group)
          return true;
        if (seen.insert(other).second)
          work.push_back(other);
      }
  }
  return false;
}

void Grouping::missed(Operation *op, StringRef reason) const {
  remark::missed(op->getLoc(), remark::RemarkOpts::name("NotFused").category("fuse"))
      << remark::reason("{0} shares no kernel: {1}", op->getName().getStringRef().str(),
                        reason.str());
}

SmallVector<const Grouping::Group *> Grouping::ordered() const {
  SmallVector<const Group *> order;
  llvm::SmallVector<bool> done(groups.size(), false);
  auto ready = [&](unsigned group) {
    for (Operation *op : groups[group].ops)
      for (Operation *definition : before.find(op)->second)
        if (unsigned other = groupOf.find(definition)->second; other != group && !done[other])
          return false;
    return true;
  };
  // Groups are numbered by their first op.
  while (order.size() < groups.size())
    for (unsigned group = 0; group < groups.size(); ++group)
      if (!done[group] && ready(group)) {
        done[group] = true;
        order.push_back(&groups[group]);
        break;
      }
  return order;
}

} // namespace hadal
