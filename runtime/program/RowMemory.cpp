// SPDX-License-Identifier: Apache-2.0
//
// See RowMemory.h. Sizes as Store.h makes them: multiples of 64, frames of whole groups of 16 rows.

#include "runtime/program/RowMemory.h"

#include "runtime/program/Terms.h"
#include "runtime/program/Uses.h"

#include <algorithm>

namespace hadal::rt {

namespace {

std::uint64_t rounded(std::uint64_t bytes) {
  return std::max<std::uint64_t>(64, (bytes + 63) / 64 * 64);
}

} // namespace

RowMemory::RowMemory(const bundle::Bundle &table, const bundle::Program &program,
                     const RowsOf &rows)
    : table(table), program(program), worst(!rows), shares(sizeOf(program.buffers()), Activations) {
  findMost();
  findShares();
  if (worst)
    return;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == bundle::Opcode::exchange_counts)
      if (auto found = counts.find(instruction.operands()->Get(1)); found != counts.end())
        found->second = rows(instruction, found->second);
  }
}

/// The most rows of each exchange: the first sizes of the buffers that its counts size.
void RowMemory::findMost() {
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    const std::uint32_t operands = sizeOf(instruction.operands());
    auto sizeOfOperand = [&](std::uint32_t operand) {
      const auto *shape = program.buffers()->Get(instruction.operands()->Get(operand))->shape();
      return sizeOf(shape) ? shape->Get(0) : std::int64_t(0);
    };
    if (instruction.opcode() == bundle::Opcode::scatter_rows) {
      ExchangeRows &most = counts[instruction.operands()->Get(operands - 1)];
      most.sent = std::max(most.sent, sizeOfOperand(operands - 2));
    } else if (instruction.opcode() == bundle::Opcode::allocate && instruction.counts() >= 0) {
      ExchangeRows &most = counts[std::uint32_t(instruction.counts())];
      const bool received = program.buffers()->Get(instruction.operands()->Get(0))->rows() ==
                            bundle::RowCount::received;
      std::int64_t &of = received ? most.received : most.routed;
      of = std::max(of, sizeOfOperand(0));
    }
  }
}

/// Communication is what an exchange uses; stash what waits from B to W.
void RowMemory::findShares() {
  std::vector<char> first(shares.size(), 0), last(shares.size(), 0);
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    const bool exchange = instruction.opcode() == bundle::Opcode::scatter_rows ||
                          instruction.opcode() == bundle::Opcode::gather_rows;
    if (!exchange && instruction.opcode() != bundle::Opcode::launch)
      continue;
    const char phase =
        instruction.phase() && instruction.phase()->size() ? instruction.phase()->Get(0) : '?';
    for (std::uint32_t operand : *instruction.operands()) {
      if (exchange)
        shares[operand] = Communication;
      if (!first[operand])
        first[operand] = phase;
      last[operand] = phase;
    }
  }
  for (std::size_t i = 0; i < shares.size(); ++i)
    if (shares[i] == Activations && first[i] == 'B' && last[i] == 'W')
      shares[i] = Stash;
}

std::int64_t RowMemory::rowsOf(std::int64_t buffer, bundle::RowCount which) const {
  auto found = counts.find(std::uint32_t(buffer));
  if (buffer < 0 || found == counts.end())
    return 0;
  return which == bundle::RowCount::received ? found->second.received : found->second.routed;
}

std::uint64_t RowMemory::bytesOfRows(std::uint32_t buffer, std::int64_t by) const {
  const bundle::Buffer &of = *program.buffers()->Get(buffer);
  return rounded(std::uint64_t(rowsOf(by, of.rows())) * rowBytes(of));
}

std::uint64_t RowMemory::frameBytes(const bundle::Instruction &launch) const {
  const bundle::Component &component = *table.components()->Get(launch.component());
  auto frame = [&](std::uint64_t bytes, bundle::RowCount which) {
    const std::uint64_t rows = std::uint64_t(rowsOf(launch.counts(), which) + 15) / 16 * 16;
    return bytes ? rounded(bytes * rows) : 0;
  };
  return frame(component.received_row_bytes(), bundle::RowCount::received) +
         frame(component.routed_row_bytes(), bundle::RowCount::routed);
}

static void add(MemoryShares &shares, int share, std::int64_t bytes) {
  std::uint64_t MemoryShares::*const members[] = {&MemoryShares::activations, &MemoryShares::stash,
                                                  &MemoryShares::communication};
  shares.*members[share] += std::uint64_t(bytes);
}

MemoryShares RowMemory::peak() const { return worst ? bound() : replay(); }

MemoryShares RowMemory::replay() const {
  MemoryShares live, highest;
  std::map<std::uint32_t, std::uint64_t> held;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    MemoryShares now = live;
    if (instruction.opcode() == bundle::Opcode::allocate) {
      const std::uint32_t buffer = instruction.operands()->Get(0);
      held[buffer] = bytesOfRows(buffer, instruction.counts());
      add(live, shares[buffer], std::int64_t(held[buffer]));
      now = live;
    } else if (instruction.opcode() == bundle::Opcode::free) {
      const std::uint32_t buffer = instruction.operands()->Get(0);
      add(live, shares[buffer], -std::int64_t(held[buffer]));
    } else if (instruction.opcode() == bundle::Opcode::launch) {
      now.activations += frameBytes(instruction);
    }
    if (now.total() > highest.total())
      highest = now;
  }
  return highest;
}

// At an instruction there may be all that was allocated before it on its own stream, and on any
// other stream by what does not have to wait for it; what was freed is gone for sure where the free
// has ended before it starts. Along a stream both only grow, so that running sums say how much.
MemoryShares RowMemory::bound() const {
  const Timeline timeline(program);
  struct Sums { // of a stream, before each of its changes and at the end
    std::vector<std::uint32_t> allocates, frees;
    std::vector<MemoryShares> allocated{1}, freed{1};
  };
  std::vector<Sums> streams(timeline.streams());
  std::map<std::uint32_t, std::uint64_t> held;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    const bool comes = instruction.opcode() == bundle::Opcode::allocate;
    if (!comes && instruction.opcode() != bundle::Opcode::free)
      continue;
    const std::uint32_t buffer = instruction.operands()->Get(0);
    if (comes)
      held[buffer] = bytesOfRows(buffer, instruction.counts());
    Sums &sums = streams[instruction.stream()];
    std::vector<MemoryShares> &running = comes ? sums.allocated : sums.freed;
    running.push_back(running.back());
    add(running.back(), shares[buffer], std::int64_t(held[buffer]));
    (comes ? sums.allocates : sums.frees).push_back(i);
  }
  auto liveAt = [&](std::uint32_t i) {
    MemoryShares live;
    for (std::uint32_t s = 0; s < streams.size(); ++s) {
      const Sums &sums = streams[s];
      // Allocations that start after this one has ended do not count.
      const auto comes = std::partition_point(
          sums.allocates.begin(), sums.allocates.end(),
          [&](std::uint32_t other) { return other == i || !timeline.precedes(i, other); });
      const auto goes =
          std::partition_point(sums.frees.begin(), sums.frees.end(),
                               [&](std::uint32_t other) { return timeline.precedes(other, i); });
      const MemoryShares &plus = sums.allocated[std::size_t(comes - sums.allocates.begin())];
      const MemoryShares &minus = sums.freed[std::size_t(goes - sums.frees.begin())];
      live.activations += plus.activations - minus.activations;
      live.stash += plus.stash - minus.stash;
      live.communication += plus.communication - minus.communication;
    }
    return live;
  };
  MemoryShares highest;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    const std::uint64_t frame =
        instruction.opcode() == bundle::Opcode::launch ? frameBytes(instruction) : 0;
    if (!frame && instruction.opcode() != bundle::Opcode::allocate)
      continue;
    MemoryShares now = liveAt(i);
    now.activations += frame;
    if (now.total() > highest.total())
      highest = now;
  }
  return highest;
}

/// Rows that are packed to be sent; pieces of what others sum.
std::uint64_t RowMemory::stagingOf(const bundle::Instruction &instruction) const {
  const std::uint32_t operands = sizeOf(instruction.operands());
  if (instruction.opcode() == bundle::Opcode::scatter_rows) {
    std::uint64_t width = 0;
    for (std::uint32_t i = 0; i < (operands - 3) / 2; ++i) {
      const bundle::Buffer &to =
          *program.buffers()->Get(instruction.operands()->Get((operands - 3) / 2 + i));
      width += rowBytes(to);
    }
    auto found = counts.find(instruction.operands()->Get(operands - 1));
    return rounded(found == counts.end() ? 0 : std::uint64_t(found->second.sent) * width);
  }
  if (instruction.opcode() == bundle::Opcode::reduce_scatter) {
    const bundle::Group &group = *table.groups()->Get(std::uint32_t(instruction.group()));
    const std::int64_t data = std::max<std::int64_t>(1, table.training()->data_parallel());
    const std::int64_t replicas =
        group.scope() == bundle::GroupScope::holders
            ? data
            : data / std::max<std::int64_t>(1, table.training()->expert_parallel());
    // One source for each term and replica; this rank's own are not staged.
    std::uint64_t others = 0;
    for (const bundle::Term *term : *instruction.terms())
      if (term->rank() != kParkedTerm)
        others +=
            std::uint64_t(replicas) - (group.pipeline_ranks()->Get(term->rank()) == program.rank());
    constexpr std::uint64_t kPiece = 1u << 18; // elements, as the runtime sums them
    const std::uint64_t window =
        bytesOf(*program.buffers()->Get(instruction.operands()->Get(operands - 1))) / 4;
    return rounded(others * std::min(window, kPiece) * 4);
  }
  return 0;
}

std::uint64_t RowMemory::staging() const {
  std::map<std::uint32_t, std::uint64_t> streams;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    std::uint64_t &most = streams[instruction.stream()];
    most = std::max(most, stagingOf(instruction));
  }
  std::uint64_t sum = 0;
  for (const auto &[stream, bytes] : streams)
    sum += bytes;
  return sum;
}

} // namespace hadal::rt
