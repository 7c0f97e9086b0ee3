// SPDX-License-Identifier: Apache-2.0
//
// Multi-token prediction (MTP): the join of a hidden state with the embedding of a later token. Source: DeepSeek-V3
// (arXiv 2412.19437) 2.2; the order of the halves is that of the released weights.

#ifndef HADAL_DIALECTS_HADAL_MULTITOKEN_TD
#define HADAL_DIALECTS_HADAL_MULTITOKEN_TD

include "dialects/Hadal/Layers.td"

def Hadal_MtpJoinOp : Hadal_ForwardOp<"mtp_join"> {
  let summary = "embedding and hidden state side by side";
  let description = [{
    `embedding` [B, T, d] and the first T positions of `hidden` [B, T', d] give [B, T, 2 d], in the order that
    `half_order` says. C1: T <= T'; B and d are the same.
  }];
  let arguments = (ins Hadal_F32:$embedding, Hadal_F32:$hidden,
                       DefaultValuedAttr<Hadal_HalfOrderAttr, "::hadal::HalfOrder::EmbeddingFirst">:$half_order);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$embedding `,` $hidden attr-dict `:` type($embedding) `,` type($hidden)";
}

def Hadal_MtpJoinGradientOp : Hadal_PureOp<"mtp_join_gradient"> {
  let summary = "gradients of hadal.mtp_join";
  let description = [{
    `gradient` [B, T, 2 d] cut into the embedding's [B, T, d] and the hidden state's [B, hidden_tokens, d], zero from
    position T on. C1: the last dimension is even; T <= hidden_tokens.
  }];
  let arguments = (ins Hadal_F32:$gradient, I64Attr:$hidden_tokens,
                       DefaultValuedAttr<Hadal_HalfOrderAttr, "::hadal::HalfOrder::EmbeddingFirst">:$half_order);
  let results = (outs Hadal_F32:$embedding_gradient, Hadal_F32:$hidden_gradient);
  let assemblyFormat = "$gradient attr-dict `:` type($gradient)";
}

#endif // HADAL_DIALECTS_HADAL_MULTITOKEN_TD
