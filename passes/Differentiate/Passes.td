// SPDX-License-Identifier: Apache-2.0
//
// Passes that make a training step out of a forward program.

#ifndef HADAL_PASSES_DIFFERENTIATE_PASSES_TD
#define HADAL_PASSES_DIFFERENTIATE_PASSES_TD

include "mlir/Pass/PassBase.td"

def HadalDifferentiate : Pass<"hadal-differentiate", "::mlir::ModuleOp"> {
  let summary = "makes forward, input-gradient and weight-gradient functions of the components, and @gradients";
  let description = [{
    Where `train` is among the module's programs: each component X that `@evaluate` applies and that a loss depends on
    becomes @X_F (X's results, then the values saved for the gradient), @X_B (gradients of X's results to gradients of its
    inputs, then the stash) and @X_W (adds to the accumulators of X's weights, may run any time after @X_B). The program
    `@gradients` applies them for one micro-batch. Without `evaluate` among the programs `@evaluate` goes; components
    that no program applies go too.

    - Gradients of a value that several components use are added by components `sum_<shape>`, the last user first.
    - W comes right after its B; those that share an accumulator come at the end, in the order of the forward pass.
    - What is saved and what is recomputed is the plan's `recompute`; a copy of smaller tensors (routed rows) is always
      made again rather than saved.
    - The embedding has a second accumulator for its use in the MTP depths (`NAME#mtp`), added when the step ends.
  }];
  let options = [
    ListOption<"recompute", "recompute", "std::string",
               "norms, mla_up, swiglu: what is recomputed, in place of the plan's list">,
    Option<"saveAll", "save-all", "bool", "false", "recompute nothing, whatever the plan says">];
  let statistics = [
    Statistic<"numComponents", "components", "components differentiated">,
    Statistic<"numRecomputed", "recomputed", "forward ops done again in B or W">,
    Statistic<"savedBytes", "saved-bytes", "bytes saved by the F functions (each once)">,
    Statistic<"stashBytes", "stash-bytes", "bytes stashed by the B functions (each once)">];
  let dependentDialects = ["::hadal::HadalDialect", "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

def HadalBuildUpdate : Pass<"hadal-build-update", "::mlir::ModuleOp"> {
  let summary = "builds the program @update: gradient norm, AdamW, router biases";
  let description = [{
    Where `train` is among the module's programs: `@update` adds up the squares of all gradients in manifest order
    (state `gradient_squares`), computes the clip factor (output `gradient_norm`), makes one AdamW step of each trained
    parameter, and moves each router bias by the counts of its layer. One component per distinct shape, applied with
    `parameter`.
  }];
  let statistics = [
    Statistic<"numParameters", "parameters", "trained parameters">,
    Statistic<"numUpdateComponents", "update-components", "components of the update">];
  let dependentDialects = ["::hadal::HadalDialect", "::mlir::func::FuncDialect"];
}

#endif // HADAL_PASSES_DIFFERENTIATE_PASSES_TD
