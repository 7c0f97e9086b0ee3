// SPDX-License-Identifier: Apache-2.0
//
// See ControlPlane.h. What local ranks and processes have in common.

#include "runtime/transport/ControlPlane.h"

#include <cerrno>
#include <cstdlib>

#include <unistd.h>

namespace hadal::rt {

ControlOptions ControlOptions::fromEnvironment() {
  ControlOptions options;
  const char *text = std::getenv("HADAL_STUCK_SECONDS");
  if (!text || !*text)
    return options;
  char *rest = nullptr;
  double seconds = std::strtod(text, &rest);
  const bool allowed = seconds >= 1 && seconds <= 86400;
  if (*rest || !allowed)
    throw InputError("HADAL_STUCK_SECONDS", std::string(text) + "; allowed are 1 to 86400 seconds");
  options.deadlock = seconds + (options.deadlock - options.stuck);
  options.stuck = seconds;
  return options;
}

bool ControlPlane::conclude(const Failure &failure, bool speaks) {
  int none = 0;
  if (!code.compare_exchange_strong(none, failure.exitCode()))
    return false;
  std::string text = failure.report(myRank, ranks, myProgress.snapshot());
  if (speaks)
    write(text);
  myWatch.raise(text, failure.exitCode());
  return true;
}

void ControlPlane::write(const std::string &report) const {
  if (options.report) {
    options.report(report);
    return;
  }
  // One write, so that ranks that share a terminal do not mix their lines; no stdio, whose lock
  // might be held by a thread that is stuck.
  std::string line = "error: " + report + "\n";
  const char *at = line.data();
  std::size_t left = line.size();
  while (left) {
    ssize_t written = ::write(STDERR_FILENO, at, left);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return;
    at += written;
    left -= std::size_t(written);
  }
}

void ControlPlane::end(int exitCode) const {
  if (options.end)
    options.end(exitCode);
  else
    ::_exit(exitCode);
}

} // namespace hadal::rt
