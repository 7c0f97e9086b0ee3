// SPDX-License-Identifier: Apache-2.0
//
// See Progress.h.

#include "runtime/trace/Progress.h"

#include <algorithm>
#include <cmath>
#include <sys/ioctl.h>
#include <unistd.h>

namespace hadal::rt {

std::string durationText(double seconds) {
  const long long whole = std::llround(std::max(0.0, seconds));
  char text[40];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  return text;
}

Progress::Progress(std::int64_t first, std::int64_t total, std::FILE *out, double lineSeconds)
    : out(out), terminal(::isatty(::fileno(out)) == 1), first(first), total(total),
      lineSeconds(lineSeconds), start(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (barShown)
    std::fputc('\n', out);
}

double Progress::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Progress::clearBar() {
  if (barShown)
    std::fputs("\r\x1b[K", out);
  barShown = false;
}

void Progress::say(const std::string &line) {
  clearBar();
  std::fprintf(out, "%s\n", line.c_str());
  std::fflush(out);
}

void Progress::update(std::int64_t done, const std::string &figures) {
  double now = elapsed();
  bool last = done >= total;
  // A terminal is redrawn ten times a second at most.
  if (lineEver && !last && now - lastShown < (terminal ? 0.1 : lineSeconds))
    return;
  lineEver = true;
  lastShown = now;
  double remaining = done > first ? now / double(done - first) * double(total - done) : 0;
  std::string head = std::to_string(done) + "/" + std::to_string(total);
  std::string tail =
      "  " + figures + (last ? "  took " + durationText(now) : "  ETA " + durationText(remaining));
  if (!terminal) {
    std::fprintf(out, "step %s%s\n", head.c_str(), tail.c_str());
    std::fflush(out);
    return;
  }
  struct winsize window = {};
  int width =
      ::ioctl(::fileno(out), TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
  int room = std::clamp(width - int(head.size() + tail.size()) - 5, 0, 40);
  std::string bar;
  for (int i = 0; i < room; ++i)
    bar += double(i) < double(room) * double(done) / double(std::max<std::int64_t>(total, 1)) ? '#'
                                                                                              : '.';
  std::string line = head + (room ? " [" + bar + "]" : "") + tail;
  std::fprintf(out, "\r%.*s\x1b[K", width - 1, line.c_str());
  std::fflush(out);
  barShown = true;
}

} // namespace hadal::rt
