// SPDX-License-Identifier: Apache-2.0
//
// See Fault.h.

#include "runtime/transport/Fault.h"

#include "runtime/support/Error.h"
#include "runtime/transport/RankProgress.h"

#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include <unistd.h>

namespace hadal::rt {

static std::atomic<bool> ranksAreThreads{true};

void setRanksAreThreads(bool threads) { ranksAreThreads = threads; }

template <typename T> static bool parseNumber(const std::string &text, T &value) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 0;
}

Fault parseFault(const char *text) {
  Fault fault;
  if (!text || !*text)
    return fault;
  std::vector<std::string> parts(1);
  for (const char *c = text; *c; ++c) {
    if (*c == ':')
      parts.emplace_back();
    else
      parts.back() += *c;
  }
  bool good = parts.size() == 4 && parseNumber(parts[0], fault.rank) &&
              parseNumber(parts[1], fault.step) && !parts[2].empty() &&
              (parts[3] == "die" || parts[3] == "stall");
  if (!good)
    throw InputError("HADAL_INJECT_FAULT", std::string(text) +
                                               "; allowed is rank:step:phase:die or "
                                               "rank:step:phase:stall");
  fault.phase = parts[2];
  fault.kind = parts[3] == "die" ? Fault::Kind::Die : Fault::Kind::Stall;
  return fault;
}

void faultAt(int rank, std::int64_t step, std::string_view phase) {
  static const Fault fault = parseFault(std::getenv("HADAL_INJECT_FAULT"));
  if (fault.rank != rank || fault.step != step || fault.phase != phase)
    return;
  if (fault.kind == Fault::Kind::Die) {
    if (ranksAreThreads)
      throw InjectedDeath();
    ::kill(::getpid(), SIGKILL);
  }
  for (;;)
    std::this_thread::sleep_for(std::chrono::hours(1));
}

} // namespace hadal::rt
