// SPDX-License-Identifier: Apache-2.0
//
// See Profile.h.

#include "runtime/train/Profile.h"

#include "runtime/program/MemoryNeed.h"
#include "runtime/transport/Collectives.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

namespace hadal::rt {

using bundle::Opcode;
using Intervals = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// Sorted and disjoint.
static Intervals joined(Intervals intervals) {
  std::sort(intervals.begin(), intervals.end());
  Intervals result;
  for (const auto &[start, end] : intervals)
    if (!result.empty() && start <= result.back().second)
      result.back().second = std::max(result.back().second, end);
    else
      result.emplace_back(start, end);
  return result;
}

static std::int64_t lengthOf(const Intervals &intervals) {
  std::int64_t sum = 0;
  for (const auto &[start, end] : intervals)
    sum += end - start;
  return sum;
}

static bool exchanges(Opcode opcode) {
  switch (opcode) {
  case Opcode::exchange_counts:
  case Opcode::scatter_rows:
  case Opcode::gather_rows:
  case Opcode::reduce_scatter:
  case Opcode::all_gather:
  case Opcode::total_squares:
  case Opcode::all_reduce:
    return true;
  default:
    return false;
  }
}

static bool computes(Opcode opcode) {
  return opcode == Opcode::launch || opcode == Opcode::zero || opcode == Opcode::copy;
}

void addTimes(const Executor &program, RankTimes &times) {
  Intervals busy, exchanging, both;
  std::int64_t first = 0, last = 0;
  for (std::uint32_t stream = 0; stream < countOf(program.table().streams()); ++stream)
    for (const InstructionSpan &span : program.spans(stream)) {
      const Opcode opcode = program.table().instructions()->Get(span.instruction)->opcode();
      first = first ? std::min(first, span.start) : span.start;
      last = std::max(last, span.end);
      if (computes(opcode))
        busy.emplace_back(span.start, span.end);
      else if (exchanges(opcode))
        exchanging.emplace_back(span.start, span.end);
    }
  busy = joined(std::move(busy));
  both = busy;
  both.insert(both.end(), exchanging.begin(), exchanging.end());
  times.total += double(last - first) * 1e-9;
  times.busy += double(lengthOf(busy)) * 1e-9;
  times.exposed += double(lengthOf(joined(std::move(both))) - lengthOf(busy)) * 1e-9;
}

Profile::Profile(Rank &rank, TrainingStep &training, bool on, bool evaluates)
    : rank(rank), training(training), on(on), programs{"gradients", "update"} {
  if (evaluates)
    programs.push_back("evaluate");
  training.gradients.keepSpans(on);
  training.update.keepSpans(on);
}

void Profile::measureMemory() {
  const auto pipelineRank = std::uint32_t(rank.layout.place().pipelineRank);
  std::map<const bundle::Instruction *, ExchangeRows> rows;
  for (const ExchangedRows &came : training.gradients.exchanges())
    rows[training.gradients.table().instructions()->Get(came.instruction)] = {
        came.received, came.routed, came.sent};
  const MemoryShares need = memoryNeed(
      rank.bundle.table(), pipelineRank, programs,
      [&](const bundle::Instruction &counts, const ExchangeRows &) { return rows[&counts]; });
  memory.peak = totalOf(rank.store.memory().peak());
  memory.foretold = std::max(memory.foretold, need.total());
  memory.worst = memoryNeed(rank.bundle.table(), pipelineRank, programs, nullptr).total();
}

/// Rows that each rank's experts got, relative to the mean over ranks.
std::vector<double> Profile::expertRows(const StepMetrics &metrics) const {
  const RankGrid &grid = rank.layout.grid();
  const std::int64_t groups = grid.dataParallel / grid.expertParallel;
  std::vector<double> rows(std::size_t(grid.ranks()), 0);
  for (int r = 0; r < grid.ranks(); ++r) {
    const Layout layout(rank.bundle, r);
    for (const auto &[name, counts] : metrics.expertCounts) {
      const std::string expert = name + ".experts.";
      for (const HeldTensor &tensor : layout.tensors())
        // One matrix of each expert stands for it; groups of replicas share its rows.
        if (tensor.expert >= 0 && tensor.expert < std::int64_t(counts.size()) &&
            tensor.name == expert + std::to_string(tensor.expert) + ".gate_proj.weight")
          rows[std::size_t(r)] += double(counts[std::size_t(tensor.expert)]) / double(groups);
    }
  }
  double mean = 0;
  for (double value : rows)
    mean += value / double(rows.size());
  for (double &value : rows)
    value = mean > 0 ? value / mean : 0;
  return rows;
}

std::string Profile::step(const StepMetrics &metrics) {
  if (!on)
    return {};
  struct Report {
    RankTimes times;
    RankMemory memory;
  } own;
  addTimes(training.gradients, own.times);
  addTimes(training.update, own.times);
  measureMemory();
  own.memory = memory;
  Transport &transport = rank.context.transport;
  const std::vector<Bytes> all =
      gather(transport, everyone(transport), kMainChannel, 0, &own, sizeof own);
  if (!rank.first())
    return {};
  const std::vector<double> experts = expertRows(metrics);
  std::string table = "step " + std::to_string(metrics.step) +
                      ", ms and MB\n  rank     total      busy   waiting   exposed communication"
                      "    bubble   expert load   peak memory   foretold   worst case";
  for (std::size_t r = 0; r < all.size(); ++r) {
    Report report;
    std::memcpy(&report, all[r].data(), sizeof report);
    const RankTimes &times = report.times;
    char line[240];
    std::snprintf(line, sizeof line,
                  "\n  %4zu %9.2f %9.2f %9.2f %23.2f %9.2f %13.2f %13.3f %10.3f %12.3f", r,
                  times.total * 1e3, times.busy * 1e3, times.waiting() * 1e3, times.exposed * 1e3,
                  times.bubble() * 1e3, experts[r], double(report.memory.peak) * 1e-6,
                  double(report.memory.foretold) * 1e-6, double(report.memory.worst) * 1e-6);
    table += line;
  }
  return table;
}

} // namespace hadal::rt
