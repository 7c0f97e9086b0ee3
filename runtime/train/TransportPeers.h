// SPDX-License-Identifier: Apache-2.0
//
// The ranks of a run as peers of a checkpoint.

#ifndef HADAL_RUNTIME_TRAIN_TRANSPORTPEERS_H
#define HADAL_RUNTIME_TRAIN_TRANSPORTPEERS_H

#include "runtime/checkpoint/Peers.h"
#include "runtime/transport/Collectives.h"

namespace hadal::rt {

/// All ranks of a transport; texts travel on the main loop's channel.
class TransportPeers : public Peers {
public:
  explicit TransportPeers(Transport &transport)
      : transport(transport), group(everyone(transport)) {}

  int rank() const override { return transport.rank(); }
  int size() const override { return transport.size(); }
  std::vector<std::string> gather(const std::string &text) override;
  std::string broadcast(const std::string &text) override;

private:
  Transport &transport;
  Group group;
};

} // namespace hadal::rt

#endif
