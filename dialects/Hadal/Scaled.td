// SPDX-License-Identifier: Apache-2.0
//
// FP8 tiles: block-scaled tensors, quantisation and scaled products. Source: DeepSeek-V3 (arXiv 2412.19437) 3.3.

#ifndef HADAL_DIALECTS_HADAL_SCALED_TD
#define HADAL_DIALECTS_HADAL_SCALED_TD

include "dialects/Hadal/Layers.td"

def Hadal_ScaledType : TypeDef<Hadal_Dialect, "Scaled"> {
  let mnemonic = "scaled";
  let summary = "a matrix of FP8 elements with one f32 scale a tile";
  let description = [{
    `!hadal.scaled<200x300xf8E4M3FN, 128x128, f32>`: elements [rows, columns] and scales
    [ceil(rows / tile_rows), ceil(columns / tile_columns)] in f32; value = element times scale. `rule`: how the scales were
    chosen, f32 (amax / 448) or pow2 (the next power of two).

    - C1: sizes are positive; the tile is 1x128, 128x1 or 128x128. C2: elements are f8E4M3FN or f8E5M2.
  }];
  let parameters = (ins "int64_t":$rows, "int64_t":$columns, "::mlir::Type":$element, "int64_t":$tile_rows,
                        "int64_t":$tile_columns, EnumParameter<Hadal_ScaleRuleKind>:$rule);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Tensor types of the two parts: the elements, and the f32 scales.
    ::mlir::RankedTensorType elementsType() const;
    ::mlir::RankedTensorType scalesType() const;
  }];
}

def Hadal_QuantizeOp : Hadal_Op<"quantize", [Pure]> {
  let summary = "quantises a matrix into scaled tiles";
  let description = [{
    Per tile: amax = max(|x|, amax_floor); scale = amax / 448 (E5M2: 57344), or with rule pow2 2^ceil(log2(amax / 448));
    element = x / scale rounded to nearest even, saturated. C1: `input` is [rows, columns] of the result.
  }];
  let arguments = (ins Hadal_F32:$input, F64Attr:$amax_floor);
  let results = (outs Hadal_ScaledType:$result);
  let hasVerifier = 1;
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
}

def Hadal_DequantizeOp : Hadal_PureOp<"dequantize"> {
  let summary = "values of a scaled matrix";
  let description = "result[i, j] = element[i, j] scale[i / tile_rows, j / tile_columns], in f32.";
  let arguments = (ins Hadal_ScaledType:$input);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Hadal_ScaledLinearOp : Hadal_PureOp<"scaled_linear"> {
  let summary = "hadal.linear on FP8 tiles";
  let description = [{
    `input` [rows, in] in tiles 1x128, `weight` [out, in] in tiles 128x128 (or 1x128): result [rows, out] in f32. Products are summed
    exactly over `interval` elements of `in`; each partial sum is rounded to f32, multiplied by both scales and added to the
    f32 result, intervals ascending. C1: `interval` is positive and divides 128. C2: sizes fit.
  }];
  let arguments = (ins Hadal_ScaledType:$input, Hadal_ScaledType:$weight, I64Attr:$interval);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
}

def Hadal_QuantizeTilesOp : Hadal_PureOp<"quantize_tiles"> {
  let summary = "hadal.quantize in builtin tensors (below Fuse)";
  let description = "As hadal.quantize; `elements` [rows, columns] of `element`, `scales` in f32.";
  let arguments = (ins Hadal_F32:$input, F64Attr:$amax_floor, TypeAttr:$element, I64Attr:$tile_rows, I64Attr:$tile_columns,
                       BoolAttr:$power_of_two);
  let results = (outs RankedTensorOf<[F8E4M3FN, F8E5M2]>:$elements, Hadal_F32:$scales);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Hadal_DequantizeTilesOp : Hadal_PureOp<"dequantize_tiles"> {
  let summary = "hadal.dequantize in builtin tensors (below Fuse)";
  let arguments = (ins RankedTensorOf<[F8E4M3FN, F8E5M2]>:$elements, Hadal_F32:$scales, I64Attr:$tile_rows,
                       I64Attr:$tile_columns);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$elements `,` $scales attr-dict `:` type($elements) `,` type($scales)";
}

#endif // HADAL_DIALECTS_HADAL_SCALED_TD
