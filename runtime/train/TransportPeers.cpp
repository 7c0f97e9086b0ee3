// SPDX-License-Identifier: Apache-2.0
//
// See TransportPeers.h.

#include "runtime/train/TransportPeers.h"

namespace hadal::rt {

std::vector<std::string> TransportPeers::gather(const std::string &text) {
  std::vector<std::string> texts;
  for (const Bytes &bytes :
       hadal::rt::gather(transport, group, kMainChannel, 0, text.data(), text.size()))
    texts.emplace_back(bytes.begin(), bytes.end());
  return texts;
}

std::string TransportPeers::broadcast(const std::string &text) {
  std::string result = rank() == 0 ? text : std::string();
  std::uint64_t bytes = result.size();
  hadal::rt::broadcast(transport, group, kMainChannel, 0, &bytes, sizeof bytes);
  result.resize(std::size_t(bytes));
  hadal::rt::broadcast(transport, group, kMainChannel, 0, result.data(), bytes);
  return result;
}

} // namespace hadal::rt
