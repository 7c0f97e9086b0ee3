// SPDX-License-Identifier: Apache-2.0
//
// Passes that shape components into kernels.

#ifndef HADAL_PASSES_FUSE_PASSES_TD
#define HADAL_PASSES_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def AbsorbProjectionsPass : Pass<"hadal-absorb-projections", "::mlir::ModuleOp"> {
  let summary = "attention over the cache in the latent space";
  let description = [{
    Rewrites hadal.cached_attention to absorb_query, latent_attention, expand_value: W_UK goes into the query and W_UV
    behind the softmax, so that no key or value is projected up.
  }];
  let dependentDialects = ["::hadal::HadalDialect"];
  let statistics = [Statistic<"absorbed", "absorbed", "attention ops taken into the latent space">];
}

def DecomposePass : Pass<"hadal-decompose", "::mlir::ModuleOp"> {
  let summary = "ops that are no kernel of their own become several; scaled tensors become their two parts";
  let description = [{
    hadal.cross_entropy and hadal.sequence_balance become their rows and hadal.reduce_loss, hadal.attention_gradient that
    of each head and hadal.sum_heads; hadal.quantize and
    hadal.dequantize work on builtin tensors, and a value of type !hadal.scaled becomes its elements and its scales.
  }];
  let dependentDialects = ["::hadal::HadalDialect"];
  let statistics = [Statistic<"decomposed", "decomposed", "ops made into several">];
}

def FusePass : Pass<"hadal-fuse", "::mlir::ModuleOp"> {
  let summary = "forms kernels: one region = one launch";
  let description = [{
    The body of every component becomes a sequence of hadal.kernel. A product takes the elementwise ops that follow it, and
    gathers its rows itself where hadal.dispatch stands before it;
    row-local ops over the same rows share a kernel; everything else is a kernel of its own. No path leads out of a kernel
    and back in, and no kernel reaches across components.
  }];
  let options = [Option<"enable", "enable", "bool", /*default=*/"true", "false: one op a kernel">];
  let dependentDialects = ["::hadal::HadalDialect"];
  let statistics = [Statistic<"kernels", "kernels", "kernels formed">,
                    Statistic<"fused", "fused", "ops that share a kernel with others">];
}

#endif // HADAL_PASSES_FUSE_PASSES_TD
