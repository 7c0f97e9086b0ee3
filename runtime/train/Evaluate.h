// SPDX-License-Identifier: Apache-2.0
//
// Program "evaluate" on rows: the outputs that oracles compare (logits, losses, expert choices,
// gradients), and the mean loss of validation windows. All ranks call the same functions.

#ifndef HADAL_RUNTIME_TRAIN_EVALUATE_H
#define HADAL_RUNTIME_TRAIN_EVALUATE_H

#include "runtime/data/Rows.h"
#include "runtime/train/Outputs.h"
#include "runtime/train/Ranks.h"

#include <string>

namespace hadal::rt {

/// Evaluates the rows of `tokensFile` (`tokens` [rows of one step, T + 1]); rank 0 writes one
/// safetensors file: logits [B, T, V], mtp_logits.K [B, T-K, V], loss, main_loss, balance_loss [1],
/// mtp_losses [depths] (F64), per MoE layer counts.PREFIX [E] (I64), experts.PREFIX [B*T, K] (I64),
/// expert_weights.PREFIX (F32); with `gradients` gradient.NAME of every trained parameter. An
/// existing file is replaced at the end only.
void evaluateToFile(Rank &rank, const std::string &tokensFile, const std::string &out,
                    bool gradients);

/// Mean main loss (nats a token) over up to 64 held-out windows, spread evenly; as many windows as
/// fill whole micro-batches.
class Validation {
public:
  /// Throws InputError when too little is held out for one window.
  Validation(Rank &rank, const Rows &rows, const std::string &file);
  /// The same on all ranks.
  double run(std::int64_t step);
  std::int64_t windows() const { return count; }

private:
  void fill(std::int64_t batch);

  Rank &rank;
  const Bundle &bundle;
  Executor program;
  OutputGather outputs;
  const Rows &rows;
  std::int64_t count;
};

} // namespace hadal::rt

#endif
