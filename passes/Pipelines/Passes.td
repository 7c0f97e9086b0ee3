// SPDX-License-Identifier: Apache-2.0
//
// Passes that only pipelines need.

#ifndef HADAL_PASSES_PIPELINES_PASSES_TD
#define HADAL_PASSES_PIPELINES_PASSES_TD

include "mlir/Pass/PassBase.td"

def SelectProgramsPass : Pass<"hadal-select-programs", "::mlir::ModuleOp"> {
  let summary = "restricts a module to some of its programs";
  let description = [{
    Takes those of `programs` (train, generate, evaluate) that the module's `hadal.programs` asks for; all that are left
    out go. Refused where nothing is left.
  }];
  let options = [ListOption<"programs", "programs", "std::string", "which programs may stay">];
}

#endif // HADAL_PASSES_PIPELINES_PASSES_TD
