// SPDX-License-Identifier: Apache-2.0
//
// The optimizer: gradient norm and clipping, AdamW (arXiv 1711.05101).

#ifndef HADAL_DIALECTS_HADAL_OPTIMIZER_TD
#define HADAL_DIALECTS_HADAL_OPTIMIZER_TD

include "dialects/Hadal/Layers.td"

def Hadal_SquareSumOp : Hadal_PureOp<"square_sum"> {
  let summary = "sums of squares of a gradient, block by block";
  let description = [{
    result[i] = sum of the squares, in f64, of elements 65536 i to 65536 (i + 1) - 1 of the whole tensor. Result
    [ceil(elements / 65536)].
  }];
  let arguments = (ins Hadal_F32:$gradient);
  let results = (outs Hadal_F64:$result);
  let assemblyFormat = "$gradient attr-dict `:` type($gradient)";
}

def Hadal_AccumulateSquaresOp : Hadal_UpdatingOp<"accumulate_squares", ["total"]> {
  let summary = "adds block sums, in order, to a running total";
  let description = "result = total + blocks[0] + blocks[1] + ..., f64, in that order. Updates `total` (rank 0).";
  let arguments = (ins Hadal_F64:$blocks, Hadal_F64Scalar:$total);
  let results = (outs Hadal_F64Scalar:$result);
  let assemblyFormat = "$blocks `,` $total attr-dict `:` type($blocks) `,` type($total)";
}

def Hadal_ClipFactorOp : Hadal_PureOp<"clip_factor"> {
  let summary = "gradient norm and clip factor";
  let description = [{
    norm = sqrt(total); factor = clip_norm / norm where clip_norm > 0 and norm > clip_norm, else 1. C1: clip_norm is not
    negative.
  }];
  let arguments = (ins Hadal_F64Scalar:$total, F64Attr:$clip_norm);
  let results = (outs Hadal_F64Scalar:$norm, Hadal_F32Scalar:$factor);
  let assemblyFormat = "$total attr-dict `:` type($total)";
}

def Hadal_AdamwOp : Hadal_UpdatingOp<"adamw", ["parameter", "moment1", "moment2"]> {
  let summary = "one AdamW step of a parameter";
  let description = [{
    g = gradient factor; p *= 1 - learning_rate weight_decay; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
    p -= (learning_rate / correction1) m / (sqrt(v) / sqrt(correction2) + epsilon), correction_i = 1 - beta_i^step. The
    factors of scalars are computed in f64 and rounded once. Updates `parameter`, `moment1` and `moment2`.
    C1: the four tensors have the same type.
  }];
  let arguments = (ins Hadal_F32:$parameter, Hadal_F32:$gradient, Hadal_F32:$moment1, Hadal_F32:$moment2,
                       Hadal_F64Scalar:$learning_rate, Hadal_F64Scalar:$correction1, Hadal_F64Scalar:$correction2,
                       Hadal_F32Scalar:$factor, F64Attr:$beta1, F64Attr:$beta2, F64Attr:$epsilon, F64Attr:$weight_decay);
  let results = (outs Hadal_F32:$new_parameter, Hadal_F32:$new_moment1, Hadal_F32:$new_moment2);
  let assemblyFormat = "$parameter `,` $gradient `,` $moment1 `,` $moment2 `,` $learning_rate `,` $correction1 `,` $correction2 `,` $factor attr-dict `:` type($parameter) `,` type($gradient) `,` type($moment1) `,` type($moment2) `,` type($learning_rate) `,` type($correction1) `,` type($correction2) `,` type($factor)";
}

def Hadal_AccumulateOp : Hadal_UpdatingOp<"accumulate", ["accumulator"]> {
  let summary = "adds a tensor to an accumulator";
  let description = "result = accumulator + value, element by element. Updates `accumulator`. C1: same type.";
  let arguments = (ins Hadal_F32:$value, Hadal_F32:$accumulator);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$value `,` $accumulator attr-dict `:` type($value) `,` type($accumulator)";
}

#endif // HADAL_DIALECTS_HADAL_OPTIMIZER_TD
