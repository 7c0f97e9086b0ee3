// SPDX-License-Identifier: Apache-2.0
//
// Ranks as threads of one process. A message is a meeting: the receiver copies straight out of the
// sender's memory, when it tests its request after both have posted.

#ifndef HADAL_RUNTIME_TRANSPORT_LOCALTRANSPORT_H
#define HADAL_RUNTIME_TRANSPORT_LOCALTRANSPORT_H

#include "runtime/transport/Transport.h"

namespace hadal::rt {

/// All ranks of a process. Outlives its endpoints' use.
class LocalWorld {
public:
  explicit LocalWorld(int ranks);
  ~LocalWorld();
  LocalWorld(const LocalWorld &) = delete;
  LocalWorld &operator=(const LocalWorld &) = delete;

  int size() const { return int(endpoints.size()); }
  Transport &endpoint(int rank);

private:
  class Endpoint;
  std::vector<std::unique_ptr<Endpoint>> endpoints;
};

} // namespace hadal::rt

#endif
