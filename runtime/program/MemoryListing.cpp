// SPDX-License-Identifier: Apache-2.0
//
// See MemoryListing.h.

#include "runtime/program/MemoryListing.h"

#include "runtime/program/MemoryNeed.h"
#include "runtime/program/RowMemory.h"
#include "runtime/program/Uses.h"

#include <algorithm>
#include <cstdio>

namespace hadal::rt {

namespace {

/// When a buffer of the arena, or of counted rows, is alive: numbers of instructions, both
/// included.
struct Life {
  std::uint64_t bytes = 0;
  std::int64_t first = -1, last = -1;
};

class Listing {
public:
  Listing(const bundle::Bundle &table, const bundle::Program &program)
      : table(table), program(program), lives(sizeOf(program.buffers())) {
    findLives();
    findPeak();
  }

  void print(std::ostream &out) const {
    const bundle::Instruction *at =
        sizeOf(program.instructions()) ? program.instructions()->Get(std::uint32_t(peak)) : nullptr;
    out << programText(program) << ": " << megabytes(highest) << " MB of buffers at instruction "
        << peak;
    if (at && at->chunk() >= 0)
      out << " (" << program.chunks()->Get(std::uint32_t(at->chunk()))->string_view() << ")";
    out << "\n";
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> sums; // count, bytes
    for (std::size_t i = 0; i < lives.size(); ++i)
      if (lives[i].first >= 0 && lives[i].first <= peak && peak <= lives[i].last) {
        const bundle::Buffer &buffer = *program.buffers()->Get(std::uint32_t(i));
        auto &sum = sums[buffer.name()->str() + "  " + typeText(buffer)];
        ++sum.first;
        sum.second += lives[i].bytes;
      }
    std::vector<std::pair<std::string, std::pair<std::uint64_t, std::uint64_t>>> order(sums.begin(),
                                                                                       sums.end());
    std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) {
      return a.second.second > b.second.second;
    });
    for (const auto &[name, sum] : order) {
      char text[64];
      std::snprintf(text, sizeof text, "  %12s MB  %4llu x  ", megabytes(sum.second).c_str(),
                    static_cast<unsigned long long>(sum.first));
      out << text << name << "\n";
    }
  }

private:
  static std::string megabytes(std::uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, bytes < 10000 ? "%.6f" : "%.2f", double(bytes) / 1e6);
    return text;
  }

  void findLives() {
    const RowMemory memory(table, program,
                           [&](const bundle::Instruction &, const ExchangeRows &most) {
                             return balancedRows(table, most);
                           });
    for (std::uint32_t n = 0; n < sizeOf(program.instructions()); ++n) {
      const bundle::Instruction &instruction = *program.instructions()->Get(n);
      forEachUse(table, instruction, [&](std::uint32_t index, Use use) {
        const bundle::Buffer &buffer = *program.buffers()->Get(index);
        const bool rows = buffer.rows() != bundle::RowCount::fixed;
        if (!rows && table.storages()->Get(buffer.storage())->kind() != bundle::StorageKind::arena)
          return;
        Life &life = lives[index];
        if (life.first < 0)
          life.first = n;
        life.last = n;
        if (!rows)
          life.bytes = bytesOf(buffer);
        else if (use == Use::Allocate)
          life.bytes = rowBytes(buffer) * countOf(buffer, instruction, memory);
      });
    }
  }

  static std::uint64_t countOf(const bundle::Buffer &buffer, const bundle::Instruction &allocate,
                               const RowMemory &memory) {
    auto found = memory.rowsByCounts().find(std::uint32_t(allocate.counts()));
    if (found == memory.rowsByCounts().end())
      return 0;
    const ExchangeRows &rows = found->second;
    return std::uint64_t(buffer.rows() == bundle::RowCount::received ? rows.received : rows.routed);
  }

  void findPeak() {
    std::vector<std::int64_t> changes(sizeOf(program.instructions()) + 1, 0);
    for (const Life &life : lives)
      if (life.first >= 0) {
        changes[std::size_t(life.first)] += std::int64_t(life.bytes);
        changes[std::size_t(life.last) + 1] -= std::int64_t(life.bytes);
      }
    std::int64_t live = 0;
    for (std::size_t n = 0; n < changes.size(); ++n) {
      live += changes[n];
      if (live > std::int64_t(highest)) {
        highest = std::uint64_t(live);
        peak = std::int64_t(n);
      }
    }
  }

  const bundle::Bundle &table;
  const bundle::Program &program;
  std::vector<Life> lives; ///< by buffer
  std::int64_t peak = 0;
  std::uint64_t highest = 0;
};

} // namespace

void listMemory(const bundle::Bundle &table, std::ostream &out) {
  std::map<std::uint32_t, const bundle::Program *> chosen;
  for (std::uint32_t p = 0; p < sizeOf(table.programs()); ++p) {
    const bundle::Program &program = *table.programs()->Get(p);
    const bundle::Program *&of = chosen[program.rank()];
    if (!of || program.name()->string_view() == "gradients")
      of = &program;
  }
  for (const auto &[rank, program] : chosen)
    Listing(table, *program).print(out);
}

} // namespace hadal::rt
