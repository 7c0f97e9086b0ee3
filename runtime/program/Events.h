// SPDX-License-Identifier: Apache-2.0
//
// The events of a program between the streams of one rank.

#ifndef HADAL_RUNTIME_PROGRAM_EVENTS_H
#define HADAL_RUNTIME_PROGRAM_EVENTS_H

#include "runtime/transport/Watch.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace hadal::rt {

/// Another stream of this rank failed; what it threw says why.
class StreamStopped : public std::exception {
public:
  const char *what() const noexcept override { return "another stream of this rank failed"; }
};

/// Events of one run: each is recorded once, what stood before it is seen by who waits.
class Events {
public:
  explicit Events(std::uint32_t count);

  /// Before a run, with no other thread about.
  void reset();
  void record(std::uint32_t event);
  bool recorded(std::uint32_t event) const { return flags[event].load(std::memory_order_acquire); }
  /// Throws StreamStopped after stop(), PeerError once the watch (may be null) reports a failure.
  void wait(std::uint32_t event, const Watch *watch);
  /// Gets all out of their waits.
  void stop();

private:
  bool ready(std::uint32_t event, const Watch *watch) const;

  std::uint32_t count;
  std::unique_ptr<std::atomic<bool>[]> flags;
  std::atomic<bool> stopped{false};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable bell;
};

} // namespace hadal::rt

#endif
