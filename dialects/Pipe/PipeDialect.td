// SPDX-License-Identifier: Apache-2.0
//
// The pipe dialect: its types, attributes and what its instructions share.

#ifndef HADAL_DIALECTS_PIPE_PIPEDIALECT_TD
#define HADAL_DIALECTS_PIPE_PIPEDIALECT_TD

include "dialects/Pipe/PipeEnums.td"
include "dialects/Pipe/PipeInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"

def Pipe_Dialect : Dialect {
  let name = "pipe";
  let cppNamespace = "::hadal::pipe";
  let summary = "schedules: what each rank does, in which order, in which memory";
  let description = [{
    A `pipe.schedule` says how the micro-batches of a step are spread over ranks; passes/Schedule turns it and the
    straight-line programs of the hadal dialect into one `pipe.program` a rank: buffers and a flat list of instructions
    on named streams. Executor, simulator and tracer read that list.

    A stream runs its instructions in list order. Between streams only events order: an instruction behind a `pipe.wait`
    starts when all that stood on the recording stream before the `pipe.record` has ended. Transfers and collectives are
    instructions on streams of their own, with buffers as operands; the peer's rank is an attribute.
  }];
  let dependentDialects = ["::hadal::HadalDialect", "::mlir::func::FuncDialect"];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

def Pipe_StorageKindAttr : EnumAttr<Pipe_Dialect, Pipe_StorageKind, "storage_kind">;

def Pipe_DirectionAttr : EnumAttr<Pipe_Dialect, Pipe_Direction, "direction">;
def Pipe_RowCountAttr : EnumAttr<Pipe_Dialect, Pipe_RowCount, "row_count">;

def Pipe_BufferType : TypeDef<Pipe_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "a window of memory; its shape stands at the pipe.buffer that declares it";
  let builderCall = "$_builder.getType<::hadal::pipe::BufferType>()";
}

class Pipe_Attr<string name, string attrMnemonic> : AttrDef<Pipe_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Pipe_ArenaAttr : Pipe_Attr<"Arena", "arena"> {
  let summary = "size of a program's arena, and what fills it at the moment of the peak";
  let description = [{
    All in bytes. `live`: the sum of the buffers that hold a value at that moment; `activations`, `stash` (what waits from
    B to W) and `communication` are its parts. The rest up to `bytes` are gaps.
  }];
  let parameters = (ins "int64_t":$bytes, "int64_t":$live, "int64_t":$activations, "int64_t":$stash,
                        "int64_t":$communication);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Pipe_FrameAttr : Pipe_Attr<"Frame", "frame"> {
  let summary = "where a component's temporaries lie (attribute `pipe.frame` of its function)";
  let description = [{
    Temporaries are the results of the component's kernels that it does not return, those that update another one left
    out, in the order of the kernels. Bytes, and each one's offset. Where routing decides the number of rows, `rows` says of
    each temporary whether its size is fixed (0) or counts a row, received (1) or routed (2): those lie in frames of their
    own, whose bytes (`received`, `routed`) and offsets count a row, too.
  }];
  let parameters = (ins "int64_t":$bytes, OptionalArrayRefParameter<"int64_t">:$offsets,
                        OptionalArrayRefParameter<"int64_t">:$rows, DefaultValuedParameter<"int64_t", "0">:$received,
                        DefaultValuedParameter<"int64_t", "0">:$routed);
  let assemblyFormat = [{
    `<` `bytes` `=` $bytes (`,` `offsets` `=` `[` $offsets^ `]`)? (`rows` `[` $rows^ `]`)? (`received` $received^)?
    (`routed` $routed^)? `>`
  }];
}

def Pipe_GroupAttr : Pipe_Attr<"Group", "group"> {
  let summary = "the ranks that hold a parameter, in the order of its shards";
  let description = [{
    `#pipe.group<holders, ranks = [0, 15]>`: all replicas of pipeline rank 0, then all of 15. `expert_holders`: of each of
    these pipeline ranks only the replicas with this rank's place in the expert group (replica mod expert_parallel), which
    hold the same experts.
  }];
  let parameters = (ins EnumParameter<Pipe_GroupScope>:$scope, ArrayRefParameter<"int64_t">:$ranks);
  let assemblyFormat = "`<` $scope `,` `ranks` `=` `[` $ranks `]` `>`";
}

class Pipe_Op<string mnemonic, list<Trait> traits = []> : Op<Pipe_Dialect, mnemonic, traits>;

#endif // HADAL_DIALECTS_PIPE_PIPEDIALECT_TD
