// SPDX-License-Identifier: Apache-2.0
//
// Passes that turn straight-line programs into the instruction lists of ranks.

#ifndef HADAL_PASSES_SCHEDULE_PASSES_TD
#define HADAL_PASSES_SCHEDULE_PASSES_TD

include "mlir/Pass/PassBase.td"

def CreateSchedulePass : Pass<"pipe-create-schedule", "::mlir::ModuleOp"> {
  let summary = "the schedule that the plan asks for";
  let description = [{
    Adds a `pipe.schedule` for the function @gradients, with algorithm, ranks and micro-batches of the module's
    `hadal.plan`. Does nothing where there is no such function, or a schedule of it already.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
}

class ScheduleBase<string algorithm> : Pass<"pipe-schedule-" # algorithm, "::mlir::ModuleOp"> {
  let summary = "expands the schedules of algorithm " # algorithm # " to the order of each rank";
  let description = [{
    Writes the attribute `order` of each `pipe.schedule` of this algorithm that has none, and proves of it that each
    chunk's parts come in order, that sends and receives match, and that no rank waits for ever.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
  let statistics = [
    Statistic<"chunks", "chunks", "chunks of all ranks, an overlapped pair counted as two">,
    Statistic<"peak", "peak-chunks", "most chunks that wait for their backward part on one rank">,
  ];
}

def OneF1BPass : ScheduleBase<"1f1b">;
def Zb1pPass : ScheduleBase<"zb1p">;
def DualPipePass : ScheduleBase<"dualpipe">;
def DualPipeVPass : ScheduleBase<"dualpipev">;

def ExpandProgramsPass : Pass<"pipe-expand-programs", "::mlir::ModuleOp"> {
  let summary = "functions with hadal.program to pipe.program";
  let description = [{
    Every application of a component becomes a launch, every value a buffer. The program with a schedule becomes one a
    pipeline rank, in the rank's order: a part of it is all applications of its phase on the stage that the rank has in
    its direction, outputs carry the micro-batch behind a dot, tokens are windows of one input. With
    `early-weight-gradients` a W comes as soon as what it needs is there (W that add to one accumulator keep their order),
    so that the stash is small. The parts of an overlapped pair are interleaved as the schedule's `overlap` says:
    none, as published, or searched with a cost model: the module's `hadal.costs`, else FLOPs and bytes over rates; as many
    rows as balanced routing gives.
    A batch of transfers stands on a stream of its own; events order the streams, where one needs what another makes and
    nowhere else.

    Accumulators are zeroed at the start of a program that adds to them. The second half of the micro-batches adds to
    accumulators of its own (suffix `#half1`), which are added to the first half's at the end; then second accumulators
    of a parameter (`NAME#mtp`) are added to its first. Where several ranks hold a parameter, pipe.reduce_scatter does both,
    and leaves a rank its shard of the sum; the program of the optimizer works on shards then, and gathers the
    parameter. Where both halves are added on one rank, the first is reduced when it is complete, on a stream of its own, and
    each rank's window of it is parked (`NAME#parked`): the second half goes to the same accumulators. Where a rank has two
    stages, the last sums stand on that stream, too, and begin with the stage that is complete first. Counts of tokens are
    summed over all that hold the router.

    `evaluate` takes one micro-batch through the stages of direction 0. Programs that generate are for one rank.
  }];
  let dependentDialects = ["::hadal::pipe::PipeDialect"];
  let options = [
    Option<"earlyWeightGradients", "early-weight-gradients", "bool", /*default=*/"true",
           "weight gradients as soon as what they need is there">,
    Option<"flops", "flops", "double", /*default=*/"1e11", "overlap searched: what a rank computes in a second">,
    Option<"memoryBytes", "memory-bytes", "double", /*default=*/"1e10", "the bytes it reads and writes">,
    Option<"exchangeBytes", "exchange-bytes", "double", /*default=*/"2e9", "the bytes it sends to other members">,
  ];
  let statistics = [
    Statistic<"programs", "programs", "programs expanded">,
    Statistic<"launches", "launches", "launches made">,
    Statistic<"copies", "copies", "copies of values that are updated while they are still needed">,
    Statistic<"events", "events", "events between streams">,
  ];
}

#endif // HADAL_PASSES_SCHEDULE_PASSES_TD
