// SPDX-License-Identifier: Apache-2.0
//
// See FirstHalves.h.

#include "passes/Schedule/FirstHalves.h"

#include <algorithm>

using namespace hadal::pipe;

namespace {

using Entries = std::vector<std::vector<OrderEntry>>; // by rank

std::optional<Entries> parse(const Order &order) {
  Entries entries(order.size());
  for (size_t rank = 0; rank < order.size(); ++rank)
    for (const std::string &text : order[rank]) {
      std::optional<OrderEntry> entry = parseEntry(text);
      if (!entry)
        return std::nullopt;
      entries[rank].push_back(std::move(*entry));
    }
  return entries;
}

/// When everything ends if a part starts once its neighbour's has ended.
class UnitTimes {
public:
  UnitTimes(const Entries &entries, const RankLayout &layout)
      : entries(entries), layout(layout), ends(entries.size()) {}

  /// Nothing where some rank waits for ever.
  std::optional<std::vector<std::vector<double>>> run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t rank = 0; rank < entries.size(); ++rank)
        while (ends[rank].size() < entries[rank].size() && step(rank))
          moved = true;
    }
    for (size_t rank = 0; rank < entries.size(); ++rank)
      if (ends[rank].size() < entries[rank].size())
        return std::nullopt;
    return std::move(ends);
  }

private:
  /// Forward or backward part of a micro-batch on a stage.
  using Part = std::tuple<bool, int64_t, int64_t>;

  Part partOf(size_t rank, const OrderPart &part, int64_t stagesOn = 0) const {
    return {part.what == 'F', layout.stageOf(int64_t(rank), part.direction) + stagesOn,
            layout.microBatchOf(part.direction, part.chunk)};
  }

  bool step(size_t rank) {
    const OrderEntry &entry = entries[rank][ends[rank].size()];
    double time = ends[rank].empty() ? 0 : ends[rank].back(), length = 0;
    for (const OrderPart &part : entry.parts) {
      length += part.what == 'B' ? 2 : 1;
      const int64_t before = part.what == 'F' ? -1 : 1;
      const int64_t stage = layout.stageOf(int64_t(rank), part.direction) + before;
      if (part.what == 'W' || stage < 0 || stage >= layout.stages())
        continue;
      auto made = done.find(partOf(rank, part, before));
      if (made == done.end())
        return false;
      time = std::max(time, made->second);
    }
    for (const OrderPart &part : entry.parts)
      if (part.what != 'W')
        done[partOf(rank, part)] = time + length;
    ends[rank].push_back(time + length);
    return true;
  }

  const Entries &entries;
  const RankLayout &layout;
  std::vector<std::vector<double>> ends; // by rank and entry
  std::map<Part, double> done;
};

/// The entry behind which all W of the first half's micro-batches have run, if that is before the
/// first of the second half; -1 otherwise, and where an entry has two.
int64_t endOfFirst(const std::vector<OrderEntry> &row, const RankLayout &layout, int64_t rank,
                   int64_t stage) {
  int64_t last = -1, next = int64_t(row.size()), seen = 0;
  for (int64_t entry = 0; entry < int64_t(row.size()); ++entry)
    for (const OrderPart &part : row[size_t(entry)].parts) {
      if ((part.what != 'B' && part.what != 'W') || layout.stageOf(rank, part.direction) != stage)
        continue;
      if (layout.halfOf(layout.microBatchOf(part.direction, part.chunk))) {
        next = std::min(next, entry);
      } else {
        if (last == entry)
          return -1;
        last = entry;
        ++seen;
      }
    }
  const bool complete = seen == (layout.microBatches + 1) / 2;
  return complete && last < next ? last : -1;
}

} // namespace

FirstHalves::FirstHalves(const Order &order, const RankLayout &layout) {
  std::optional<Entries> entries = parse(order);
  if (layout.halves() < 2 || !entries || int64_t(order.size()) != layout.ranks)
    return;
  auto times = UnitTimes(*entries, layout).run();
  if (!times)
    return;
  ends = std::move(*times);
  for (int64_t rank = 0; rank < layout.ranks; ++rank)
    for (auto [entry, end] : llvm::enumerate(ends[size_t(rank)]))
      for (const OrderPart &part : (*entries)[size_t(rank)][entry].parts)
        if (part.what == 'B' || part.what == 'W') {
          double &last = lasts[layout.stageOf(rank, part.direction)];
          last = std::max(last, end);
        }
  for (int64_t stage = 0; stage < layout.stages(); ++stage) {
    const int64_t rank = layout.rankOf(stage, 0);
    if (rank != layout.rankOf(stage, 1))
      continue;
    if (int64_t entry = endOfFirst((*entries)[size_t(rank)], layout, rank, stage); entry >= 0)
      places[stage] = {rank, entry, endOf(rank, entry)};
  }
}
