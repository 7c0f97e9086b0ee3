// SPDX-License-Identifier: Apache-2.0
//
// What holds ops together: programs apply components to layers, kernels are regions of one launch.

#ifndef HADAL_DIALECTS_HADAL_PROGRAM_TD
#define HADAL_DIALECTS_HADAL_PROGRAM_TD

include "dialects/Hadal/Layers.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def Hadal_ApplyOp : Hadal_Op<"apply", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "applies a component to a layer";
  let description = [{
    `%y = hadal.apply @attn_dense layer 3 (%x) : (tensor<...>) -> tensor<...>` calls the component function; its bound
    arguments are found by name, with `{layer}` and `{parameter}` replaced. Operands and results are the component's
    arguments that are not bound, and its results.

    - C1: `component` names a function whose unbound arguments and results have these types.
    - C2: `layer` is there exactly when a binding of the component holds `{layer}`; `parameter` likewise.

    `stage`: the pipeline stage it runs on, from passes/Partition on.
  }];
  let arguments = (ins FlatSymbolRefAttr:$component, Variadic<AnyType>:$inputs, OptionalAttr<I64Attr>:$layer,
                       OptionalAttr<StrAttr>:$parameter, OptionalAttr<I64Attr>:$stage);
  let results = (outs Variadic<AnyType>:$outputs);
  let assemblyFormat = "$component (`layer` $layer^)? (`parameter` $parameter^)? `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)";
}

def Hadal_OutputOp : Hadal_Op<"output"> {
  let summary = "names a result of a program";
  let description = "The value can be read by `name` (`logits`, `main_loss`, `experts.3`, ...) when the program has run.";
  let arguments = (ins AnyType:$value, StrAttr:$name);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

def Hadal_RowGridAttr : Hadal_Attr<"RowGrid", "row_grid"> {
  let summary = "how a launch follows the number of rows that routing decides";
  let description = [{
    For n rows sizes[size] is n and the grid fixed + per_block ceil(n / block). The launch's `sizes` and `grid` are those of
    the most rows there can be. Which rows: `hadal.rows` of the kernel.
  }];
  let parameters = (ins "int64_t":$size, "int64_t":$block, "int64_t":$fixed, "int64_t":$per_block);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Hadal_LaunchAttr : Hadal_Attr<"Launch", "launch"> {
  let summary = "how a kernel is launched (written by the code generator)";
  let description = [{
    The kernel function, the sizes it gets, its grid (each index writes its own output elements), scratch bytes a thread,
    and the floating-point operations of one launch. Pointers: the operands in order, then the results that update no
    operand. `rows` is there where routing decides the number of rows.
  }];
  let parameters = (ins StringRefParameter<"the function">:$symbol, OptionalArrayRefParameter<"int64_t">:$sizes,
                        "int64_t":$grid, "int64_t":$scratch, "int64_t":$flops,
                        OptionalParameter<"RowGridAttr">:$rows);
  let assemblyFormat = "`<` $symbol `,` `sizes` `=` `[` (`]`) : ($sizes^ `]`)? `,` struct($grid, $scratch, $flops) (`,` `rows` `=` $rows^)? `>`";
}

def Hadal_KernelOp : Hadal_Op<"kernel", [IsolatedFromAbove, SingleBlockImplicitTerminator<"YieldOp">,
                                         DeclareOpInterfaceMethods<Hadal_InPlaceOpInterface>]> {
  let summary = "one launch";
  let description = [{
    A region of hadal ops that runs as one kernel: its block arguments are the operands, it yields the results. What is
    computed and used inside only never reaches memory (or lies in the kernel's scratch).

    - C1: block arguments have the operands' types, yielded values the results'.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs, OptionalAttr<Hadal_LaunchAttr>:$launch);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let hasVerifier = 1;
  let assemblyFormat = "`(` $inputs `)` attr-dict-with-keyword `:` functional-type($inputs, $outputs) $body";
}

def Hadal_YieldOp : Hadal_Op<"yield", [Pure, Terminator, ParentOneOf<["KernelOp"]>]> {
  let summary = "results of a kernel";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

#endif // HADAL_DIALECTS_HADAL_PROGRAM_TD
