// SPDX-License-Identifier: Apache-2.0
//
// Passes that give buffers their places.

#ifndef HADAL_PASSES_MEMORY_PASSES_TD
#define HADAL_PASSES_MEMORY_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanFramesPass : Pass<"pipe-plan-frames", "::mlir::ModuleOp"> {
  let summary = "places of the temporaries of each component";
  let description = [{
    A temporary is a result of a component's kernel that the component does not return. It lies in a frame that the
    executor provides, from the kernel that writes it to the last one that reads it; then its place is free. Those with as
    many rows as routing gives (hadal.rows of the kernel) lie in frames of their own, which are packed in bytes of a row:
    such a packing holds for every number of rows. Writes the attribute `pipe.frame` of each component.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
  let options = [
    Option<"redZone", "red-zone", "int64_t", /*default=*/"0", "bytes left free behind each temporary">,
  ];
  let statistics = [
    Statistic<"temporaries", "temporaries", "temporaries placed">,
    Statistic<"largest", "largest-frame", "bytes of the largest frame">,
  ];
}

def PlanArenasPass : Pass<"pipe-plan-arenas", "::mlir::ModuleOp"> {
  let summary = "places of the buffers of each program";
  let description = [{
    A buffer in the arena lies there from its first instruction to its last (a named one, which the runtime reads, to the
    end of the program); then its place is free. With several streams a place is free for a buffer only when events say
    that every stream that used the last one has ended with it before any starts with the next; the transfers of a batch
    end together. Writes the buffers' offsets and the program's `arena`: its size, and what fills it at the moment of the
    peak, in list order.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
  let options = [
    Option<"redZone", "red-zone", "int64_t", /*default=*/"0", "bytes left free behind each buffer">,
  ];
  let statistics = [
    Statistic<"buffers", "buffers", "buffers placed">,
    Statistic<"bytes", "arena-bytes", "bytes of all arenas">,
    Statistic<"gaps", "gap-bytes", "bytes of all arenas that hold nothing at the moment of the peak">,
  ];
}

#endif // HADAL_PASSES_MEMORY_PASSES_TD
