// SPDX-License-Identifier: Apache-2.0
//
// Passes that narrow what is held in memory to the plan's precision.

#ifndef HADAL_PASSES_QUANTIZE_PASSES_TD
#define HADAL_PASSES_QUANTIZE_PASSES_TD

include "mlir/Pass/PassBase.td"

def QuantizePass : Pass<"hadal-quantize", "::mlir::ModuleOp"> {
  let summary = "how buffers, weights and temporaries are held under a plan of less than f32";
  let description = [{
    Every op says in which format it reads each of its operands (passes/Quantize/Demands.h has the list); a value is held
    in the widest format that any of its readers asks for. What launches, copies and exchanges connect is one value:
    operands of components, buffers of all ranks' programs, the storages of parameters. Writes `hadal.stored` on buffers, on
    arguments and results of components, and on kernels (one a result). Types stay f32.

    Where the plan's precision is not f32, the optimizer works on master weights, which lie beside its moments: adamw
    updates `NAME#master`, and a pipe.copy brings it into the weight that products read.

    A plan of precision f32 is left alone.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
  let statistics = [
    Statistic<"narrowed", "narrowed", "buffers held in less than f32">,
    Statistic<"masters", "masters", "master weights">,
  ];
}

#endif // HADAL_PASSES_QUANTIZE_PASSES_TD
