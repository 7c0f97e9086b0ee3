// SPDX-License-Identifier: Apache-2.0
//
// hadal-interpret on a model: outputs and gradients as `hadal-run evaluate` gives them.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_EVALUATE_H
#define HADAL_TOOLS_HADAL_INTERPRET_EVALUATE_H

#include "dialects/Hadal/Reference/Interpreter.h"

namespace hadal::tools {

struct EvaluateFlags {
  std::string model, weights, tokens, out;
  bool gradients = false;
  reference::Precision precision = reference::Precision::F64;
};

/// Interprets the rows of one step and writes the file. Returns an exit code (ToolSupport's);
/// throws rt::InputError and rt::RunError.
int evaluate(mlir::ModuleOp module, const EvaluateFlags &flags);

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_EVALUATE_H
