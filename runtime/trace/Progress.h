// SPDX-License-Identifier: Apache-2.0
//
// What a person sees of a run on stderr: a bar with the remaining time on a terminal, plain lines
// else.

#ifndef HADAL_RUNTIME_TRACE_PROGRESS_H
#define HADAL_RUNTIME_TRACE_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace hadal::rt {

class Progress {
public:
  /// `first` of `total` units are done already. Without a terminal a line is printed at most every
  /// `lineSeconds`, and for the last unit.
  Progress(std::int64_t first, std::int64_t total, std::FILE *out = stderr, double lineSeconds = 5);
  ~Progress();

  /// `done` units are finished; `figures` is what to show beside the bar.
  void update(std::int64_t done, const std::string &figures);
  /// Prints a line that stays, above the bar.
  void say(const std::string &line);

private:
  double elapsed() const;
  void clearBar();

  std::FILE *out;
  bool terminal, barShown = false, lineEver = false;
  std::int64_t first, total;
  double lineSeconds, lastShown = 0;
  std::chrono::steady_clock::time_point start;
};

/// "1:02:03" or "2:03".
std::string durationText(double seconds);

} // namespace hadal::rt

#endif
