// SPDX-License-Identifier: Apache-2.0
//
// See Collectives.h.

#include "runtime/transport/Collectives.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace hadal::rt {

using Requests = std::vector<Transport::Request>;

Group everyone(const Transport &transport) {
  Group all(std::size_t(transport.size()));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

static std::size_t positionOf(const Group &group, int rank, const char *what) {
  auto place = std::find(group.begin(), group.end(), rank);
  if (place == group.end())
    throw RunError(std::string(what) + ": rank " + std::to_string(rank) +
                   " is no member of the group");
  return std::size_t(place - group.begin());
}

// Dissemination: in round k a member tells the one 2^k further and hears the one 2^k before.
void barrier(Transport &transport, const Group &group, int channel) {
  const std::size_t n = group.size(), me = positionOf(group, transport.rank(), "barrier");
  for (std::size_t step = 1; step < n; step *= 2) {
    Requests both;
    both.push_back(transport.receive(group[(me + n - step) % n], channel, nullptr, 0));
    both.push_back(transport.send(group[(me + step) % n], channel, nullptr, 0));
    transport.wait(both);
  }
}

// A binomial tree: in the round of distance d, members below d hand on to the ones d further.
void broadcast(Transport &transport, const Group &group, int channel, int root, void *data,
               std::uint64_t bytes) {
  const std::size_t n = group.size(), base = positionOf(group, root, "broadcast");
  const std::size_t me = (positionOf(group, transport.rank(), "broadcast") + n - base) % n;
  auto member = [&](std::size_t place) { return group[(place + base) % n]; };
  std::size_t distance = 1;
  if (me) {
    while (distance * 2 <= me)
      distance *= 2;
    Transport::Request request = transport.receive(member(me - distance), channel, data, bytes);
    transport.wait(request);
    distance *= 2;
  }
  Requests sends;
  for (; me + distance < n; distance *= 2)
    sends.push_back(transport.send(member(me + distance), channel, data, bytes));
  transport.wait(sends);
}

std::vector<Bytes> gather(Transport &transport, const Group &group, int channel, int root,
                          const void *data, std::uint64_t bytes) {
  const std::size_t me = positionOf(group, transport.rank(), "gather");
  const std::size_t base = positionOf(group, root, "gather");
  Requests requests;
  if (me != base) {
    requests.push_back(transport.send(root, channel, &bytes, sizeof bytes));
    requests.push_back(transport.send(root, channel, data, bytes));
    transport.wait(requests);
    return {};
  }
  std::vector<std::uint64_t> sizes(group.size());
  std::vector<Bytes> result(group.size());
  for (std::size_t i = 0; i < group.size(); ++i)
    if (i != me)
      requests.push_back(transport.receive(group[i], channel, &sizes[i], sizeof sizes[i]));
  transport.wait(requests);
  requests.clear();
  for (std::size_t i = 0; i < group.size(); ++i) {
    result[i].resize(i == me ? bytes : sizes[i]);
    if (i != me)
      requests.push_back(transport.receive(group[i], channel, result[i].data(), sizes[i]));
  }
  if (bytes)
    std::memcpy(result[me].data(), data, bytes);
  transport.wait(requests);
  return result;
}

void allReduce(Transport &transport, const Group &group, int channel, std::int64_t *values,
               std::size_t count) {
  if (group.empty())
    throw RunError("allReduce: the group is empty");
  const std::uint64_t bytes = count * sizeof *values;
  std::vector<Bytes> all = gather(transport, group, channel, group[0], values, bytes);
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].size() != bytes)
      throw RunError("allReduce: rank " + std::to_string(group[i]) + " brings " +
                     std::to_string(all[i].size()) + " bytes, rank " + std::to_string(group[0]) +
                     " " + std::to_string(bytes));
    for (std::size_t k = 0; k < count; ++k) {
      std::int64_t value;
      std::memcpy(&value, all[i].data() + k * sizeof value, sizeof value);
      values[k] += value;
    }
  }
  broadcast(transport, group, channel, group[0], values, bytes);
}

void exchange(Transport &transport, const Group &group, int channel,
              const std::vector<ConstPart> &send, const std::vector<Part> &receive) {
  const std::size_t n = group.size(), me = positionOf(group, transport.rank(), "exchange");
  if (send.size() != n || receive.size() != n || send[me].bytes != receive[me].bytes)
    throw RunError("exchange: rank " + std::to_string(transport.rank()) +
                   " gives parts that do not fit a group of " + std::to_string(n));
  Requests requests;
  // Everyone starts with its neighbour, so that not all talk to the first at once.
  for (std::size_t step = 1; step < n; ++step) {
    std::size_t from = (me + n - step) % n;
    requests.push_back(
        transport.receive(group[from], channel, receive[from].data, receive[from].bytes));
  }
  for (std::size_t step = 1; step < n; ++step) {
    std::size_t to = (me + step) % n;
    requests.push_back(transport.send(group[to], channel, send[to].data, send[to].bytes));
  }
  if (send[me].bytes)
    std::memcpy(receive[me].data, send[me].data, send[me].bytes);
  transport.wait(requests);
}

} // namespace hadal::rt
