// SPDX-License-Identifier: Apache-2.0
//
// Memory of a program that routing sizes: buffers between allocate and free, frames of launches
// while they run, and what collectives stage.

#ifndef HADAL_RUNTIME_PROGRAM_ROWMEMORY_H
#define HADAL_RUNTIME_PROGRAM_ROWMEMORY_H

#include "runtime/program/MemoryNeed.h"
#include "runtime/program/Timeline.h"

#include <map>

namespace hadal::rt {

class RowMemory {
public:
  /// rows null: the most there can be.
  RowMemory(const bundle::Bundle &table, const bundle::Program &program, const RowsOf &rows);

  /// The most that buffers and frames take: replayed in list order, or, for the most rows, however
  /// the streams run beside each other.
  MemoryShares peak() const;
  /// What the streams' collectives keep to stage rows and sums.
  std::uint64_t staging() const;
  /// Rows of each exchange, by the buffer that says how many.
  const std::map<std::uint32_t, ExchangeRows> &rowsByCounts() const { return counts; }

private:
  enum Share { Activations, Stash, Communication };
  /// Bytes that come (allocate) or go (free) with an instruction.
  struct Change {
    std::uint32_t instruction;
    std::int64_t bytes;
    Share share;
  };

  void findMost();
  void findShares();
  std::int64_t rowsOf(std::int64_t counts, bundle::RowCount which) const;
  std::uint64_t bytesOfRows(std::uint32_t buffer, std::int64_t counts) const;
  std::uint64_t frameBytes(const bundle::Instruction &launch) const;
  std::uint64_t stagingOf(const bundle::Instruction &instruction) const;
  MemoryShares replay() const;
  MemoryShares bound() const;

  const bundle::Bundle &table;
  const bundle::Program &program;
  bool worst;
  std::map<std::uint32_t, ExchangeRows> counts; // by counts buffer
  std::vector<Share> shares;                    // by buffer
};

} // namespace hadal::rt

#endif
