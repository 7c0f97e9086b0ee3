// SPDX-License-Identifier: Apache-2.0
//
// A group of ranks that exchange tokens, interpreted in one process: each op of a program on all
// members before the next one.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_GROUP_H
#define HADAL_DIALECTS_HADAL_REFERENCE_GROUP_H

#include "dialects/Hadal/Reference/Interpreter.h"

#include <deque>

namespace hadal::reference {

class Group {
public:
  /// `members` ranks. `module` must live as long as the group. Each member's scalar `first_expert`
  /// is set for `experts` in all.
  Group(mlir::ModuleOp module, int64_t members, int64_t experts,
        Precision precision = Precision::F64);

  int64_t size() const { return int64_t(ranks.size()); }
  /// A member's memory and outputs.
  Interpreter &operator[](int64_t member) { return ranks[size_t(member)]; }

  /// Calls a program (arguments without bindings, applications, exchanges, outputs) on all members;
  /// `arguments` of each. Failure after an error on the op that is to blame.
  llvm::LogicalResult call(llvm::StringRef program,
                           const std::vector<Interpreter::Values> &arguments);

private:
  llvm::LogicalResult exchange(ExchangeOp op, std::deque<Frame> &frames);

  mlir::ModuleOp module;
  Precision precision;
  std::deque<Interpreter> ranks;
};

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_GROUP_H
