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
    - C4: `order` has one list of strings a rank.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$program, StrAttr:$algorithm, I64Attr:$ranks,
                       I64Attr:$micro_batches, OptionalAttr<TypedArrayAttrBase<StrArrayAttr, "lists of strings">>:$order);
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
    `evaluate`, `prefill`, `decode`; on several ranks the symbol carries a suffix `.RANK` from rank 1 on).

    - C1: `rank` is not negative; there is a stream, and no two streams share a name.
    - C2: the body holds only `pipe.buffer` and instructions.
    - C3: no two buffers share a name.
    - C4: an instruction's stream is one of the program's.
    - C5: what a `pipe.wait` waits for is recorded before it; no event is recorded twice.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$rank, StrArrayAttr:$streams, OptionalAttr<Pipe_ArenaAttr>:$arena);
  let regions = (region SizedRegion<1>:$body);
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let assemblyFormat = "$sym_name `rank` $rank `streams` $streams (`arena` $arena^)? attr-dict-with-keyword $body";
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
    none until passes/Memory gives it one.

    - C1: the shape is static, its elements are integers or floats.
    - C2: a buffer in the arena names no storage; every other one does.
    - C3: `at` is not negative and a multiple of the element's size.
  }];
  let arguments = (ins OptionalAttr<StrAttr>:$name, Pipe_StorageKindAttr:$kind, OptionalAttr<StrAttr>:$storage,
                       OptionalAttr<I64Attr>:$offset, TypeAttrOf<AnyRankedTensor>:$type);
  let results = (outs Pipe_BufferType:$result);
  let hasVerifier = 1;
  let assemblyFormat = "($name^)? `` $kind ($storage^)? (`at` $offset^)? attr-dict `:` $type";
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType tensorType();
    /// Bytes of the window.
    int64_t bytes();
  }];
}

class Pipe_Instruction<string mnemonic, list<Trait> traits = []>
    : Pipe_Op<mnemonic, !listconcat([HasParent<"ProgramOp">, DeclareOpInterfaceMethods<Pipe_InstructionOpInterface>],
                                    traits)>;

def Pipe_LaunchOp : Pipe_Instruction<"launch", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a component";
  let description = [{
    Buffers: the component's arguments in order, then its results that update no argument. A result that updates one lies
    in the argument's buffer. `phase`, `layer`, `micro_batch` and `parameter` say what for.

    - C1: `component` names a function.
    - C2: there are as many buffers as arguments and results that update none.
    - C3: each has the type of its argument or result.
  }];
  let arguments = (ins FlatSymbolRefAttr:$component, Variadic<Pipe_BufferType>:$buffers, I64Attr:$stream,
                       Hadal_PhaseAttr:$phase, OptionalAttr<I64Attr>:$layer, OptionalAttr<I64Attr>:$micro_batch,
                       OptionalAttr<StrAttr>:$parameter);
  let assemblyFormat = [{
    $component `(` $buffers `)` `stream` $stream `phase` `` $phase (`layer` $layer^)? (`micro_batch` $micro_batch^)?
    (`parameter` $parameter^)? attr-dict
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

#endif // HADAL_DIALECTS_PIPE_PIPEOPS_TD
