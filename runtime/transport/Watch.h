// SPDX-License-Identifier: Apache-2.0
//
// What a rank knows of failures of its peers: raised once by the control plane, polled by whatever
// waits.

#ifndef HADAL_RUNTIME_TRANSPORT_WATCH_H
#define HADAL_RUNTIME_TRANSPORT_WATCH_H

#include "runtime/support/Error.h"

#include <atomic>
#include <mutex>
#include <string>

namespace hadal::rt {

/// The run failed elsewhere; the report was written already.
class PeerError : public RunError {
public:
  using RunError::RunError;
};

class Watch {
public:
  bool failed() const noexcept { return raised.load(std::memory_order_acquire); }
  /// Throws PeerError once something failed. One load while nothing did.
  void check() const {
    if (failed())
      fail();
  }

  /// Raises it; the first call counts and returns true.
  bool raise(const std::string &report, int exitCode);
  /// For a rank with several threads of which one failed: gets the others out of their waits. What
  /// the first threw then counts as the rank's failure.
  void abandon() { raise("another thread of this rank failed", 1); }

  /// What was raised first.
  std::string report() const;
  int exitCode() const;

private:
  [[noreturn]] void fail() const;
  std::atomic<bool> raised{false};
  mutable std::mutex mutex;
  std::string text;
  int code = 1;
};

} // namespace hadal::rt

#endif
