// SPDX-License-Identifier: Apache-2.0
//
// See Collectives.h: sums and shards.

#include "runtime/program/Collectives.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace hadal::rt {

using Requests = std::vector<Transport::Request>;

static std::size_t placeOf(const std::vector<int> &members, int rank) {
  auto found = std::find(members.begin(), members.end(), rank);
  if (found == members.end())
    throw RunError("rank " + std::to_string(rank) + " is not in the group of its collective");
  return std::size_t(found - members.begin());
}

/// Elements of window `place` that lie within the tensor.
static std::int64_t lengthOf(std::int64_t elements, std::int64_t window, std::size_t place) {
  return std::clamp<std::int64_t>(elements - std::int64_t(place) * window, 0, window);
}

namespace {

/// The terms of a sum, flat: where each source's values lie, and where partial sums end.
struct Source {
  int rank; // kParked: of the rank itself
  std::uint32_t slot;
  bool endsTerm, endsSum;
};

constexpr int kParked = -1;
constexpr std::int64_t kBlock = 1024;         // partial sums stay in the first cache
constexpr std::int64_t kPiece = 256 * kBlock; // elements of a message
static_assert(kPiece % kBlock == 0, "messages hold whole blocks");

} // namespace

static std::vector<Source> sourcesOf(const ShardedSum &sum) {
  std::vector<Source> sources;
  for (const std::vector<SumTerm> &terms : sum.sums)
    for (std::size_t t = 0; t < terms.size(); ++t) {
      const bool endsSum = t + 1 == terms.size();
      if (terms[t].ranks.empty())
        sources.push_back({kParked, terms[t].slot, true, endsSum});
      for (std::size_t r = 0; r < terms[t].ranks.size(); ++r) {
        const bool last = r + 1 == terms[t].ranks.size();
        sources.push_back({terms[t].ranks[r], terms[t].slot, last, last && endsSum});
      }
    }
  return sources;
}

static void copyOrAdd(bool first, const float *from, float *to, std::int64_t count) {
  if (first)
    std::memcpy(to, from, std::size_t(count) * sizeof(float));
  else
    for (std::int64_t i = 0; i < count; ++i)
      to[i] += from[i];
}

/// One block: replicas within a term, terms within a sum, sums.
static void addBlock(const std::vector<Source> &sources, const std::vector<const float *> &values,
                     std::int64_t begin, std::int64_t count, float *out) {
  float term[kBlock], sum[kBlock], total[kBlock];
  bool newTerm = true, newSum = true, newTotal = true;
  for (std::size_t s = 0; s < sources.size(); ++s) {
    copyOrAdd(newTerm, values[s] + begin, term, count);
    newTerm = sources[s].endsTerm;
    if (!newTerm)
      continue;
    copyOrAdd(newSum, term, sum, count);
    newSum = sources[s].endsSum;
    if (!newSum)
      continue;
    copyOrAdd(newTotal, sum, total, count);
    newTotal = false;
  }
  if (!newTotal)
    std::memcpy(out + begin, total, std::size_t(count) * sizeof(float));
}

static void addPiece(ThreadPool *pool, const std::vector<Source> &sources,
                     const std::vector<const float *> &values, std::int64_t count, float *out) {
  auto add = [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t block = first; block < last; ++block)
      addBlock(sources, values, block * kBlock, std::min(kBlock, count - block * kBlock), out);
  };
  const std::int64_t blocks = (count + kBlock - 1) / kBlock;
  if (pool && blocks > 8)
    pool->parallel(blocks, add);
  else
    add(0, blocks, 0);
}

static void checkSlots(const std::vector<Source> &sources, int rank, const Summands &own) {
  for (const Source &source : sources) {
    const bool parked = source.rank == kParked;
    const std::size_t count = (parked ? own.parked : own.accumulators).size();
    if ((parked || source.rank == rank) && source.slot >= count)
      throw RunError("a sum names " + std::string(parked ? "parked window " : "accumulator ") +
                     std::to_string(source.slot) + " of " + std::to_string(count));
  }
}

void reduceScatter(const Lane &lane, const ShardedSum &sum, const Summands &own, float *shard) {
  const int rank = lane.transport.rank();
  const std::size_t me = placeOf(sum.members, rank), n = sum.members.size();
  const std::vector<Source> sources = sourcesOf(sum);
  checkSlots(sources, rank, own);
  const auto others =
      std::uint64_t(std::count_if(sources.begin(), sources.end(), [&](const Source &source) {
        return source.rank != rank && source.rank != kParked;
      }));
  const std::int64_t piece = std::min(kPiece, sum.window);
  auto *staging =
      reinterpret_cast<float *>(lane.staging.room(others * std::uint64_t(piece) * sizeof(float)));
  for (std::int64_t at = 0; at < sum.window; at += piece) {
    auto within = [&](std::size_t place) {
      return std::min(piece, lengthOf(sum.elements, sum.window, place) - at);
    };
    Requests requests;
    std::vector<const float *> values;
    float *next = staging;
    const std::int64_t count = within(me);
    for (const Source &source : sources) {
      if (source.rank == kParked) {
        values.push_back(own.parked[source.slot] + at);
        continue;
      }
      if (source.rank == rank) {
        const float *whole = own.accumulators[source.slot] + at;
        values.push_back(whole + std::int64_t(me) * sum.window);
        for (std::size_t step = 1; step < n; ++step) {
          const std::size_t to = (me + step) % n;
          if (within(to) > 0)
            requests.push_back(lane.transport.send(sum.members[to], lane.channel,
                                                   whole + std::int64_t(to) * sum.window,
                                                   std::uint64_t(within(to)) * sizeof(float)));
        }
        continue;
      }
      values.push_back(next);
      if (count > 0)
        requests.push_back(lane.transport.receive(source.rank, lane.channel, next,
                                                  std::uint64_t(count) * sizeof(float)));
      next += piece;
    }
    lane.transport.wait(requests);
    if (count > 0)
      addPiece(lane.pool, sources, values, count, shard + at);
  }
}

void allGather(const Lane &lane, const std::vector<int> &members, void *whole,
               std::int64_t elements, std::int64_t window, std::int64_t width) {
  const std::size_t me = placeOf(members, lane.transport.rank()), n = members.size();
  auto start = [&](std::size_t place) {
    return static_cast<unsigned char *>(whole) + std::int64_t(place) * window * width;
  };
  auto bytes = [&](std::size_t place) {
    return std::uint64_t(lengthOf(elements, window, place) * width);
  };
  Requests requests;
  for (std::size_t step = 1; step < n; ++step) {
    const std::size_t from = (me + n - step) % n, to = (me + step) % n;
    if (bytes(from))
      requests.push_back(
          lane.transport.receive(members[from], lane.channel, start(from), bytes(from)));
    if (bytes(me))
      requests.push_back(lane.transport.send(members[to], lane.channel, start(me), bytes(me)));
  }
  lane.transport.wait(requests);
}

/// Rank 0's side: everybody's numbers, then the sum of the parts.
static double addAtRoot(const Lane &lane, const std::vector<double> &own,
                        const std::vector<OrderedPart> &parts) {
  std::vector<std::size_t> counts(std::size_t(lane.transport.size()), 0);
  for (const OrderedPart &part : parts) {
    std::size_t &count = counts.at(std::size_t(part.rank));
    count = std::max(count, std::size_t(part.offset + part.count));
  }
  std::vector<std::vector<double>> all(counts.size());
  Requests requests;
  for (std::size_t r = 1; r < counts.size(); ++r) {
    all[r].resize(counts[r]);
    if (counts[r])
      requests.push_back(
          lane.transport.receive(int(r), lane.channel, all[r].data(), counts[r] * sizeof(double)));
  }
  lane.transport.wait(requests);
  double total = 0;
  for (const OrderedPart &part : parts) {
    const double *values = (part.rank ? all[std::size_t(part.rank)] : own).data() + part.offset;
    for (std::int64_t i = 0; i < part.count; ++i)
      total += values[i];
  }
  requests.clear();
  for (std::size_t r = 1; r < counts.size(); ++r)
    requests.push_back(lane.transport.send(int(r), lane.channel, &total, sizeof total));
  lane.transport.wait(requests);
  return total;
}

double totalInOrder(const Lane &lane, const std::vector<double> &own,
                    const std::vector<OrderedPart> &parts) {
  if (lane.transport.rank() == 0)
    return addAtRoot(lane, own, parts);
  double total = 0;
  Requests requests;
  if (!own.empty())
    requests.push_back(
        lane.transport.send(0, lane.channel, own.data(), own.size() * sizeof(double)));
  requests.push_back(lane.transport.receive(0, lane.channel, &total, sizeof total));
  lane.transport.wait(requests);
  return total;
}

} // namespace hadal::rt
