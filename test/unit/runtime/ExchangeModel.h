// SPDX-License-Identifier: Apache-2.0
//
// Random all-to-alls, checked against what a serial program knows of them.

#ifndef HADAL_TEST_UNIT_RUNTIME_EXCHANGEMODEL_H
#define HADAL_TEST_UNIT_RUNTIME_EXCHANGEMODEL_H

#include "runtime/transport/Collectives.h"

#include <algorithm>
#include <random>
#include <string>

namespace hadal::rt {

/// What rank `from` sends rank `to` in a round.
inline Bytes parcel(int round, int from, int to) {
  std::mt19937 random(static_cast<std::uint32_t>(round * 10007 + from * 101 + to));
  Bytes bytes(random() % 3 ? random() % 5000 : 0);
  for (unsigned char &byte : bytes)
    byte = static_cast<unsigned char>(random());
  return bytes;
}

/// One all-to-all; whether everything arrived as it was sent.
inline bool exchangeRound(Transport &transport, const Group &group, int round) {
  std::vector<Bytes> out, in;
  std::vector<ConstPart> send;
  std::vector<Part> receive;
  for (int member : group) {
    out.push_back(parcel(round, transport.rank(), member));
    in.emplace_back(parcel(round, member, transport.rank()).size());
    send.push_back({out.back().data(), out.back().size()});
    receive.push_back({in.back().data(), in.back().size()});
  }
  exchange(transport, group, 1, send, receive);
  for (std::size_t i = 0; i < group.size(); ++i)
    if (in[i] != parcel(round, group[i], transport.rank()))
      return false;
  return true;
}

/// Rounds among random groups; all ranks call it. Empty, or what went wrong.
inline std::string randomExchanges(Transport &transport, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    std::mt19937 random(static_cast<std::uint32_t>(round)); // the same on all ranks
    Group group = everyone(transport);
    std::shuffle(group.begin(), group.end(), random);
    group.resize(1 + random() % group.size());
    if (std::count(group.begin(), group.end(), transport.rank()) &&
        !exchangeRound(transport, group, round))
      return "round " + std::to_string(round) + ", rank " + std::to_string(transport.rank());
  }
  return "";
}

} // namespace hadal::rt

#endif
