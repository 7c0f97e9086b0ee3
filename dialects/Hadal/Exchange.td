// SPDX-License-Identifier: Apache-2.0
//
// Expert parallelism: a layer's experts on several ranks, the members of a group; tokens go to the members that have their
// experts and come back. Sizes: ep members, E experts in all (expert e on member floor(e ep / E)), K chosen for a token,
// S = B T min(K, ep) rows that a rank may send, N = ep B T rows that it may receive, R = N min(K, E / ep) routed ones.
// Source: DeepSeek-V3 (arXiv 2412.19437) 2.1.2 (node-limited routing) and 3.2.2.

#ifndef HADAL_DIALECTS_HADAL_EXCHANGE_TD
#define HADAL_DIALECTS_HADAL_EXCHANGE_TD

include "dialects/Hadal/Experts.td"

def Hadal_ExchangeLayoutOp : Hadal_PureOp<"exchange_layout"> {
  let summary = "which tokens go to which member";
  let description = [{
    Of `experts` [B, T, K], ids below `expert_count` = E: a token goes once to each of the `members` = ep members that has
    one of its experts. Sent rows lie in the order of members, of tokens (b T + t) within one. `send_counts` [2, ep]: the
    tokens for each member, then the routed rows (pairs of a token and an expert) they make there; `send_offsets` [ep + 1] the
    running sums of the tokens from 0, `send_token` [S] the flat token of each sent row (-1 behind the
    last one), `send_slot` [B, T, ep] the row in this order, or -1 where the token does not go to the member.

    - C1: members divides expert_count; both are positive.
    - C2: ids are below expert_count.
  }];
  let arguments = (ins Hadal_I32:$experts, I64Attr:$members, I64Attr:$expert_count);
  let results = (outs Hadal_I64:$send_counts, Hadal_I64:$send_offsets, Hadal_I32:$send_token, Hadal_I32:$send_slot);
  let assemblyFormat = "$experts attr-dict `:` type($experts)";
}

def Hadal_SortReceivedOp : Hadal_PureOp<"sort_received"> {
  let summary = "the order of routed rows on a member: by expert, then received row";
  let description = [{
    Of the first received[0, ep] rows of `experts` [N, K] (ids of all E experts), the entries in [first, first +
    expert_count) are this member's, expert_count = E / ep. `offsets` [expert_count + 1]: expert first + e has the rows
    offsets[e] to offsets[e + 1] - 1; `source` [R] the flat index row K + k that a row comes from (undefined behind the last
    one); `slot` [N, K] its inverse, -1 at the entries of other members, undefined in rows that were not received.
    `received` [2, ep + 1] and the order of received rows (source member, then token) as hadal.exchange gives them:
    rows of one expert are sorted by source member, sequence, position. offsets[expert_count] is received[1, ep].

    - C1: expert_count is positive; `received` has 2 rows. C2: ids are not negative; received[0, ep] is at most N.
  }];
  let arguments = (ins Hadal_I32:$experts, Hadal_I64:$received, Hadal_I32Scalar:$first, I64Attr:$expert_count);
  let results = (outs Hadal_I64:$offsets, Hadal_I32:$source, Hadal_I32:$slot);
  let assemblyFormat = "$experts `,` $received `,` $first attr-dict `:` type($experts) `,` type($received) `,` type($first)";
}

def Hadal_CombineMembersOp : Hadal_ForwardOp<"combine_members"> {
  let summary = "adds each token's rows from the members";
  let description = [{
    result[b, t] = sum_m rows[send_slot[b, t, m]], members m ascending, without those of -1: `rows` [S, d] in the order of
    hadal.exchange_layout, `send_slot` [B, T, ep] of it, result [B, T, d]. A token has at least one row.

    The gradient of `rows` is given by token, [B, T, d]: that of `result` itself. All rows of a token have the same one, and
    hadal.exchange scatter takes it to the members.

    - C1: S is at most B T ep.
  }];
  let arguments = (ins Hadal_F32:$rows, Hadal_I32:$send_slot);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$rows `,` $send_slot attr-dict `:` type($rows) `,` type($send_slot)";
}

def Hadal_RowClassEnum : Hadal_Enum<"RowClass", "which number of rows routing decides", [
  I32EnumCase<"Received", 0, "received">,
  I32EnumCase<"Routed", 1, "routed">]>;
/// `hadal.rows` of an argument or result of a component, of a kernel, of an op before kernels are formed: its rows are the
/// tokens that the rank received, or the pairs of such a token and an expert of the rank. The type has the most there can be.
def Hadal_RowClassAttr : Hadal_EnumAttr<Hadal_RowClassEnum, "rows">;

def Hadal_ExchangeEnum : Hadal_Enum<"ExchangeKind", "which way rows go between the members", [
  I32EnumCase<"Scatter", 0, "scatter">,
  I32EnumCase<"Gather", 1, "gather">]>;
def Hadal_ExchangeKindAttr : EnumAttr<Hadal_Dialect, Hadal_ExchangeEnum, "exchange">;

def Hadal_ExchangeOp : Hadal_Op<"exchange", [AttrSizedOperandSegments]> {
  let summary = "moves token rows to the members that have their experts, or back";
  let description = [{
    Stands in programs beside hadal.apply. All members of a group do it together, each with rows of its own tokens (its home).
    `sent`: the four results of hadal.exchange_layout at home (`send_slot` is there for the gradient, and read by none).

    `scatter`: each payload tensor [B, T, w] (any element type) becomes [N, w]: for each source member in ascending order its
    rows for this member, in its order. Without `received` it exchanges the counts too, and the last result is `received`
    [2, ep + 1]: the running sums from 0, over the members in order, of what comes from each (tokens, then routed rows);
    an exchange that takes `received` goes by the counts of the one that made it.
    `gather`: the way back. Each payload [N, w] becomes [S, w], rows in home's send order. Takes `received`.
    Rows behind received[0, ep] or send_offsets[ep] are undefined, and nobody may read them.

    `%r, %at = hadal.exchange scatter layer 3 (%x) sent(%counts, %offsets, %token, %slot) {members = 2, phase = #hadal.phase<F>} : (...) -> (...)`
    The type is that of all operands (payload, counts, offsets, token, slot, received) and results.

    - C1: layer is not negative; members and S are positive; phase is F or B.
    - C2: send_counts [2, ep], send_offsets [ep + 1], received [2, ep + 1] i64; send_token [S], send_slot [B, T, ep] i32, S at most
      B T ep.
    - C3: scatter: payload [B, T, w], results [ep B T, w] of the same element types; without `received` one more, [2, ep + 1] i64.
    - C4: gather: payload [ep B T, w], `received` is given, results [S, w].
  }];
  let arguments = (ins Hadal_ExchangeKindAttr:$kind, I64Attr:$layer, Variadic<AnyRankedTensor>:$payload,
                       Hadal_I64:$send_counts, Hadal_I64:$send_offsets, Hadal_I32:$send_token,
                       Hadal_I32:$send_slot, Optional<Hadal_I64>:$received, I64Attr:$members, Hadal_PhaseAttr:$phase, OptionalAttr<I64Attr>:$stage);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let hasVerifier = 1;
  let assemblyFormat = "$kind `layer` $layer `(` $payload `)` `sent` `(` $send_counts `,` $send_offsets `,` $send_token `,` $send_slot `)` (`received` `(` $received^ `)`)? attr-dict `:` functional-type(operands, $outputs)";
  let extraClassDeclaration = [{
    /// Results that are payload.
    ::mlir::ResultRange getMoved() { return getOutputs().take_front(getPayload().size()); }
    /// Whether it exchanges the counts.
    bool ownsCounts() { return !getReceived(); }
    /// The running sums of received rows: given, or (of a scatter that owns the counts) the last result.
    ::mlir::Value getReceivedSums() { return getReceived() ? ::mlir::Value(getReceived()) : getOutputs().back(); }
  }];
}

#endif // HADAL_DIALECTS_HADAL_EXCHANGE_TD
