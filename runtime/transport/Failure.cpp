// SPDX-License-Identifier: Apache-2.0
//
// See Failure.h.

#include "runtime/transport/Failure.h"

#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <unistd.h>

namespace hadal::rt {

/// The start time of a process, as the kernel counts it; empty when there is none.
static std::string startOf(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  std::size_t name = text.rfind(')'); // the name may hold anything
  if (name == std::string::npos)
    return "";
  std::istringstream fields(text.substr(name + 1));
  std::string field;
  for (int i = 3; i <= 22 && fields; ++i)
    fields >> field;
  return fields ? field : "";
}

/// Names this boot of this machine, and the space its process numbers belong to.
static std::string thisMachine() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  char space[64] = {};
  if (boot.empty() || ::readlink("/proc/self/ns/pid", space, sizeof space - 1) < 0)
    return "";
  return boot + " " + space;
}

ProcessId ProcessId::own() {
  const int pid = int(::getpid());
  return {thisMachine(), pid, startOf(pid)};
}

void ProcessId::kill() const {
  if (pid > 1 && pid != int(::getpid()) && !machine.empty() && machine == thisMachine() &&
      !started.empty() && started == startOf(pid))
    ::kill(pid, SIGKILL);
}

static std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", value);
  return text;
}

std::string Failure::report(int reporter, int ranks, const RankSnapshot &own) const {
  if (kind == Kind::Refused)
    return what;
  const std::string self = "rank " + std::to_string(reporter);
  if (rank == reporter && kind == Kind::Failed)
    return ranks > 1 ? self + ": " + what : what;
  std::string text = self + ", " + own.text() + ": ";
  if (kind == Kind::Failed)
    text += "rank " + std::to_string(rank) + " failed: ";
  text += what;
  if (before >= 0 && rank != reporter)
    text += " (last heard of " + seconds(before) + " before: " + last.text() + ")";
  return text;
}

std::string Failure::encode() const {
  nlohmann::json all = {int(kind),       rank,        what,           last.encode(), before,
                        process.machine, process.pid, process.started};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Failure Failure::decode(const std::string &bytes) {
  Failure result;
  try {
    nlohmann::json all = nlohmann::json::parse(bytes);
    int kind = all.at(0).get<int>();
    if (kind < 0 || kind > int(Kind::Deadlock))
      throw RunError("failure of a rank: no such kind");
    result.kind = Kind(kind);
    all.at(1).get_to(result.rank);
    all.at(2).get_to(result.what);
    result.last = RankSnapshot::decode(all.at(3).get<std::string>());
    all.at(4).get_to(result.before);
    all.at(5).get_to(result.process.machine);
    all.at(6).get_to(result.process.pid);
    all.at(7).get_to(result.process.started);
  } catch (const nlohmann::json::exception &error) {
    throw RunError(std::string("failure of a rank: ") + error.what());
  }
  return result;
}

} // namespace hadal::rt
