// SPDX-License-Identifier: Apache-2.0
//
// Multi-head latent attention (MLA): rotary positions, the training form over full keys and values, and the decode form
// over a latent cache. Sizes: H heads, n = qk_nope_head_dim, r = qk_rope_head_dim, v = v_head_dim, c = kv_lora_rank.
// Source of the formulas: DeepSeek-V2 (arXiv 2405.04434) 2.1 and DeepSeek-V3 (arXiv 2412.19437) 2.1.1.

#ifndef HADAL_DIALECTS_HADAL_ATTENTION_TD
#define HADAL_DIALECTS_HADAL_ATTENTION_TD

include "dialects/Hadal/Layers.td"

def Hadal_RopeOp : Hadal_ForwardOp<"rope"> {
  let summary = "rotary position embedding of the last dimensions of each head";
  let description = [{
    `input` [B, T, H D]; in each of the `heads` blocks of D the last `rotary_dim` elements are turned, the others pass.
    Pair j is (2j, 2j + 1) of those (`pairs` = interleaved); with c = cos[p, j], s = sin[p, j]:
    (a, b) -> (a c - b s, a s + b c), with `inverse` (a c + b s, b c - a s). The row's position p is t, plus the scalar
    `position` where there is one. `cos` and `sin` are [P, rotary_dim / 2] and carry YaRN's frequencies and amplitude.
    The inverse is the transpose, so it is also the gradient.

    - C1: `input` has rank 3 and `heads` divides its last dimension.
    - C2: rotary_dim is even, positive and at most D.
    - C3: `cos` and `sin` are [P, rotary_dim / 2] with P >= T.
  }];
  let arguments = (ins Hadal_F32:$input, Hadal_F32:$cos, Hadal_F32:$sin, Optional<Hadal_I32Scalar>:$position,
                       I64Attr:$heads, I64Attr:$rotary_dim, UnitAttr:$inverse,
                       DefaultValuedAttr<Hadal_RotaryPairsAttr, "::hadal::RotaryPairs::Interleaved">:$pairs);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$input `,` $cos `,` $sin (`at` $position^)? attr-dict `:` type($input) `,` type($cos) `,` type($sin) (`,` type($position)^)?";
}

def Hadal_AttentionOp : Hadal_ForwardOp<"attention"> {
  let summary = "causal attention of MLA, training form";
  let description = [{
    `query` [B, T, H (n + r)], per head [nope | rotated]; `key_value` [B, T, H (n + v)], per head [key | value];
    `key_rotary` [B, T, r], shared by all heads. Per head, over s <= t:
    score[t, s] = scale (q_nope[t] k[s] + q_rotary[t] key_rotary[s]); log_sum_exp[b, h, t] = log sum_s exp score[t, s];
    output[b, t, h] = sum_s exp(score[t, s] - log_sum_exp) value[s]; output [B, T, H v].

    - C1: all operands have rank 3 and the same B and T.
    - C2: `heads` divides the last dimensions of `query` and `key_value`; n = D_query - r and v = D_key_value - n are positive.
  }];
  let arguments = (ins Hadal_F32:$query, Hadal_F32:$key_value, Hadal_F32:$key_rotary, I64Attr:$heads, F64Attr:$scale);
  let results = (outs Hadal_F32:$output, Hadal_F32:$log_sum_exp);
  let assemblyFormat = "$query `,` $key_value `,` $key_rotary attr-dict `:` type($query) `,` type($key_value) `,` type($key_rotary)";
}

def Hadal_AttentionGradientOp : Hadal_PureOp<"attention_gradient"> {
  let summary = "gradients of hadal.attention";
  let description = [{
    With p = exp(score - log_sum_exp), delta[t] = sum gradient output over v, ds = p (gradient value - delta) scale: the
    gradients of query, key_value and key_rotary (summed over the heads, heads ascending). C1: shapes as in hadal.attention.
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$query, Hadal_F32:$key_value, Hadal_F32:$key_rotary,
                       Hadal_F32:$output, Hadal_F32:$log_sum_exp, I64Attr:$heads, F64Attr:$scale);
  let results = (outs Hadal_F32:$query_gradient, Hadal_F32:$key_value_gradient, Hadal_F32:$key_rotary_gradient);
  let assemblyFormat = "$gradient `,` $query `,` $key_value `,` $key_rotary `,` $output `,` $log_sum_exp attr-dict `:` type($gradient) `,` type($query) `,` type($key_value) `,` type($key_rotary) `,` type($output) `,` type($log_sum_exp)";
}

def Hadal_AttentionGradientHeadsOp : Hadal_PureOp<"attention_gradient_heads"> {
  let summary = "hadal.attention_gradient, key_rotary's gradient head by head (below Fuse)";
  let description = "As hadal.attention_gradient; `key_rotary_gradients` [B, H, T, r] holds what each head adds, for hadal.sum_heads.";
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$query, Hadal_F32:$key_value, Hadal_F32:$key_rotary,
                       Hadal_F32:$output, Hadal_F32:$log_sum_exp, I64Attr:$heads, F64Attr:$scale);
  let results = (outs Hadal_F32:$query_gradient, Hadal_F32:$key_value_gradient, Hadal_F32:$key_rotary_gradients);
  let assemblyFormat = "$gradient `,` $query `,` $key_value `,` $key_rotary `,` $output `,` $log_sum_exp attr-dict `:` type($gradient) `,` type($query) `,` type($key_value) `,` type($key_rotary) `,` type($output) `,` type($log_sum_exp)";
}

def Hadal_SumHeadsOp : Hadal_PureOp<"sum_heads"> {
  let summary = "sum over heads (below Fuse)";
  let description = "`input` [B, H, T, d] gives [B, T, d], heads ascending. C1: `input` has rank 4.";
  let arguments = (ins Hadal_F32:$input);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def Hadal_CacheAppendOp : Hadal_UpdatingOp<"cache_append", ["cache"]> {
  let summary = "writes latents and rotated keys into the latent cache";
  let description = [{
    For t < min(T, valid): row position + t of the cache becomes [latent[0, t] | key_rotary[0, t]]. Row p lies in block
    block_table[p / 64], place p % 64. Updates `cache` [blocks, 64, c + r]: kv_lora + rotary values a token, nothing else.

    - C1: `latent` is [1, T, c], `key_rotary` [1, T, r], `cache` [N, 64, c + r], `block_table` [N].
  }];
  let arguments = (ins Hadal_F32:$latent, Hadal_F32:$key_rotary, Hadal_F32:$cache, Hadal_I32:$block_table,
                       Hadal_I32Scalar:$position, Hadal_I32Scalar:$valid);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$latent `,` $key_rotary `,` $cache `,` $block_table `,` $position `,` $valid attr-dict `:` type($latent) `,` type($key_rotary) `,` type($cache) `,` type($block_table) `,` type($position) `,` type($valid)";
}

def Hadal_CachedAttentionOp : Hadal_PureOp<"cached_attention"> {
  let summary = "attention of new tokens over the latent cache, keys and values projected up";
  let description = [{
    hadal.attention where keys and values of position s come from the cache: [k | v] per head = `up_projection` latent[s],
    `up_projection` [H (n + v), c]; query t stands at position + t and sees s <= position + t. `query` [1, T, H (n + r)],
    output [1, T, H v]. --hadal-absorb-projections rewrites it so that nothing is projected up.

    - C1: shapes as in hadal.cache_append and hadal.attention; B is 1.
  }];
  let arguments = (ins Hadal_F32:$query, Hadal_F32:$up_projection, Hadal_F32:$cache, Hadal_I32:$block_table,
                       Hadal_I32Scalar:$position, I64Attr:$heads, I64Attr:$rotary_dim, F64Attr:$scale);
  let results = (outs Hadal_F32:$output);
  let assemblyFormat = "$query `,` $up_projection `,` $cache `,` $block_table `,` $position attr-dict `:` type($query) `,` type($up_projection) `,` type($cache) `,` type($block_table) `,` type($position)";
}

def Hadal_AbsorbQueryOp : Hadal_PureOp<"absorb_query"> {
  let summary = "queries taken through W_UK into the latent space";
  let description = [{
    Per head: [q_nope | q_rotary] -> [W_UK^T q_nope | q_rotary], W_UK [n, c] being the head's first n rows of
    `up_projection` [H (n + v), c]. `query` [1, T, H (n + r)], result [1, T, H (c + r)].
    C1: heads divides both last dimensions; 0 < rotary_dim < D_query.
  }];
  let arguments = (ins Hadal_F32:$query, Hadal_F32:$up_projection, I64Attr:$heads, I64Attr:$rotary_dim);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$query `,` $up_projection attr-dict `:` type($query) `,` type($up_projection)";
}

def Hadal_LatentAttentionOp : Hadal_PureOp<"latent_attention"> {
  let summary = "attention in the latent space over the cache";
  let description = [{
    Per head, over s <= position + t: softmax of scale query[t] cache_row[s] (all c + r values), applied to the first
    c = `latent_dim` values of the rows. `query` [1, T, H (c + r)], output [1, T, H c].
    C1: the cache's rows have D_query values; 0 < latent_dim < D_query.
  }];
  let arguments = (ins Hadal_F32:$query, Hadal_F32:$cache, Hadal_I32:$block_table, Hadal_I32Scalar:$position,
                       I64Attr:$heads, I64Attr:$latent_dim, F64Attr:$scale);
  let results = (outs Hadal_F32:$output);
  let assemblyFormat = "$query `,` $cache `,` $block_table `,` $position attr-dict `:` type($query) `,` type($cache) `,` type($block_table) `,` type($position)";
}

def Hadal_ExpandValueOp : Hadal_PureOp<"expand_value"> {
  let summary = "latent outputs taken through W_UV";
  let description = [{
    Per head: W_UV latent, W_UV [v, c] being the head's last v = `value_dim` rows of `up_projection` [H (n + v), c].
    `latent` [1, T, H c], result [1, T, H v]. C1: `latent` has H c values a row; 0 < value_dim < D_up.
  }];
  let arguments = (ins Hadal_F32:$latent, Hadal_F32:$up_projection, I64Attr:$heads, I64Attr:$value_dim);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$latent `,` $up_projection attr-dict `:` type($latent) `,` type($up_projection)";
}

def Hadal_LastTokenOp : Hadal_PureOp<"last_token"> {
  let summary = "the row of the last valid token";
  let description = "`input` [1, T, d] gives row `valid` - 1 as [1, 1, d]. C1: B is 1.";
  let arguments = (ins Hadal_F32:$input, Hadal_I32Scalar:$valid);
  let results = (outs Hadal_F32:$result);
  let hasFolder = 1;
  let assemblyFormat = "$input `,` $valid attr-dict `:` type($input) `,` type($valid)";
}

#endif // HADAL_DIALECTS_HADAL_ATTENTION_TD
