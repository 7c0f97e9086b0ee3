// SPDX-License-Identifier: Apache-2.0
//
// One optimizer step on the interpreter: its rows, and the gradients of all its micro-batches.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_STEP_H
#define HADAL_TOOLS_HADAL_INTERPRET_STEP_H

#include "dialects/Hadal/Reference/Group.h"
#include "runtime/data/Rows.h"
#include "tools/hadal-interpret/Inputs.h"

#include <functional>

namespace hadal::tools {

/// The rows of one step, cut into micro-batches.
class StepRows {
public:
  /// `table` holds exactly the rows of one step; throws rt::InputError naming `file` if not.
  StepRows(const ModelInputs &inputs, rt::TokenTable table, const std::string &file);

  /// Of each replica.
  int64_t microBatches() const { return batches; }
  int64_t replicas() const { return count; }
  /// The arguments of a program for micro-batch m of `members` replicas from `replica` on.
  std::vector<reference::Interpreter::Values> microBatch(int64_t m, int64_t replica,
                                                         int64_t members) const;

private:
  int64_t sequences, batches, count;
  rt::TokenTable table;
};

/// By name.
using Gradients = std::map<std::string, reference::Tensor>;

/// Runs @gradients over the micro-batches of a step, on one group of replicas after the other, and
/// adds up in the order of the numeric contract: the micro-batches of a half on each replica, then
/// replicas (of routed experts: the members' slices are joined, then groups), then both halves,
/// then the second accumulators (`NAME#mtp`) go to the first ones. `done` sees the group after each
/// micro-batch.
llvm::FailureOr<Gradients> computeGradients(
    mlir::ModuleOp module, reference::Group &group, const ModelInputs &inputs, const StepRows &rows,
    const std::function<void()> &done = [] {});

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_STEP_H
