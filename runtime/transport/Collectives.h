// SPDX-License-Identifier: Apache-2.0
//
// Small collectives over messages. A group is a list of ranks in an order that all its members
// give alike; members call the same collectives of a channel in the same order. Results do not
// depend on timing.

#ifndef HADAL_RUNTIME_TRANSPORT_COLLECTIVES_H
#define HADAL_RUNTIME_TRANSPORT_COLLECTIVES_H

#include "runtime/transport/Transport.h"

namespace hadal::rt {

/// Ranks in an order; the caller's own is among them.
using Group = std::vector<int>;
/// All ranks of a transport, ascending.
Group everyone(const Transport &transport);

/// Bytes as gather() hands them out.
using Bytes = std::vector<unsigned char>;

/// Returns when every member has called it.
void barrier(Transport &transport, const Group &group, int channel);
/// Copies `bytes` bytes of rank `root` (a member) to all members.
void broadcast(Transport &transport, const Group &group, int channel, int root, void *data,
               std::uint64_t bytes);
/// Each member's bytes, of any size, in the group's order, at rank `root`; nothing elsewhere.
std::vector<Bytes> gather(Transport &transport, const Group &group, int channel, int root,
                          const void *data, std::uint64_t bytes);
/// Every element becomes its sum over all members.
void allReduce(Transport &transport, const Group &group, int channel, std::int64_t *values,
               std::size_t count);

/// A part of memory to send to, or receive from, one member.
struct ConstPart {
  const void *data;
  std::uint64_t bytes;
};
struct Part {
  void *data;
  std::uint64_t bytes;
};
/// All-to-all: part i of `send` goes to member i, part i of `receive` comes from there. What goes
/// to oneself is copied. Sizes may be 0.
void exchange(Transport &transport, const Group &group, int channel,
              const std::vector<ConstPart> &send, const std::vector<Part> &receive);

} // namespace hadal::rt

#endif
