// SPDX-License-Identifier: Apache-2.0
//
// See MemoryNeed.h.

#include "runtime/program/MemoryNeed.h"

#include "runtime/program/RowMemory.h"
#include "runtime/program/TableText.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace hadal::rt {

/// n over k; 0 where k is none of 0 to n.
static double choose(std::int64_t n, std::int64_t k) {
  if (k < 0 || k > n)
    return 0;
  double ways = 1;
  for (std::int64_t i = 1; i <= k; ++i)
    ways *= double(n - k + i) / double(i);
  return ways;
}

// G groups of g = E / G experts, of which a token may use t: its K experts are equally likely any K
// of those t g. A member has the experts [m E / ep, (m + 1) E / ep): overlaps o_1, o_2, ... with
// some groups. With s of its experts among the t g allowed ones,
//
//   P(token goes there | s) = 1 - C(t g - s, K) / C(t g, K),
//
// and s is the sum of the overlaps of the groups that were chosen: of q overlapping groups a given
// subset of c is chosen with probability C(G - q, t - c) / C(G, t).
static double probabilityOf(const std::vector<std::int64_t> &overlaps, std::int64_t topK,
                            std::int64_t groups, std::int64_t chosen, std::int64_t groupSize) {
  // Subsets by number of groups and sum of overlaps.
  std::int64_t most = 0;
  for (std::int64_t overlap : overlaps)
    most += overlap;
  const std::size_t count = overlaps.size();
  std::vector<std::vector<double>> subsets(count + 1, std::vector<double>(std::size_t(most) + 1));
  subsets[0][0] = 1;
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t c = i + 1; c-- > 0;)
      for (std::int64_t s = most - overlaps[i]; s >= 0; --s)
        subsets[c + 1][std::size_t(s + overlaps[i])] += subsets[c][std::size_t(s)];
  const std::int64_t allowed = chosen * groupSize;
  double probability = 0;
  for (std::size_t c = 0; c <= count; ++c)
    for (std::int64_t s = 0; s <= most; ++s)
      if (double ways = subsets[c][std::size_t(s)])
        probability += ways * choose(groups - std::int64_t(count), chosen - std::int64_t(c)) /
                       choose(groups, chosen) *
                       (1 - choose(allowed - s, topK) / choose(allowed, topK));
  return probability;
}

double memberProbability(std::int64_t experts, std::int64_t topK, std::int64_t groups,
                         std::int64_t groupsPerToken, std::int64_t members) {
  if (groups < 1 || experts % groups || groupsPerToken < 1 || groupsPerToken > groups)
    groups = groupsPerToken = 1;
  const std::int64_t size = experts / groups, each = experts / members;
  if (topK > groupsPerToken * size)
    return 1;
  double sum = 0;
  for (std::int64_t m = 0; m < members; ++m) {
    std::vector<std::int64_t> overlaps;
    for (std::int64_t g = m * each / size; g * size < (m + 1) * each; ++g)
      overlaps.push_back(std::min((m + 1) * each, (g + 1) * size) - std::max(m * each, g * size));
    sum += probabilityOf(overlaps, topK, groups, groupsPerToken, size);
  }
  return sum / double(members);
}

ExchangeRows balancedRows(const bundle::Bundle &table, const ExchangeRows &most) {
  const bundle::Model &model = *table.model();
  const std::int64_t members = std::max<std::int64_t>(1, table.training()->expert_parallel());
  const double share =
      memberProbability(std::max<std::int64_t>(model.experts(), members), model.top_k(),
                        model.expert_groups(), model.groups_per_token(), members);
  // Each of `members` ranks has received / members tokens.
  auto rows = [](double expected, std::int64_t limit) {
    return std::min(std::int64_t(std::ceil(expected - 1e-6)), limit);
  };
  return {rows(share * double(most.received), most.received),
          rows(double(most.received) * double(model.top_k()) / double(members), most.routed),
          rows(share * double(most.received), most.sent)};
}

/// Bytes of storages as the runtime allocates them.
static void addStorage(const bundle::Storage &storage, MemoryShares &shares) {
  const std::uint64_t bytes = std::max<std::uint64_t>(storage.bytes(), 64);
  switch (storage.kind()) {
  case bundle::StorageKind::parameter:
    shares.weights += bytes;
    return;
  case bundle::StorageKind::gradient:
    shares.gradients += bytes;
    return;
  case bundle::StorageKind::optimizer:
    shares.optimizer += bytes;
    return;
  case bundle::StorageKind::arena: {
    // What the planner did not attribute (alignment, gaps) counts as activations.
    const std::uint64_t stash = std::min<std::uint64_t>(storage.stash(), bytes);
    const std::uint64_t sent = std::min<std::uint64_t>(storage.communication(), bytes - stash);
    shares.stash += stash;
    shares.communication += sent;
    shares.activations += bytes - stash - sent;
    return;
  }
  default:
    shares.other += bytes;
  }
}

/// The frame of fixed size of a program's components.
static std::uint64_t frameBytes(const bundle::Bundle &table, const bundle::Program &program) {
  std::uint64_t most = 0;
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == bundle::Opcode::launch)
      most = std::max(most, table.components()->Get(instruction.component())->frame_bytes());
  }
  return most + 64;
}

MemoryShares memoryNeed(const bundle::Bundle &table, std::uint32_t rank,
                        const std::vector<std::string> &programs, const RowsOf &rows) {
  MemoryShares shares, highest;
  std::set<std::uint32_t> storages;
  for (std::uint32_t p = 0; p < sizeOf(table.programs()); ++p) {
    const bundle::Program &program = *table.programs()->Get(p);
    if (program.rank() != rank ||
        std::find(programs.begin(), programs.end(), program.name()->str()) == programs.end())
      continue;
    for (std::uint32_t i = 0; i < sizeOf(program.buffers()); ++i)
      if (program.buffers()->Get(i)->rows() == bundle::RowCount::fixed)
        storages.insert(program.buffers()->Get(i)->storage());
    shares.activations += frameBytes(table, program);
    RowMemory memory(table, program, rows);
    shares.communication += memory.staging();
    if (MemoryShares peak = memory.peak(); peak.total() > highest.total())
      highest = peak;
  }
  for (std::uint32_t index : storages)
    addStorage(*table.storages()->Get(index), shares);
  shares.activations += highest.activations;
  shares.stash += highest.stash;
  shares.communication += highest.communication;
  return shares;
}

MemoryShares balancedNeed(const bundle::Bundle &table, std::uint32_t rank,
                          const std::vector<std::string> &programs) {
  return memoryNeed(table, rank, programs,
                    [&](const bundle::Instruction &, const ExchangeRows &most) {
                      return balancedRows(table, most);
                    });
}

std::vector<std::string> residentPrograms(const bundle::Bundle &table, std::uint32_t rank) {
  std::vector<std::string> all, training;
  for (std::uint32_t p = 0; p < sizeOf(table.programs()); ++p) {
    const bundle::Program &program = *table.programs()->Get(p);
    if (program.rank() != rank)
      continue;
    const std::string name = program.name()->str();
    all.push_back(name);
    if (name == "gradients" || name == "update")
      training.push_back(name);
  }
  return training.empty() ? all : training;
}

} // namespace hadal::rt
