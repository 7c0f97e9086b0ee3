// SPDX-License-Identifier: Apache-2.0
//
// Mixture of experts: routing with auxiliary-loss-free balancing, dispatch, grouped products, combine. Sizes: E routed
// experts, K chosen for a token, R = B T K routed rows. Source: DeepSeek-V3 (arXiv 2412.19437) 2.1.2, arXiv 2408.15664.

#ifndef HADAL_DIALECTS_HADAL_EXPERTS_TD
#define HADAL_DIALECTS_HADAL_EXPERTS_TD

include "dialects/Hadal/Layers.td"

def Hadal_RouteOp : Hadal_ForwardOp<"route"> {
  let summary = "chooses the experts of each token";
  let description = [{
    scores = score_function(logits). For selection only, t = scores + bias. The E experts lie in `groups` groups of
    consecutive experts; a group's rank is the sum of its two largest t (`group_rank`; of its only one where a group has
    one expert); the `kept_groups` best groups stay, t of all others becomes `mask`; the `top_k` largest t are chosen (ties:
    the lower group or expert wins). `experts` [B, T, K] ascending ids; `weights` [B, T, K] their scores, with `normalize` divided by (their sum +
    `epsilon`), times `scaling_factor`; `scores` [B, T, E].

    - C1: `logits` [B, T, E], `bias` [E].
    - C2: groups divides E; 1 <= kept_groups <= groups; 1 <= top_k <= kept_groups E / groups.
  }];
  let arguments = (ins Hadal_F32:$logits, Hadal_F32:$bias, I64Attr:$groups, I64Attr:$kept_groups, I64Attr:$top_k,
                       BoolAttr:$normalize, F64Attr:$scaling_factor, F64Attr:$epsilon,
                       DefaultValuedAttr<Hadal_RouterScoreAttr, "::hadal::RouterScore::Sigmoid">:$score_function,
                       DefaultValuedAttr<Hadal_GroupRankAttr, "::hadal::GroupRank::TopTwoSum">:$group_rank,
                       DefaultValuedAttr<Hadal_MaskAttr, "::hadal::MaskKind::MinusInfinity">:$mask);
  let results = (outs Hadal_I32:$experts, Hadal_F32:$weights, Hadal_F32:$scores);
  let assemblyFormat = "$logits `,` $bias attr-dict `:` type($logits) `,` type($bias)";
}

def Hadal_RouteGradientOp : Hadal_PureOp<"route_gradient", [AttrSizedOperandSegments]> {
  let summary = "gradient of the router's logits";
  let description = [{
    From the gradients of the chosen weights [B, T, K] and of the scores [B, T, E] (either may be absent, not both), through
    the normalisation and the score function. With u_k the chosen scores, S = sum u + epsilon, f = scaling_factor, g the
    weights' gradient: d u_k = f (g_k - sum_j g_j u_j / S) / S with `normalize`, f g_k without; added to the scores'
    gradient at the chosen experts; times s (1 - s).

    - C1: at least one gradient is there. C2: shapes as in hadal.route.
  }];
  let arguments = (ins Optional<Hadal_F32>:$weights_gradient, Optional<Hadal_F32>:$scores_gradient,
                       Hadal_I32:$experts, Hadal_F32:$scores, BoolAttr:$normalize, F64Attr:$scaling_factor,
                       F64Attr:$epsilon);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "(`weights` $weights_gradient^ `:` type($weights_gradient))? (`scores` $scores_gradient^ `:` type($scores_gradient))? `of` $experts `,` $scores attr-dict `:` type($experts) `,` type($scores)";
}

def Hadal_SortByExpertOp : Hadal_PureOp<"sort_by_expert"> {
  let summary = "the order of routed rows: by expert, then sequence, then position";
  let description = [{
    `experts` [B, T, K] gives `counts` [E], `offsets` [E + 1] (expert e has the rows offsets[e] to offsets[e + 1] - 1),
    `source` [R]: which flat index token K + k (token = b T + t) a row comes from, and its inverse `slot` [B, T, K].
    C1: expert_count is positive; ids are below it.
  }];
  let arguments = (ins Hadal_I32:$experts, I64Attr:$expert_count);
  let results = (outs Hadal_I64:$counts, Hadal_I64:$offsets, Hadal_I32:$source, Hadal_I32:$slot);
  let assemblyFormat = "$experts attr-dict `:` type($experts)";
}

def Hadal_AccumulateCountsOp : Hadal_UpdatingOp<"accumulate_counts", ["total"]> {
  let summary = "adds expert counts to a running total";
  let description = "result = total + counts, both [E]. Updates `total`. C1: same type.";
  let arguments = (ins Hadal_I64:$counts, Hadal_I64:$total);
  let results = (outs Hadal_I64:$result);
  let assemblyFormat = "$counts `,` $total attr-dict `:` type($counts) `,` type($total)";
}

def Hadal_DispatchOp : Hadal_ForwardOp<"dispatch"> {
  let summary = "copies token rows to their experts";
  let description = [{
    rows[s] = input[source[s] / K]: `input` [B, T, d] as B T rows, `slot` [B, T, K] the inverse of `source` [R]; result
    [R, d]. Its gradient is hadal.combine. Of received rows (hadal.sort_received): `input` [N, d], `slot` [N, K] with -1 where
    there is no row. C1: R = B T K; for received rows R is at most N K.
  }];
  let arguments = (ins Hadal_F32:$input, Hadal_I32:$source, Hadal_I32:$slot);
  let results = (outs Hadal_F32:$rows);
  let assemblyFormat = "$input `,` $source `,` $slot attr-dict `:` type($input) `,` type($source) `,` type($slot)";
}

def Hadal_CombineOp : Hadal_ForwardOp<"combine"> {
  let summary = "adds each token's routed rows";
  let description = [{
    result[b, t] = sum_k rows[slot[b, t, k]], k ascending (so experts ascending): `rows` [R, d], result [B, T, d]. The
    router's weights are applied before (hadal.swiglu's row_scale). Its gradient is hadal.dispatch. Of received rows: `slot`
    [N, K], result [N, d], without the slots of -1. C1: as in hadal.dispatch.
  }];
  let arguments = (ins Hadal_F32:$rows, Hadal_I32:$source, Hadal_I32:$slot);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$rows `,` $source `,` $slot attr-dict `:` type($rows) `,` type($source) `,` type($slot)";
}

def Hadal_DispatchWeightsOp : Hadal_ForwardOp<"dispatch_weights"> {
  let summary = "the router's weight of each routed row";
  let description = [{
    result[s] = flat weights[source[s]]: `weights` [B, T, K] (received rows: [N, K]), result [R]. Gradient:
    hadal.combine_weights. C1: as in hadal.dispatch.
  }];
  let arguments = (ins Hadal_F32:$weights, Hadal_I32:$source, Hadal_I32:$slot);
  let results = (outs Hadal_F32:$row_weights);
  let hasFolder = 1;
  let assemblyFormat = "$weights `,` $source `,` $slot attr-dict `:` type($weights) `,` type($source) `,` type($slot)";
}

def Hadal_CombineWeightsOp : Hadal_ForwardOp<"combine_weights"> {
  let summary = "values of routed rows back at their tokens";
  let description = [{
    result[b, t, k] = row_weights[slot[b, t, k]]: `row_weights` [R], result [B, T, K]. Of received rows: [N, K], 0 where the
    slot is -1. C1: as in hadal.dispatch.
  }];
  let arguments = (ins Hadal_F32:$row_weights, Hadal_I32:$source, Hadal_I32:$slot);
  let results = (outs Hadal_F32:$weights);
  let hasFolder = 1;
  let assemblyFormat = "$row_weights `,` $source `,` $slot attr-dict `:` type($row_weights) `,` type($source) `,` type($slot)";
}

def Hadal_GroupedLinearOp : Hadal_ForwardOp<"grouped_linear"> {
  let summary = "hadal.linear of each expert's rows with the expert's matrix";
  let description = [{
    Rows offsets[e] to offsets[e + 1] - 1 of `rows` [R, in] go through weight[e], `weight` [E, out, in]; result [R, out]
    (with `transpose_weight`: rows [R, out], result [R, in]). An expert without rows costs nothing; a row's result does not
    depend on the number of rows.

    - C1: `offsets` is [E + 1]. C2: the rows' last dimension is the weight's `in` (or `out`).
  }];
  let arguments = (ins Hadal_F32:$rows, Hadal_F32:$weight, Hadal_I64:$offsets, UnitAttr:$transpose_weight);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$rows `,` $weight `,` $offsets attr-dict `:` type($rows) `,` type($weight) `,` type($offsets)";
}

def Hadal_GroupedWeightGradientOp : Hadal_UpdatingOp<"grouped_weight_gradient", ["accumulator"]> {
  let summary = "weight gradients of hadal.grouped_linear, added to an accumulator";
  let description = [{
    result[e] = accumulator[e] + sum over the rows s of expert e of gradient[s]^T rows[s], rows ascending. Updates
    `accumulator` [E, out, in]. C1: `gradient` [R, out], `rows` [R, in], `offsets` [E + 1].
  }];
  let arguments = (ins Hadal_F32:$gradient, Hadal_F32:$rows, Hadal_I64:$offsets, Hadal_F32:$accumulator);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$gradient `,` $rows `,` $offsets `,` $accumulator attr-dict `:` type($gradient) `,` type($rows) `,` type($offsets) `,` type($accumulator)";
}

def Hadal_SequenceBalanceOp : Hadal_ForwardOp<"sequence_balance"> {
  let summary = "sequence-wise balance loss";
  let description = [{
    Per sequence: f_i = E / (K T) times the number of its tokens whose K largest raw scores hold expert i (ties: the lower
    expert wins); P_i = mean_t scores[t, i] / sum_j scores[t, j]; loss = alpha mean_b sum_i f_i P_i. `scores` [B, T, E],
    `loss` rank 0, `fractions` [B, E] = f. No gradient goes through f.
  }];
  let arguments = (ins Hadal_F32:$scores, I64Attr:$top_k, F64Attr:$alpha);
  let results = (outs Hadal_F64Scalar:$loss, Hadal_F32:$fractions);
  let assemblyFormat = "$scores attr-dict `:` type($scores)";
}

def Hadal_SequenceBalanceRowsOp : Hadal_PureOp<"sequence_balance_rows"> {
  let summary = "hadal.sequence_balance without the mean over sequences";
  let description = "`row_loss` [B] in f64: alpha sum_i f_i P_i of each sequence; the rest as in hadal.sequence_balance.";
  let arguments = (ins Hadal_F32:$scores, I64Attr:$top_k, F64Attr:$alpha);
  let results = (outs Hadal_F64:$row_loss, Hadal_F32:$fractions);
  let assemblyFormat = "$scores attr-dict `:` type($scores)";
}

def Hadal_SequenceBalanceGradientOp : Hadal_PureOp<"sequence_balance_gradient"> {
  let summary = "gradient of hadal.sequence_balance";
  let description = [{
    With S = sum_j s_j: d s_i = seed alpha / (B T) (f_i - sum_j f_j s_j / S) / S. `seed` rank 0, `scores` [B, T, E],
    `fractions` [B, E]; result [B, T, E].
  }];
  let arguments = (ins Hadal_F32Scalar:$seed, Hadal_F32:$scores, Hadal_F32:$fractions, F64Attr:$alpha);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$seed `,` $scores `,` $fractions attr-dict `:` type($seed) `,` type($scores) `,` type($fractions)";
}

def Hadal_BiasUpdateOp : Hadal_UpdatingOp<"bias_update", ["bias"]> {
  let summary = "auxiliary-loss-free balancing: moves the selection bias";
  let description = [{
    result[e] = bias[e] + speed sign(sum_i counts[i] - E counts[e]), sign(0) = 0, in integers. Updates `bias`.
    C1: `bias` and `counts` are [E].
  }];
  let arguments = (ins Hadal_F32:$bias, Hadal_I64:$counts, Hadal_F64Scalar:$speed);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$bias `,` $counts `,` $speed attr-dict `:` type($bias) `,` type($counts) `,` type($speed)";
}

#endif // HADAL_DIALECTS_HADAL_EXPERTS_TD
