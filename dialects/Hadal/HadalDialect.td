// SPDX-License-Identifier: Apache-2.0
//
// The hadal dialect: models of the DeepSeek-V3 family on tensors. What all op files share: the dialect, its attributes,
// enumerations and base classes.

#ifndef HADAL_DIALECTS_HADAL_HADALDIALECT_TD
#define HADAL_DIALECTS_HADAL_HADALDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Hadal_Dialect : Dialect {
  let name = "hadal";
  let cppNamespace = "::hadal";
  let summary = "models of the DeepSeek-V3 family, on tensors";
  let description = [{
    Tensors are builtin; a tensor over tokens has the shape [sequences, tokens, features], and routed rows are
    [tokens * top_k, features], sorted by expert. Weights are [out, in] and arrive as function arguments. Every choice in
    which public implementations differ is an attribute.

    A *component* is a function that one program instruction calls. Its arguments are data, or are bound by name
    (`hadal.binding`) to a weight, an accumulator, a scalar or a table; a *program* is a function that applies components
    to layers.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasOperationAttrVerify = 0;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect"];
}

// --- enumerations ----------------------------------------------------------------------------------------------------

class Hadal_Enum<string name, string summary, list<I32EnumCase> cases>
    : I32Enum<name, summary, cases> {
  let cppNamespace = "::hadal";
}
class Hadal_EnumAttr<EnumInfo info, string mnemonic> : EnumAttr<Hadal_Dialect, info, mnemonic> {
  let assemblyFormat = "`<` $value `>`";
}

def Hadal_BindingKind : Hadal_Enum<"BindingKind", "what a component's argument is bound to", [
  I32EnumCase<"Weight", 0, "weight">,
  I32EnumCase<"Gradient", 1, "gradient">,
  I32EnumCase<"Moment1", 2, "moment1">,
  I32EnumCase<"Moment2", 3, "moment2">,
  I32EnumCase<"Constant", 4, "constant">,
  I32EnumCase<"Scalar", 5, "scalar">,
  I32EnumCase<"State", 6, "state">]>;

def Hadal_PhaseKind : Hadal_Enum<"PhaseKind", "which part of a training step a component belongs to", [
  I32EnumCase<"Forward", 0, "F">,
  I32EnumCase<"Backward", 1, "B">,
  I32EnumCase<"WeightGradient", 2, "W">,
  I32EnumCase<"Update", 3, "U">,
  I32EnumCase<"Evaluate", 4, "E">,
  I32EnumCase<"Generate", 5, "G">]>;
def Hadal_PhaseAttr : Hadal_EnumAttr<Hadal_PhaseKind, "phase">;

def Hadal_MtpOrder : Hadal_Enum<"HalfOrder", "which half of eh_proj's input comes first", [
  I32EnumCase<"EmbeddingFirst", 0, "embedding_first">,
  I32EnumCase<"HiddenFirst", 1, "hidden_first">]>;
def Hadal_HalfOrderAttr : Hadal_EnumAttr<Hadal_MtpOrder, "half_order">;

def Hadal_ScoreFunctionKind : Hadal_Enum<"RouterScore", "how router logits become scores", [
  I32EnumCase<"Sigmoid", 0, "sigmoid">]>;
def Hadal_RouterScoreAttr : Hadal_EnumAttr<Hadal_ScoreFunctionKind, "score">;

def Hadal_GroupRankKind : Hadal_Enum<"GroupRank", "what ranks the groups of experts", [
  I32EnumCase<"TopTwoSum", 0, "top2_sum">]>;
def Hadal_GroupRankAttr : Hadal_EnumAttr<Hadal_GroupRankKind, "group_rank">;

def Hadal_MaskKind : Hadal_Enum<"MaskKind", "what masks the experts of groups not kept", [
  I32EnumCase<"MinusInfinity", 0, "minus_infinity">]>;
def Hadal_MaskAttr : Hadal_EnumAttr<Hadal_MaskKind, "mask">;

def Hadal_RotaryKind : Hadal_Enum<"RotaryPairs", "which elements a rotary frequency turns", [
  I32EnumCase<"Interleaved", 0, "interleaved">]>;
def Hadal_RotaryPairsAttr : Hadal_EnumAttr<Hadal_RotaryKind, "pairs">;

def Hadal_ScaleRuleKind : Hadal_Enum<"TileScale", "how the scale of an FP8 tile is chosen", [
  I32EnumCase<"F32", 0, "f32">,
  I32EnumCase<"PowerOfTwo", 1, "pow2">]>;

// --- attributes ------------------------------------------------------------------------------------------------------

class Hadal_Attr<string name, string attrMnemonic> : AttrDef<Hadal_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Hadal_BindingAttr : Hadal_Attr<"Binding", "binding"> {
  let summary = "what an argument of a component is bound to, by name";
  let description = [{
    `#hadal.binding<weight, "model.layers.{layer}.input_layernorm.weight">`. In the name, `{layer}` stands for the layer
    and `{parameter}` for the parameter that the component is applied to; `{expert}` is part of the name of a stack of
    routed experts and stays.

    - weight, gradient, moment1, moment2: the parameter of that name, its gradient accumulator, its optimizer moments.
      A second accumulator of one parameter carries a suffix behind `#` (`model.embed_tokens.weight#mtp`).
    - constant: a table the runtime computes (`rotary_cos`, `rotary_sin`).
    - scalar: an input of the program (`seed.main`, `learning_rate`, `position`, ...), a tensor of rank 0.
    - state: memory that lives across components (`cache.{layer}`, `counts.{layer}`, `block_table`).
  }];
  let parameters = (ins EnumParameter<Hadal_BindingKind>:$kind, StringRefParameter<"name">:$name);
  let assemblyFormat = "`<` $kind `,` $name `>`";
}

// --- op base ---------------------------------------------------------------------------------------------------------

class Hadal_Op<string mnemonic, list<Trait> traits = []> : Op<Hadal_Dialect, mnemonic, traits>;

def Hadal_F32 : RankedTensorOf<[F32]>;
def Hadal_F64 : RankedTensorOf<[F64]>;
def Hadal_I32 : RankedTensorOf<[I32]>;
def Hadal_I64 : RankedTensorOf<[I64]>;
def Hadal_F32Scalar : 0DTensorOf<[F32]>;
def Hadal_F64Scalar : 0DTensorOf<[F64]>;
def Hadal_I32Scalar : 0DTensorOf<[I32]>;

#endif // HADAL_DIALECTS_HADAL_HADALDIALECT_TD
