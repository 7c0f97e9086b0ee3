// SPDX-License-Identifier: Apache-2.0
//
// Losses of next-token prediction.

#ifndef HADAL_DIALECTS_HADAL_LOSS_TD
#define HADAL_DIALECTS_HADAL_LOSS_TD

include "dialects/Hadal/Layers.td"

def Hadal_CrossEntropyOp : Hadal_ForwardOp<"cross_entropy"> {
  let summary = "summed cross entropy over a divisor";
  let description = [{
    `logits` [B, T, V]; the target of (b, t) is ids[b, t + offset], `ids` [B, S]. log_sum_exp[b, t] = log sum_v exp logits;
    loss = sum (log_sum_exp - logits[target]) / divisor, in f64 (divisor: B T of the main loss; of an MTP depth B times
    the window, or B times its own positions, as `mtp_loss_normalisation` says).
    The gradient is seeded by the scalar that the pass binds to `seed` (`seed.main`, `seed.mtp`).

    - C1: offset + T <= S. C2: divisor is positive.
  }];
  let arguments = (ins Hadal_F32:$logits, Hadal_I32:$ids, I64Attr:$offset, I64Attr:$divisor);
  let results = (outs Hadal_F64Scalar:$loss, Hadal_F32:$log_sum_exp);
  let assemblyFormat = "$logits `,` $ids attr-dict `:` type($logits) `,` type($ids)";
}

def Hadal_CrossEntropyRowsOp : Hadal_PureOp<"cross_entropy_rows"> {
  let summary = "hadal.cross_entropy without the sum over rows";
  let description = "`row_loss` [B, T] in f64: log_sum_exp - logits[target] of each row; the rest as in hadal.cross_entropy.";
  let arguments = (ins Hadal_F32:$logits, Hadal_I32:$ids, I64Attr:$offset);
  let results = (outs Hadal_F64:$row_loss, Hadal_F32:$log_sum_exp);
  let assemblyFormat = "$logits `,` $ids attr-dict `:` type($logits) `,` type($ids)";
}

def Hadal_ReduceLossOp : Hadal_PureOp<"reduce_loss"> {
  let summary = "sum of row losses over a divisor";
  let description = "loss = (sum of `row_loss`, in order, f64) / divisor. C1: divisor is positive.";
  let arguments = (ins Hadal_F64:$row_loss, I64Attr:$divisor);
  let results = (outs Hadal_F64Scalar:$loss);
  let assemblyFormat = "$row_loss attr-dict `:` type($row_loss)";
}

def Hadal_CrossEntropyGradientOp : Hadal_PureOp<"cross_entropy_gradient"> {
  let summary = "gradient of hadal.cross_entropy";
  let description = "result = seed / divisor (exp(logits - log_sum_exp) - onehot(target)). Shapes as in hadal.cross_entropy.";
  let arguments = (ins Hadal_F32Scalar:$seed, Hadal_F32:$logits, Hadal_F32:$log_sum_exp, Hadal_I32:$ids, I64Attr:$offset,
                       I64Attr:$divisor);
  let results = (outs Hadal_F32:$result);
  let assemblyFormat = "$seed `,` $logits `,` $log_sum_exp `,` $ids attr-dict `:` type($seed) `,` type($logits) `,` type($log_sum_exp) `,` type($ids)";
}

#endif // HADAL_DIALECTS_HADAL_LOSS_TD
