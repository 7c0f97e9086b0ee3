// SPDX-License-Identifier: Apache-2.0
//
// Memory that a rank needs, told from the bundle before anything runs: the same bytes that the
// runtime counts (Store.h) when routing gives those rows.

#ifndef HADAL_RUNTIME_PROGRAM_MEMORYNEED_H
#define HADAL_RUNTIME_PROGRAM_MEMORYNEED_H

#include "runtime/program/bundle_generated.h"

#include <functional>
#include <string>
#include <vector>

namespace hadal::rt {

/// Bytes by use. Stash: what waits from B to W. Other: state, inputs, outputs, constants.
struct MemoryShares {
  std::uint64_t weights = 0, gradients = 0, optimizer = 0, activations = 0, stash = 0,
                communication = 0, other = 0;
  std::uint64_t total() const {
    return weights + gradients + optimizer + activations + stash + communication + other;
  }
};

/// Rows of one exchange on one rank: tokens it gets, pairs of token and expert among them, rows it
/// sends.
struct ExchangeRows {
  std::int64_t received = 0, routed = 0, sent = 0;
};

/// The rows of the exchange that an exchange_counts begins; `most`: the most there can be.
using RowsOf =
    std::function<ExchangeRows(const bundle::Instruction &counts, const ExchangeRows &most)>;

/// Probability that a token goes to a given member of an expert group of `members`, when all
/// choices of groups and experts are equally likely: the mean over members.
double memberProbability(std::int64_t experts, std::int64_t topK, std::int64_t groups,
                         std::int64_t groupsPerToken, std::int64_t members);

/// The expected rows under such routing, rounded up.
ExchangeRows balancedRows(const bundle::Bundle &table, const ExchangeRows &most);

/// What pipeline rank `rank` needs at the peak to run `programs` one after the other, all their
/// memory kept. `rows`: null for the worst case, the most rows in each exchange (then the answer
/// holds for any timing of the streams).
MemoryShares memoryNeed(const bundle::Bundle &table, std::uint32_t rank,
                        const std::vector<std::string> &programs, const RowsOf &rows);
/// For balanced routing.
MemoryShares balancedNeed(const bundle::Bundle &table, std::uint32_t rank,
                          const std::vector<std::string> &programs);

/// The programs whose memory a run keeps: those of training, or else all of the rank.
std::vector<std::string> residentPrograms(const bundle::Bundle &table, std::uint32_t rank);

} // namespace hadal::rt

#endif
