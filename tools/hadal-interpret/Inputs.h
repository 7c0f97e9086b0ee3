// SPDX-License-Identifier: Apache-2.0
//
// What a model run needs beside the IR: spec and plan, weights, rotary tables, scalars.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_INPUTS_H
#define HADAL_TOOLS_HADAL_INTERPRET_INPUTS_H

#include "dialects/Hadal/Reference/Group.h"
#include "frontend/ModelSpec.h"
#include "frontend/Plan.h"

#include "mlir/IR/BuiltinOps.h"

namespace hadal::tools {

struct ModelInputs {
  ModelSpec spec;
  Plan plan;

  /// Reads the spec and plan that a module carries. Throws rt::InputError naming `file`.
  ModelInputs(mlir::ModuleOp module, const std::string &file);

  /// Puts every parameter into the store, routed experts stacked. Throws rt::InputError: what is
  /// missing, misshapen or unexpected, by name.
  void loadWeights(const std::string &path, reference::Store &store) const;
  /// cos and sin for the positions that the module's components ask for.
  void makeRotaryTables(mlir::ModuleOp module, reference::Store &store) const;
  /// What seeds the gradients of the losses.
  void setSeeds(reference::Store &store) const;
  /// Gives every member the weights, constants and scalars of `whole`; of routed experts its own.
  void share(const reference::Store &whole, reference::Group &group) const;
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_INPUTS_H
