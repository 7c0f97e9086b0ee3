// SPDX-License-Identifier: Apache-2.0
//
// Ops of the pipe dialect.

#ifndef HADAL_DIALECTS_PIPE_PIPEOPS_TD
#define HADAL_DIALECTS_PIPE_PIPEOPS_TD

include "dialects/Hadal/HadalDialect.td"
include "dialects/Pipe/PipeDialect.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"

def Pipe_ScheduleOp : Pipe_Op<"schedule", [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "how the micro-batches of a step are spread over ranks";
  let description = [{
    `pipe.schedule @training of @gradients algorithm "1f1b" ranks 1 micro_batches 4` names the program of one micro-batch.
    `order` is what --pipe-schedule-1f1b and its like write: for each rank its chunks in order. `F0.3` is the forward part
    of micro-batch 3 of direction 0, `B` the backward part with both gradients, `I` the input gradients only, `W` the
    deferred weight gradients, `a+b` an overlapped pair, `[...]` one batch of transfers: `>F0.3@1` is a send to rank 1,
    `<B1.0@2` a receive from rank 2.

    - C1: `algorithm` is 1f1b, zb1p, dualpipe or dualpipev.
    - C2: `ranks` and `micro_batches` are a size that the algorithm has.
    - C3: `program` names a function with `hadal.program`.
    `data_parallel` replicas run each rank's program, `expert_parallel` of them share a layer's experts; `overlap` says how
    the components of a pair are interleaved.

    - C4: `order` has one list of strings a rank.
    - C5: `data_parallel` and `expert_parallel` are positive, the latter divides the former.
    - C6: `overlap` is none, paper or searched.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$program, StrAttr:$algorithm, I64Attr:$ranks,
                       I64Attr:$micro_batches, OptionalAttr<TypedArrayAttrBase<StrArrayAttr, "lists of strings">>:$order,
                       DefaultValuedAttr<I64Attr, "1">:$data_parallel, DefaultValuedAttr<I64Attr, "1">:$expert_parallel,
                       DefaultValuedStrAttr<StrAttr, "none">:$overlap);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $sym_name `of` $program `algorithm` $algorithm `ranks` $ranks `micro_batches` $micro_batches (`order` $order^)?
    attr-dict
  }];
}

def Pipe_ProgramOp : Pipe_Op<"program", [Symbol, IsolatedFromAbove, NoTerminator, SingleBlock, NoRegionArguments,
                                         RegionKindInterface]> {
  let summary = "what one rank does in one run";
  let description = [{
    Buffers and instructions in order. The runtime finds a program by its symbol and its rank (`gradients`, `update`,
    `evaluate`, `prefill`, `decode`; on several ranks the symbol carries a suffix `.RANK` from rank 1 on). `rank` is a
    pipeline rank: all replicas run one program, and what differs between them (shards, peers) the runtime works out.
    `chunks` are the computing parts of the rank's order (`F0.3`, `F0.4+B1.1`, ...); the attribute `pipe.chunk` of an
    instruction is an index into them.

    - C1: `rank` is not negative; there is a stream, and no two streams share a name.
    - C2: the body holds only `pipe.buffer` and instructions.
    - C3: no two buffers share a name.
    - C4: an instruction's stream is one of the program's.
    - C5: what a `pipe.wait` waits for is recorded before it; no event is recorded twice.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$rank, StrArrayAttr:$streams,
                       OptionalAttr<StrArrayAttr>:$chunks, OptionalAttr<Pipe_ArenaAttr>:$arena);
  let regions = (region SizedRegion<1>:$body);
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let assemblyFormat = "$sym_name `rank` $rank `streams` $streams (`chunks` $chunks^)? (`arena` $arena^)? attr-dict-with-keyword $body";
  let extraClassDeclaration = [{
    static ::mlir::RegionKind getRegionKind(unsigned) { return ::mlir::RegionKind::SSACFG; }
  }];
}

def Pipe_BufferOp : Pipe_Op<"buffer", [DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "declares a buffer";
  let description = [{
    `%tokens = pipe.buffer "tokens" input "gradients.tokens" : tensor<4x257xi32>` is a typed window of a storage. Storages
    are known by kind and name, and all programs of a bundle share them; only the arena belongs to one program. `name` is
    what the runtime asks for. `at` is the window's place in bytes, 0 where it is left out; a buffer in the arena has
    none until passes/Memory gives it one. A `shard` is the window that belongs to this rank among the holders of a
    parameter: holder i has the elements from i times the window's length on; what lies behind the tensor's end is padding.
    A buffer of kind `rows` has as many rows as routing gave (pipe.allocate makes room for it); its type has the most
    there can be, and `rows` says which count it has.

    - C1: the shape is static, its elements are integers or floats.
    - C2: a buffer in the arena or of kind rows names no storage; every other one does.
    - C3: `at` is not negative and a multiple of the element's size.
    - C4: `rows` is there exactly for kind rows.
  }];
  let arguments = (ins OptionalAttr<StrAttr>:$name, Pipe_StorageKindAttr:$kind, OptionalAttr<StrAttr>:$storage,
                       OptionalAttr<I64Attr>:$offset, OptionalAttr<Pipe_GroupAttr>:$shard,
                       OptionalAttr<Pipe_RowCountAttr>:$rows, TypeAttrOf<AnyRankedTensor>:$type);
  let results = (outs Pipe_BufferType:$result);
  let hasVerifier = 1;
  let assemblyFormat = "($name^)? `` $kind ($storage^)? (`at` $offset^)? (`shard` $shard^)? (`rows` $rows^)? attr-dict `:` $type";
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType tensorType();
    /// Bytes of the window.
    int64_t bytes();
  }];
}

class Pipe_Instruction<string mnemonic, list<Trait> traits = []>
    : Pipe_Op<mnemonic, !listconcat([HasParent<"ProgramOp">, DeclareOpInterfaceMethods<Pipe_InstructionOpInterface>],
                                    traits)>;

def Pipe_LaunchOp : Pipe_Instruction<"launch", [AttrSizedOperandSegments,
                                                DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a component";
  let description = [{
    Buffers: the component's arguments in order, then its results that update no argument. A result that updates one lies
    in the argument's buffer. `phase`, `layer`, `micro_batch` and `parameter` say what for. `received` is there where the
    component works on rows whose number routing decides: the result of the pipe.exchange_counts that tells it.

    - C1: `component` names a function.
    - C2: there are as many buffers as arguments and results that update none.
    - C3: each has the type of its argument or result.
  }];
  let arguments = (ins FlatSymbolRefAttr:$component, Variadic<Pipe_BufferType>:$buffers,
                       Optional<Pipe_BufferType>:$received, I64Attr:$stream, Hadal_PhaseAttr:$phase,
                       OptionalAttr<I64Attr>:$layer, OptionalAttr<I64Attr>:$micro_batch,
                       OptionalAttr<StrAttr>:$parameter);
  let assemblyFormat = [{
    $component `(` $buffers `)` (`received` $received^)? `stream` $stream `phase` `` $phase (`layer` $layer^)?
    (`micro_batch` $micro_batch^)? (`parameter` $parameter^)? attr-dict
  }];
}

def Pipe_ZeroOp : Pipe_Instruction<"zero"> {
  let summary = "fills a buffer with zeros";
  let arguments = (ins Pipe_BufferType:$buffer, I64Attr:$stream);
  let assemblyFormat = "$buffer `stream` $stream attr-dict";
}

def Pipe_CopyOp : Pipe_Instruction<"copy"> {
  let summary = "copies a buffer";
  let description = "C1: both buffers have the same type.";
  let arguments = (ins Pipe_BufferType:$from, Pipe_BufferType:$to, I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = "$from `to` $to `stream` $stream attr-dict";
}

def Pipe_RecordOp : Pipe_Instruction<"record"> {
  let summary = "an event: all that stands on the stream before it has ended";
  let arguments = (ins I64Attr:$event, I64Attr:$stream);
  let assemblyFormat = "$event `stream` $stream attr-dict";
}

def Pipe_WaitOp : Pipe_Instruction<"wait"> {
  let summary = "holds a stream until an event";
  let arguments = (ins I64Attr:$event, I64Attr:$stream);
  let assemblyFormat = "$event `stream` $stream attr-dict";
}

//===- Between pipeline ranks: transfers ------------------------------------------------------------------------------===//

class Pipe_Transfer<string mnemonic> : Pipe_Instruction<mnemonic> {
  let arguments = (ins Pipe_BufferType:$buffer, I64Attr:$peer, I64Attr:$batch, I64Attr:$stream);
}

def Pipe_SendOp : Pipe_Transfer<"send"> {
  let summary = "sends a buffer to another pipeline rank of the same replica";
  let description = [{
    Sends and receives that follow each other on a stream with one `batch` number are committed together, and the batch
    ends when all of them have met their counterparts. Those between two ranks match in list order.

    C1: `peer` is not negative and not the program's own rank.
  }];
  let assemblyFormat = "$buffer `to` $peer `batch` $batch `stream` $stream attr-dict";
  let hasVerifier = 1;
}

def Pipe_ReceiveOp : Pipe_Transfer<"receive"> {
  let summary = "receives a buffer from another pipeline rank of the same replica";
  let description = "See pipe.send. C1: `peer` is not negative and not the program's own rank.";
  let assemblyFormat = "$buffer `from` $peer `batch` $batch `stream` $stream attr-dict";
  let hasVerifier = 1;
}

//===- Between replicas: exchanges of routed rows ---------------------------------------------------------------------===//

def Pipe_ExchangeCountsOp : Pipe_Instruction<"exchange_counts"> {
  let summary = "tells every member of the expert group how many rows it will get";
  let description = [{
    `send_counts` [2, ep] i64: tokens and routed rows (pairs of token and expert) for each member. `received` [2, ep + 1]
    i64: running sums over the members in order of what this rank gets from each; the last column holds the totals, which
    buffers of those classes are sized by.
  }];
  let arguments = (ins Pipe_BufferType:$send_counts, Pipe_BufferType:$received, Hadal_PhaseAttr:$phase, I64Attr:$layer,
                       OptionalAttr<I64Attr>:$micro_batch, I64Attr:$stream);
  let assemblyFormat = [{
    $send_counts `to` $received `stream` $stream `phase` `` $phase `layer` $layer (`micro_batch` $micro_batch^)? attr-dict
  }];
}

def Pipe_ExchangeRowsOp : Pipe_Instruction<"exchange_rows", [SameVariadicOperandSize]> {
  let summary = "rows of tokens to the ranks of their experts, or back";
  let description = [{
    `scatter`: row send_token[i] of each `from` [tokens, ...] goes to the member whose range of `send_offsets` holds i, and
    arrives in `to` [received, ...] behind the rows of lower members. `gather`: the way back: row j of `from` [received, ...]
    returns to where it came from, and arrives in `to` [sent, ...] at the place i it was sent from. `send_offsets` [ep + 1]
    i64, `send_token` [sent] i32, `received` as pipe.exchange_counts gives it.

    C1: as many `from` as `to`, one at least; each pair has one element type and equal sizes behind the rows.
  }];
  let arguments = (ins Variadic<Pipe_BufferType>:$from, Variadic<Pipe_BufferType>:$to, Pipe_BufferType:$send_offsets,
                       Pipe_BufferType:$send_token, Pipe_BufferType:$received, Pipe_DirectionAttr:$direction,
                       Hadal_PhaseAttr:$phase, I64Attr:$layer, OptionalAttr<I64Attr>:$micro_batch, I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $direction `(` $from `)` `to` `(` $to `)` `by` $send_offsets `,` $send_token `,` $received `stream` $stream
    `phase` `` $phase `layer` $layer (`micro_batch` $micro_batch^)? attr-dict
  }];
}

def Pipe_AllocateOp : Pipe_Instruction<"allocate"> {
  let summary = "makes room for a buffer whose rows are known now";
  let description = "C1: the buffer is of kind `rows`. `received`: the result of the pipe.exchange_counts that sizes it.";
  let arguments = (ins Pipe_BufferType:$buffer, Pipe_BufferType:$received, I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = "$buffer `by` $received `stream` $stream attr-dict";
}

def Pipe_FreeOp : Pipe_Instruction<"free"> {
  let summary = "gives the room of a buffer back";
  let description = "C1: the buffer is of kind `rows`.";
  let arguments = (ins Pipe_BufferType:$buffer, I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = "$buffer `stream` $stream attr-dict";
}

//===- Between all that hold a parameter ------------------------------------------------------------------------------===//

def Pipe_ReduceScatterOp : Pipe_Instruction<"reduce_scatter", [AttrSizedOperandSegments]> {
  let summary = "sums a gradient over all that hold its parameter, each its shard";
  let description = [{
    `accumulators`: what this rank has of the gradient. `sums` lists, the same on all ranks, which accumulators are added in
    which order: sums[a][h] = [index of a pipeline rank in the group's list, index among that rank's accumulators]. Per
    a and h over the replicas of the group ascending, then over h, then over a; element by element in f32 (DESIGN's
    contract: halves, replicas, second accumulators). `shard` is this rank's window of the result.

    `parked`: windows that reduce_scatters of the same group left before. sums[a][h] = [index among them] adds that window
    of the rank itself. A rank may have no accumulators: it takes part for its window.

    C1: `sums` names ranks of the group, and parked windows that are there.
  }];
  let arguments = (ins Variadic<Pipe_BufferType>:$accumulators, Variadic<Pipe_BufferType>:$parked,
                       Pipe_BufferType:$shard, Pipe_GroupAttr:$group, ArrayAttr:$sums, StrAttr:$parameter,
                       I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = [{
    `(` $accumulators `)` (`parked` `(` $parked^ `)`)? `to` $shard `group` $group `sums` $sums `parameter` $parameter
    `stream` $stream attr-dict
  }];
}

def Pipe_AllGatherOp : Pipe_Instruction<"all_gather"> {
  let summary = "every holder's shard of a parameter to all holders";
  let description = "`whole` is the parameter; this rank's shard of it is up to date before, all of it behind.";
  let arguments = (ins Pipe_BufferType:$whole, Pipe_GroupAttr:$group, StrAttr:$parameter, I64Attr:$stream);
  let assemblyFormat = "$whole `group` $group `parameter` $parameter `stream` $stream attr-dict";
}

def Pipe_TotalSquaresOp : Pipe_Instruction<"total_squares"> {
  let summary = "the square of the gradient's norm, over all ranks";
  let description = [{
    `blocks`: f64 sums of squares of this rank's shards, one a block of 65,536 elements. Rank 0 adds them: parameters in the
    manifest's order, members of the expert group ascending, holders ascending, blocks in order; `total` (f64, rank 0)
    is the same on all ranks. `parameters` and `groups` name what the blocks are of. C1: as many of each.
  }];
  let arguments = (ins Variadic<Pipe_BufferType>:$blocks, Pipe_BufferType:$total, StrArrayAttr:$parameters,
                       ArrayAttr:$groups, I64Attr:$stream);
  let hasVerifier = 1;
  let assemblyFormat = [{
    `(` $blocks `)` `to` $total `parameters` $parameters `groups` $groups `stream` $stream attr-dict
  }];
}

def Pipe_AllReduceOp : Pipe_Instruction<"all_reduce"> {
  let summary = "sums integers over a group, in place";
  let arguments = (ins Pipe_BufferType:$buffer, Pipe_GroupAttr:$group, I64Attr:$stream);
  let assemblyFormat = "$buffer `group` $group `stream` $stream attr-dict";
}

#endif // HADAL_DIALECTS_PIPE_PIPEOPS_TD
