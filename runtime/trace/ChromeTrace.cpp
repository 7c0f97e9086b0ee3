// SPDX-License-Identifier: Apache-2.0
//
// See ChromeTrace.h.

#include "runtime/trace/ChromeTrace.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace hadal::rt {

std::string jsonQuoted(std::string_view text) {
  using nlohmann::json;
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

ChromeTrace::ChromeTrace(const std::string &path) : name(path) {
  file = std::fopen(path.c_str(), "we");
  if (!file)
    throw InputError(path, std::string("cannot be written: ") + std::strerror(errno));
  std::fputs("{\"traceEvents\":[", file);
}

ChromeTrace::~ChromeTrace() {
  if (file)
    std::fclose(file);
}

/// Starts an event; the caller writes the rest and its brace.
void ChromeTrace::begin(char phase, Track track) {
  std::fprintf(file, "%s\n{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u", first ? "" : ",", phase,
               track.process, track.thread);
  first = false;
}

void ChromeTrace::metadata(const char *what, Track track, const std::string &value) {
  begin('M', track);
  std::fprintf(file, ",\"name\":\"%s\",\"args\":{%s}}", what, value.c_str());
}

// Perfetto takes number 0 for the idle task and a thread with its process's number for its main
// thread, and finds threads by their number alone; so threads are numbered throughout, apart from
// the processes.
constexpr std::uint32_t kFirstThread = 1 << 20;

std::uint32_t ChromeTrace::process(const std::string &label, std::int32_t order) {
  const std::uint32_t number = ++processes;
  const Track none{number, number};
  metadata("process_name", none, "\"name\":" + jsonQuoted(label));
  metadata("process_sort_index", none, "\"sort_index\":" + std::to_string(order));
  return number;
}

ChromeTrace::Track ChromeTrace::track(std::uint32_t process, const std::string &label) {
  const Track track{process, kFirstThread + threads++};
  metadata("thread_name", track, "\"name\":" + jsonQuoted(label));
  metadata("thread_sort_index", track, "\"sort_index\":" + std::to_string(threads));
  return track;
}

/// Microseconds with three digits.
static std::string microseconds(std::int64_t ns) {
  char text[40];
  std::snprintf(text, sizeof text, "%s%" PRId64 ".%03d", ns < 0 ? "-" : "", std::abs(ns / 1000),
                int(std::abs(ns % 1000)));
  return text;
}

ChromeTrace::Slice ChromeTrace::slice(Track track, std::string_view label,
                                      std::string_view category, double start, double end,
                                      const Arguments &arguments) {
  // Both ends are rounded, so that neighbours that touch still do.
  const std::int64_t from = std::llround(start * 1000),
                     to = std::max(from, std::int64_t(std::llround(end * 1000)));
  begin('X', track);
  std::fprintf(file, ",\"name\":%s,\"cat\":%s,\"ts\":%s,\"dur\":%s", jsonQuoted(label).c_str(),
               jsonQuoted(category).c_str(), microseconds(from).c_str(),
               microseconds(to - from).c_str());
  if (!arguments.empty()) {
    const char *separator = ",\"args\":{";
    for (const auto &[key, value] : arguments) {
      std::fprintf(file, "%s%s:%s", separator, jsonQuoted(key).c_str(), jsonQuoted(value).c_str());
      separator = ",";
    }
    std::fputc('}', file);
  }
  std::fputc('}', file);
  return {track, from, to};
}

bool ChromeTrace::flow(std::string_view label, const Slice &from, const Slice &to) {
  // Both ends lie within their slices, and the beginning is no later than the end.
  const std::int64_t leaves = std::min(from.end, to.end) - 1, arrives = std::max(to.start, leaves);
  if (from.end <= from.start || to.end <= to.start || leaves < from.start)
    return false;
  const std::uint64_t id = ++flows;
  const std::string quoted = jsonQuoted(label);
  begin('s', from.track);
  std::fprintf(file, ",\"name\":%s,\"cat\":\"flow\",\"id\":%" PRIu64 ",\"ts\":%s}", quoted.c_str(),
               id, microseconds(leaves).c_str());
  begin('f', to.track);
  std::fprintf(file, ",\"name\":%s,\"cat\":\"flow\",\"id\":%" PRIu64 ",\"ts\":%s,\"bp\":\"e\"}",
               quoted.c_str(), id, microseconds(arrives).c_str());
  return true;
}

void ChromeTrace::finish() {
  std::fputs("\n]}\n", file);
  const bool failed = std::ferror(file) != 0;
  const bool unclosed = std::fclose(std::exchange(file, nullptr)) != 0;
  if (failed || unclosed)
    throw RunError(name + ": cannot be written: " + std::strerror(errno));
}

} // namespace hadal::rt
