// SPDX-License-Identifier: Apache-2.0
//
// Passes that cut a model apart for several ranks.

#ifndef HADAL_PASSES_PARTITION_PASSES_TD
#define HADAL_PASSES_PARTITION_PASSES_TD

include "mlir/Pass/PassBase.td"

def PartitionExpertsPass : Pass<"hadal-partition-experts", "::mlir::ModuleOp"> {
  let summary = "a layer's experts on several ranks";
  let description = [{
    Where the plan's `expert_parallel` is above 1: each layer with experts of `@evaluate`, so far a router (in its attention
    component) and an MLP, becomes: router with the layout of the exchange, hadal.exchange scatter, the MLP of what was
    received (and the shared expert of the rank's own tokens), hadal.exchange gather, and a component `NAME_merge` that
    adds a token's rows from the members, the shared expert and the residual. The stacks of experts become slices of the
    same name. Generation stays as it is: it runs on one rank with all experts.
  }];
  let options = [Option<"members", "members", "int64_t", /*default=*/"0", "in place of the plan's expert_parallel">];
  let dependentDialects = ["::hadal::HadalDialect", "::mlir::func::FuncDialect"];
  let statistics = [Statistic<"layers", "layers", "layers whose experts are on several ranks">];
}

def PartitionStagesPass : Pass<"hadal-partition-stages", "::mlir::ModuleOp"> {
  let summary = "the pipeline stage of each application";
  let description = [{
    Gives every hadal.apply and hadal.exchange of `@gradients` and `@evaluate` the attribute `stage`: that of its layer; the
    embedding is on the first stage, final norm, head and all of MTP on the last. Where the plan leaves the stages open they
    are balanced: by the dearest stage, and where a rank has two of them (dualpipe, dualpipev) by the dearest rank. What has
    neither layer nor weight is where its operands are: forwards on the latest of their stages, backwards on the earliest.
    Refuses programs where anything but one float tensor (and the tokens) crosses a border forwards, and one backwards.
  }];
  let options = [ListOption<"layers", "layers", "int64_t", "main layers on each stage, in place of the plan's">];
  let dependentDialects = ["::hadal::HadalDialect"];
  let statistics = [Statistic<"stages", "stages", "stages of the pipeline">];
}

def RowClassesPass : Pass<"hadal-row-classes", "::mlir::ModuleOp"> {
  let summary = "which values have as many rows as routing gives";
  let description = [{
    From the results of hadal.exchange through components and kernels: `hadal.rows = #hadal.rows<received|routed>` on
    arguments and results of components and on ops (hadal-fuse: on kernels) whose rows are a rank's received tokens, or the pairs of such a
    token and an expert of this rank. The type of such a value has the most rows there can be. Refuses a component that
    is applied to values of different classes.
  }];
  let dependentDialects = ["::hadal::HadalDialect"];
  let statistics = [Statistic<"ops", "ops", "ops whose rows routing counts">];
}

#endif // HADAL_PASSES_PARTITION_PASSES_TD
