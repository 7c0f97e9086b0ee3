// SPDX-License-Identifier: Apache-2.0
//
// hadal-interpret on one function: arguments from a file, results into one.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_CALLFUNCTION_H
#define HADAL_TOOLS_HADAL_INTERPRET_CALLFUNCTION_H

#include "dialects/Hadal/Reference/Interpreter.h"

namespace hadal::tools {

struct FunctionFlags {
  std::string model, function, arguments, out;
  reference::Precision precision = reference::Precision::F64;
};

/// Argument i is the tensor `arg<i>`, or one named by its attribute `hadal.name` or by what it is
/// bound to (`gradient.NAME`, `moment1.NAME`, `moment2.NAME`, otherwise NAME; accumulators, moments
/// and state start at zero). Results are `result<i>`. The scales of a scaled matrix are a tensor of
/// their own, `<name>_scale`. Returns an exit code; throws rt::InputError and rt::RunError.
int callFunction(mlir::ModuleOp module, const FunctionFlags &flags);

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_CALLFUNCTION_H
