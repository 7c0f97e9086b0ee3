// SPDX-License-Identifier: Apache-2.0
//
// See Watch.h.

#include "runtime/transport/Watch.h"

namespace hadal::rt {

bool Watch::raise(const std::string &report, int exitCode) {
  std::lock_guard<std::mutex> lock(mutex);
  if (failed())
    return false;
  text = report;
  code = exitCode;
  raised.store(true, std::memory_order_release);
  return true;
}

std::string Watch::report() const {
  std::lock_guard<std::mutex> lock(mutex);
  return text;
}

int Watch::exitCode() const {
  std::lock_guard<std::mutex> lock(mutex);
  return code;
}

void Watch::fail() const { throw PeerError(report()); }

} // namespace hadal::rt
