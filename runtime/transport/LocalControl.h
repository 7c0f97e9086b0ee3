// SPDX-License-Identifier: Apache-2.0
//
// The control plane of ranks that are threads of one process. One thread watches them all.

#ifndef HADAL_RUNTIME_TRANSPORT_LOCALCONTROL_H
#define HADAL_RUNTIME_TRANSPORT_LOCALCONTROL_H

#include "runtime/transport/ControlPlane.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

namespace hadal::rt {

class LocalControl {
public:
  LocalControl(int ranks, const ControlOptions &options);
  /// Ends the watching; an end of the process that is due by then does not come any more.
  ~LocalControl();
  LocalControl(const LocalControl &) = delete;
  LocalControl &operator=(const LocalControl &) = delete;

  ControlPlane &endpoint(int rank);

private:
  class Endpoint;
  void monitor();
  void failAll(const Failure &failure);
  void agree(Endpoint &rank, const Identity &identity);
  void finish(Endpoint &rank);

  const ControlOptions options;
  std::vector<std::unique_ptr<Endpoint>> endpoints;
  std::mutex mutex; // guards what follows
  std::condition_variable changed;
  std::vector<Identity> identities; // of the round
  int agreeing = 0, finished = 0;
  std::uint64_t round = 0;
  std::vector<bool> done;
  bool failed = false, closing = false;
  std::thread thread;
};

} // namespace hadal::rt

#endif
