// SPDX-License-Identifier: Apache-2.0
//
// See Collectives.h: rows between the members of an expert group.

#include "runtime/program/Collectives.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace hadal::rt {

using Requests = std::vector<Transport::Request>;

static std::size_t placeOf(const std::vector<int> &members, int rank) {
  auto found = std::find(members.begin(), members.end(), rank);
  if (found == members.end())
    throw RunError("rank " + std::to_string(rank) + " is not in its expert group");
  return std::size_t(found - members.begin());
}

void exchangeCounts(const Lane &lane, const std::vector<int> &members, const std::int64_t *send,
                    std::int64_t *received) {
  struct Pair {
    std::int64_t tokens, routed;
  };
  const std::size_t me = placeOf(members, lane.transport.rank()), n = members.size();
  std::vector<Pair> out(n), in(n);
  for (std::size_t m = 0; m < n; ++m)
    out[m] = {send[m], send[n + m]};
  in[me] = out[me];
  Requests requests;
  for (std::size_t step = 1; step < n; ++step) {
    const std::size_t from = (me + n - step) % n, to = (me + step) % n;
    requests.push_back(
        lane.transport.receive(members[from], lane.channel, &in[from], sizeof(Pair)));
    requests.push_back(lane.transport.send(members[to], lane.channel, &out[to], sizeof(Pair)));
  }
  lane.transport.wait(requests);
  std::int64_t tokens = 0, routed = 0;
  for (std::size_t m = 0; m <= n; ++m) {
    received[m] = tokens;
    received[n + 1 + m] = routed;
    if (m == n)
      break;
    if (in[m].tokens < 0 || in[m].routed < 0)
      throw RunError("rank " + std::to_string(members[m]) + " announces " +
                     std::to_string(in[m].tokens) + " tokens and " + std::to_string(in[m].routed) +
                     " routed rows");
    tokens += in[m].tokens;
    routed += in[m].routed;
  }
}

namespace {

/// What moves between this rank and its members: rows [first, last) of a side.
struct Range {
  std::int64_t first, last;
  std::int64_t count() const { return last - first; }
};

class RowsMove {
public:
  RowsMove(const Lane &lane, const std::vector<int> &members, const RowsRoute &route)
      : lane(lane), members(members), route(route), me(placeOf(members, lane.transport.rank())) {}

  Range sent(std::size_t m) const { return {route.offsets[m], route.offsets[m + 1]}; }
  Range arrived(std::size_t m) const { return {route.received[m], route.received[m + 1]}; }

  void checkRanges() const {
    for (std::size_t m = 0; m < members.size(); ++m)
      if (sent(m).first < 0 || sent(m).count() < 0 || arrived(m).count() < 0)
        throw RunError("the rows for rank " + std::to_string(members[m]) + " are " +
                       std::to_string(sent(m).first) + " to " + std::to_string(sent(m).last));
    if (sent(me).count() != arrived(me).count())
      throw RunError("sends itself " + std::to_string(sent(me).count()) + " rows and expects " +
                     std::to_string(arrived(me).count()));
  }

  void receive(std::size_t m, unsigned char *to, Range rows, std::int64_t bytes) {
    if (rows.count())
      requests.push_back(lane.transport.receive(members[m], lane.channel, to + rows.first * bytes,
                                                std::uint64_t(rows.count() * bytes)));
  }
  void send(std::size_t m, const unsigned char *from, Range rows, std::int64_t bytes) {
    if (rows.count())
      requests.push_back(lane.transport.send(members[m], lane.channel, from + rows.first * bytes,
                                             std::uint64_t(rows.count() * bytes)));
  }
  /// Rows tokens[first], ..., of a tensor, one behind the other.
  void pack(const RowsTensor &tensor, Range rows, unsigned char *to) const {
    for (std::int64_t i = rows.first; i < rows.last; ++i, to += tensor.bytes)
      std::memcpy(to, tensor.from + route.tokens[i] * tensor.bytes, std::size_t(tensor.bytes));
  }

  /// Calls fn(member to send to, member to receive from), nearest first.
  template <typename Fn> void forOthers(Fn fn) const {
    const std::size_t n = members.size();
    for (std::size_t step = 1; step < n; ++step)
      fn((me + step) % n, (me + n - step) % n);
  }

  const Lane &lane;
  const std::vector<int> &members;
  const RowsRoute &route;
  const std::size_t me;
  Requests requests;
};

} // namespace

void scatterRows(const Lane &lane, const std::vector<int> &members,
                 const std::vector<RowsTensor> &tensors, const RowsRoute &route) {
  RowsMove move(lane, members, route);
  move.checkRanges();
  const std::size_t n = members.size(), me = move.me;
  const std::int64_t sent = route.offsets[n];
  std::int64_t width = 0;
  for (const RowsTensor &tensor : tensors)
    width += tensor.bytes;
  unsigned char *packed = lane.staging.room(std::uint64_t(sent * width));
  for (const RowsTensor &tensor : tensors) {
    move.forOthers([&](std::size_t to, std::size_t from) {
      move.receive(from, tensor.to, move.arrived(from), tensor.bytes);
      move.pack(tensor, move.sent(to), packed + move.sent(to).first * tensor.bytes);
      move.send(to, packed, move.sent(to), tensor.bytes);
    });
    move.pack(tensor, move.sent(me), tensor.to + move.arrived(me).first * tensor.bytes);
    packed += sent * tensor.bytes;
  }
  lane.transport.wait(move.requests);
}

void gatherRows(const Lane &lane, const std::vector<int> &members,
                const std::vector<RowsTensor> &tensors, const RowsRoute &route) {
  RowsMove move(lane, members, route);
  move.checkRanges();
  const std::size_t me = move.me;
  for (const RowsTensor &tensor : tensors) {
    move.forOthers([&](std::size_t to, std::size_t from) {
      move.receive(from, tensor.to, move.sent(from), tensor.bytes);
      move.send(to, tensor.from, move.arrived(to), tensor.bytes);
    });
    if (std::int64_t own = move.sent(me).count() * tensor.bytes)
      std::memcpy(tensor.to + move.sent(me).first * tensor.bytes,
                  tensor.from + move.arrived(me).first * tensor.bytes, std::size_t(own));
  }
  lane.transport.wait(move.requests);
}

} // namespace hadal::rt
