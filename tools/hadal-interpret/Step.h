// SPDX-License-Identifier: Apache-2.0
//
// One optimizer step on the interpreter: its rows, and the gradients of all its micro-batches.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_STEP_H
#define HADAL_TOOLS_HADAL_INTERPRET_STEP_H

#include "dialects/Hadal/Reference/Interpreter.h"
#include "runtime/data/Rows.h"
#include "tools/hadal-interpret/Inputs.h"

#include <functional>

namespace hadal::tools {

/// The rows of one step, cut into micro-batches.
class StepRows {
public:
  /// `table` holds exactly the rows of one step; throws rt::InputError naming `file` if not.
  StepRows(const ModelInputs &inputs, rt::TokenTable table, const std::string &file);

  int64_t microBatches() const { return table.rows / sequences; }
  /// The arguments of a program for micro-batch m.
  reference::Interpreter::Values microBatch(int64_t m) const;

private:
  int64_t sequences;
  rt::TokenTable table;
};

/// Runs @gradients over the micro-batches of a step and leaves the gradients in the store: each
/// half of the micro-batches is added up by itself (in order), then both, then the second
/// accumulators (`NAME#mtp`) go to the first ones. `done` sees the interpreter after each
/// micro-batch.
llvm::LogicalResult computeGradients(
    mlir::ModuleOp module, reference::Interpreter &interpreter, const StepRows &rows,
    const std::function<void()> &done = [] {});

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_STEP_H
