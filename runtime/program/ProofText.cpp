// SPDX-License-Identifier: Apache-2.0
//
// See ProofText.h.

#include "runtime/program/ProofText.h"

#include "runtime/program/MemoryNeed.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace hadal::rt {

namespace {

using Row = std::vector<std::string>;

std::string number(double value, int digits = 0) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  std::string grouped = text;
  const std::size_t point = std::min(grouped.find('.'), grouped.size());
  for (std::ptrdiff_t at = std::ptrdiff_t(point) - 3; at > 0; at -= 3)
    grouped.insert(std::size_t(at), ",");
  return grouped;
}

/// Columns as wide as their longest entry; the first `texts` are aligned to the left, the others
/// to the right.
void print(const std::vector<Row> &rows, std::size_t texts, std::ostream &out) {
  std::vector<std::size_t> widths;
  for (const Row &row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (widths.size() <= c)
        widths.push_back(0);
      widths[c] = std::max(widths[c], row[c].size());
    }
  for (const Row &row : rows) {
    std::string line = " ";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - row[c].size(), ' ');
      line += " " + (c < texts ? row[c] + space : space + row[c]);
      line += c + 1 < row.size() ? " " : "";
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << "\n";
  }
}

std::string bubbleText(const BubbleProof &bubble) {
  const bool whole = std::abs(bubble.measured - std::round(bubble.measured)) < 1e-6;
  return number(bubble.measured, whole ? 0 : 2) + "; " + bubble.text + " = " +
         number(bubble.formula) +
         (bubble.condition.empty() ? "" : ", which holds for " + bubble.condition);
}

} // namespace

void printProof(const Validation &validation, std::ostream &out) {
  std::vector<Row> rows = {{"program", "ranks", "instructions", "uses of buffers", "transfers",
                            "collectives", "F, B, W"}};
  for (const ProgramProof &proof : validation.programs)
    rows.push_back({proof.name, number(proof.ranks), number(double(proof.instructions)),
                    number(double(proof.uses)), number(double(proof.transfers)),
                    number(double(proof.collectives)), number(double(proof.phases))});
  out << "proved: events, phases, transfers, collectives, no deadlock, memory\n";
  print(rows, 1, out);
  for (const ProgramProof &proof : validation.programs)
    if (proof.bubble)
      out << "  largest bubble of " << proof.name
          << " at F = I = W = 1, B = 2: " << bubbleText(*proof.bubble) << "\n";
}

void printMemory(const bundle::Bundle &table, std::ostream &out) {
  const std::int64_t ranks = table.training()->pipeline_ranks();
  std::vector<std::pair<std::string, MemoryShares>> needs;
  std::uint64_t most = 0;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const std::vector<std::string> programs = residentPrograms(table, rank);
    if (programs.empty())
      continue;
    const MemoryShares balanced = balancedNeed(table, rank, programs),
                       worst = memoryNeed(table, rank, programs, nullptr);
    needs.emplace_back(std::to_string(rank), balanced);
    if (worst.total() != balanced.total())
      needs.emplace_back(std::to_string(rank) + ", worst case", worst);
    most = std::max(most, worst.total());
  }
  if (needs.empty())
    return;
  const bool large = most >= 10'000'000'000, small = most < 10'000'000;
  const double unit = large ? 1e9 : small ? 1e3 : 1e6;
  out << "memory of a rank at the peak, " << (large ? "GB" : small ? "kB" : "MB") << "\n";
  std::vector<Row> rows = {{"pipeline rank", "weights", "gradients", "optimizer", "activations",
                            "stash", "communication", "other", "total"}};
  for (const auto &[name, need] : needs) {
    Row row = {name};
    for (std::uint64_t bytes : {need.weights, need.gradients, need.optimizer, need.activations,
                                need.stash, need.communication, need.other, need.total()})
      row.push_back(number(double(bytes) / unit, 2));
    rows.push_back(row);
  }
  print(rows, 1, out);
}

} // namespace hadal::rt
