// SPDX-License-Identifier: Apache-2.0
//
// Layers: sums, products with weights, RMSNorm, SwiGLU, embedding. `...` stands for any leading dimensions.

#ifndef HADAL_DIALECTS_HADAL_LAYERS_TD
#define HADAL_DIALECTS_HADAL_LAYERS_TD

include "dialects/Hadal/HadalDialect.td"
include "dialects/Hadal/HadalInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

/// As InferTypeOpAdaptor, with the attributes that a parser has not made properties yet (ShapeCheck.h).
def Hadal_InferTypes : TraitList<[
  DeclareOpInterfaceMethods<InferTypeOpInterface>,
  NativeOpTrait<"InferTypeOpAdaptor", [], [{
    static ::llvm::LogicalResult inferReturnTypes(::mlir::MLIRContext *context, std::optional<::mlir::Location> location,
                                                  Adaptor adaptor, ::llvm::SmallVectorImpl<::mlir::Type> &types);
  }], [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *context, std::optional<::mlir::Location> location, ::mlir::ValueRange operands,
        ::mlir::DictionaryAttr attributes, ::mlir::OpaqueProperties properties, ::mlir::RegionRange regions,
        ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return ::hadal::inferWithAttributes<$cppClass>(context, location, operands, attributes, properties, regions, types);
    }
  }]>]>;

class Hadal_PureOp<string mnemonic, list<Trait> traits = []>
    : Hadal_Op<mnemonic, !listconcat([Pure, Hadal_InferTypes], traits)>;

/// An op with a gradient.
class Hadal_ForwardOp<string mnemonic, list<Trait> traits = []>
    : Hadal_PureOp<mnemonic,
                   !listconcat([DeclareOpInterfaceMethods<Hadal_DifferentiableOpInterface>], traits)>;

/// An op whose result i updates operand updated[i] (further results are tensors of their own).
class Hadal_UpdatingOp<string mnemonic, list<string> updated, list<Trait> traits = []>
    : Hadal_PureOp<mnemonic, !listconcat([DeclareOpInterfaceMethods<Hadal_InPlaceOpInterface>], traits)> {
  let extraClassDefinition = [{
    int64_t $cppClass::getUpdatedOperand(unsigned result) {
      const int64_t operands[] = }] # "{" # !interleave(!foreach(name, updated,
        "get" # !toupper(!substr(name, 0, 1)) # !substr(name, 1) # "Mutable().getOperandNumber()"), ", ") # "};" # [{
      return result < std::size(operands) ? operands[result] : -1;
    }
  }];
}

def Hadal_AddOp : Hadal_ForwardOp<"add"> {
  let summary = "sum of two tensors, element by element";
  let description = "C1: both operands have the same type, which is the result's.";
  let arguments = (ins Hadal_F32:$lhs, Hadal_F32:$rhs);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($lhs) `,` type($rhs)";
}

def Hadal_LinearOp : Hadal_ForwardOp<"linear"> {
  let summary = "product with a weight matrix";
  let description = [{
    `input` [..., in] and `weight` [out, in] give [..., out]: result[r, o] = sum_i input[r, i] weight[o, i].
    With `transpose_weight` `input` is [..., out] and the result [..., in]: sum_o input[r, o] weight[o, i] (the input
    gradient of the plain form).

    - C1: `weight` has rank 2.
    - C2: the last dimension of `input` is the weight's `in` (with `transpose_weight`: its `out`).
  }];
  let arguments = (ins Hadal_F32:$input, Hadal_F32:$weight, UnitAttr:$transpose_weight);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
}

def Hadal_WeightGradientOp : Hadal_UpdatingOp<"weight_gradient", ["accumulator"]> {
  let summary = "weight gradient of hadal.linear, added to an accumulator";
  let description = [{
    result[o, i] = accumulator[o, i] + sum_r gradient[r, o] input[r, i], rows r ascending. Updates `accumulator`.

    - C1: `gradient` [..., out] and `input` [..., in] have the same leading dimensions.
    - C2: `accumulator` is [out, in].
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$input, Hadal_F32:$accumulator);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gradient `,` $input `,` $accumulator attr-dict `:` type($gradient) `,` type($input) `,` type($accumulator)";
}

def Hadal_RmsNormOp : Hadal_ForwardOp<"rms_norm"> {
  let summary = "RMSNorm";
  let description = [{
    inverse_rms[r] = 1 / sqrt(mean_i input[r, i]^2 + epsilon); result[r, i] = weight[i] (input[r, i] inverse_rms[r]).
    `input` [..., d], `weight` [d], `inverse_rms` [...].

    - C1: `weight` has rank 1 and the size of the input's last dimension.
    - C2: `epsilon` is not negative.
  }];
  let arguments = (ins Hadal_F32:$input, Hadal_F32:$weight, F64Attr:$epsilon);
  let results = (outs Hadal_F32:$result, Hadal_F32:$inverse_rms);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
}

def Hadal_RmsNormGradientOp : Hadal_PureOp<"rms_norm_gradient"> {
  let summary = "input gradient of hadal.rms_norm";
  let description = [{
    With h = gradient weight, s = inverse_rms: result = s h - input s^3 (sum_i h_i input_i) / d. C1: as in hadal.rms_norm;
    `gradient` has the type of `input`, `inverse_rms` its leading dimensions.
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$input, Hadal_F32:$inverse_rms, Hadal_F32:$weight);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gradient `,` $input `,` $inverse_rms `,` $weight attr-dict `:` type($gradient) `,` type($input) `,` type($inverse_rms) `,` type($weight)";
}

def Hadal_RmsNormWeightGradientOp : Hadal_UpdatingOp<"rms_norm_weight_gradient", ["accumulator"]> {
  let summary = "weight gradient of hadal.rms_norm, added to an accumulator";
  let description = [{
    result[i] = accumulator[i] + sum_r gradient[r, i] input[r, i] inverse_rms[r]. Updates `accumulator`.
    C1: shapes as in hadal.rms_norm; `accumulator` [d].
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$input, Hadal_F32:$inverse_rms, Hadal_F32:$accumulator);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gradient `,` $input `,` $inverse_rms `,` $accumulator attr-dict `:` type($gradient) `,` type($input) `,` type($inverse_rms) `,` type($accumulator)";
}

def Hadal_SwigluOp : Hadal_ForwardOp<"swiglu"> {
  let summary = "SwiGLU's elementwise part";
  let description = [{
    result = silu(gate) up, silu(x) = x / (1 + exp(-x)); with `row_scale` [...] (all dimensions of `gate` but the last) times
    the row's scale: the weight of a routed expert.

    - C1: `gate` and `up` have the same type.
    - C2: `row_scale` has the leading dimensions of `gate`.
  }];
  let arguments = (ins Hadal_F32:$gate, Hadal_F32:$up, Optional<Hadal_F32>:$row_scale);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gate `,` $up (`scaled_by` $row_scale^)? attr-dict `:` type($gate) `,` type($up) (`,` type($row_scale)^)?";
}

def Hadal_SwigluGradientOp : Hadal_PureOp<"swiglu_gradient"> {
  let summary = "gradients of hadal.swiglu";
  let description = [{
    With s = sigmoid(gate), g' = gradient times row_scale (1 where there is none): gate_gradient = g' up s (1 + gate (1 - s)),
    up_gradient = g' gate s, and where there is a row_scale: scale_gradient[r] = sum_i gradient silu(gate) up.
    C1: as in hadal.swiglu; `gradient` has the type of `gate`.
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$gate, Hadal_F32:$up, Optional<Hadal_F32>:$row_scale);
  let results = (outs Hadal_F32:$gate_gradient, Hadal_F32:$up_gradient, Optional<Hadal_F32>:$scale_gradient);
  let assemblyFormat = "$gradient `,` $gate `,` $up (`scaled_by` $row_scale^)? attr-dict `:` type($gradient) `,` type($gate) `,` type($up) (`,` type($row_scale)^)?";
}

def Hadal_EmbeddingOp : Hadal_ForwardOp<"embedding"> {
  let summary = "rows of a table, by token id";
  let description = [{
    result[b, t] = table[ids[b, t + offset]] for t < tokens. `ids` [B, S], `table` [V, d], result [B, tokens, d].

    - C1: `ids` and `table` have rank 2.
    - C2: offset >= 0, tokens >= 1, offset + tokens <= S.
  }];
  let arguments = (ins Hadal_I32:$ids, Hadal_F32:$table, I64Attr:$offset, I64Attr:$tokens);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` type($ids) `,` type($table)";
}

def Hadal_EmbeddingGradientOp : Hadal_UpdatingOp<"embedding_gradient", ["accumulator"]> {
  let summary = "table gradient of hadal.embedding, added to an accumulator";
  let description = [{
    result[v] = accumulator[v] + sum over (b, t) with ids[b, t + offset] = v of gradient[b, t], b and t ascending.
    Updates `accumulator` [V, d]. C1: `gradient` is [B, tokens, d].
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_I32:$ids, Hadal_F32:$accumulator, I64Attr:$offset);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gradient `,` $ids `,` $accumulator attr-dict `:` type($gradient) `,` type($ids) `,` type($accumulator)";
}

def Hadal_SplitOp : Hadal_ForwardOp<"split"> {
  let summary = "a tensor cut in two along its last dimension";
  let description = [{
    `input` [..., a + b] gives [..., a] and [..., b], a = `size`. C1: 0 < size < the last dimension.
  }];
  let arguments = (ins Hadal_F32:$input, I64Attr:$size);
  let results = (outs Hadal_F32:$first, Hadal_F32:$second);
  let hasFolder = 1;
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Hadal_ConcatOp : Hadal_ForwardOp<"concat"> {
  let summary = "two tensors joined along their last dimension";
  let description = "`first` [..., a] and `second` [..., b] give [..., a + b]. C1: the leading dimensions are the same.";
  let arguments = (ins Hadal_F32:$first, Hadal_F32:$second);
  let results = (outs Hadal_F32:$result);
  let hasFolder = 1;
  let assemblyFormat = "$first `,` $second attr-dict `:` type($first) `,` type($second)";
}

#endif // HADAL_DIALECTS_HADAL_LAYERS_TD
