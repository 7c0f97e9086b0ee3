// SPDX-License-Identifier: Apache-2.0
//
// How big a model is: parameters in all and active per token, FLOP per token, latent cache. Free of
// MLIR.

#ifndef HADAL_FRONTEND_COUNTS_H
#define HADAL_FRONTEND_COUNTS_H

#include "frontend/ModelSpec.h"

#include <cstdint>

namespace hadal {

struct ParameterCounts {
  int64_t main =
      0; ///< embedding, main layers, final norm, head; router biases included (V3: 671,026,419,200)
  int64_t mtp = 0; ///< the MTP layers' own, without copies of embedding and head
  /// Of the matrices a token goes through in the main model: the K chosen and the shared experts,
  /// the head, not the embedding (V3: 36,624,596,992).
  int64_t activeMain = 0;
  int64_t activeMtp = 0; ///< the same of all MTP layers, the head once per depth
  int64_t embedding = 0; ///< vocab_size x hidden_size
};
ParameterCounts countParameters(const ModelSpec &spec);

/// FLOP of attention scores and values per token, forward pass, all main layers, over a window of
/// `tokens`: layers x 2 heads (d_qk + d_v) x tokens, half of it where only the causal half counts.
double attentionFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal);

/// Training FLOP per token of the main model: 6 activeMain + 3 attention (V3 at 4096: 281.2e9,
/// causal 250.4e9).
double trainingFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal);
/// The same with MTP: depth k has (tokens - k) of `tokens` positions.
double trainingFlopPerTokenWithMtp(const ModelSpec &spec, int64_t tokens, bool causal);
/// Forward only: 2 activeMain + attention.
double inferenceFlopPerToken(const ModelSpec &spec, int64_t tokens, bool causal);

/// Elements of the latent cache per token, all main layers: layers x (kv_lora_rank +
/// qk_rope_head_dim).
int64_t cacheElementsPerToken(const ModelSpec &spec);

} // namespace hadal

#endif // HADAL_FRONTEND_COUNTS_H
