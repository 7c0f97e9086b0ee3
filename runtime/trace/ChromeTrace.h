// SPDX-License-Identifier: Apache-2.0
//
// Traces in Chrome's JSON form, which Perfetto (ui.perfetto.dev) and chrome://tracing open. A
// process is a rank, a track one of its streams; several sets of processes, such as predicted and
// measured ranks, may stand side by side in one file. Everything is written as it comes.
//
// Times are microseconds from any zero, kept to the nanosecond. On one track slices nest or are
// apart. What Perfetto would complain about is not written: arrows that end before they begin or
// touch a slice without length.

#ifndef HADAL_RUNTIME_TRACE_CHROMETRACE_H
#define HADAL_RUNTIME_TRACE_CHROMETRACE_H

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal::rt {

class ChromeTrace {
public:
  struct Track {
    std::uint32_t process = 0, thread = 0;
  };
  /// A slice that was written, for arrows.
  struct Slice {
    Track track;
    std::int64_t start = 0, end = 0; ///< ns
  };
  /// Shown with a slice: name and value, a string.
  using Arguments = std::vector<std::pair<std::string_view, std::string>>;

  /// Throws InputError when the file cannot be written.
  explicit ChromeTrace(const std::string &path);
  ChromeTrace(const ChromeTrace &) = delete;
  ChromeTrace &operator=(const ChromeTrace &) = delete;
  ~ChromeTrace();

  /// Adds a process; Perfetto shows them by `order`, equal ones as they were added. Returns its
  /// number.
  std::uint32_t process(const std::string &name, std::int32_t order);
  /// Adds a track to a process, below those it has.
  Track track(std::uint32_t process, const std::string &name);

  Slice slice(Track track, std::string_view name, std::string_view category, double start,
              double end, const Arguments &arguments = {});
  /// An arrow from a slice to one that ends no earlier than the first begins. Returns false when it
  /// was left out.
  bool flow(std::string_view name, const Slice &from, const Slice &to);

  /// Ends the file. Throws RunError when not all of it could be written.
  void finish();

private:
  void begin(char phase, Track track);
  void metadata(const char *what, Track track, const std::string &value);

  std::FILE *file;
  std::string name;
  std::uint32_t processes = 0, threads = 0;
  std::uint64_t flows = 0;
  bool first = true;
};

/// A string as JSON writes it, quotes included; bytes that are not UTF-8 become U+FFFD.
std::string jsonQuoted(std::string_view text);

} // namespace hadal::rt

#endif
