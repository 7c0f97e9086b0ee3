// SPDX-License-Identifier: Apache-2.0
//
// See CheckpointFolders.h.

#include "runtime/checkpoint/CheckpointFolders.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <signal.h>
#include <unistd.h>

namespace hadal::rt {

namespace fs = std::filesystem;
using nlohmann::json;

std::string checkpointName(std::int64_t step) {
  char name[40];
  std::snprintf(name, sizeof name, "step-%09lld", static_cast<long long>(step));
  return name;
}

static std::optional<std::int64_t> stepOf(const std::string &name) {
  if (name.size() < 14 || name.size() > 23 || name.rfind("step-", 0) != 0 ||
      name.find_first_not_of("0123456789", 5) != std::string::npos)
    return std::nullopt;
  return std::stoll(name.substr(5));
}

std::vector<std::int64_t> checkpointSteps(const std::string &dir) {
  std::vector<std::int64_t> steps;
  std::error_code failed;
  for (const auto &entry : fs::directory_iterator(dir, failed))
    if (auto step = stepOf(entry.path().filename().string()); step && entry.is_directory())
      steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string stateChecksum(const json &state) {
  std::string text = state.dump();
  Checksum sum;
  sum.update(text.data(), text.size());
  return sum.hex();
}

static const char kTemporary[] = ".tmp-";

std::string temporaryName(std::int64_t step) {
  return "." + checkpointName(step) + kTemporary + std::to_string(::getpid());
}

/// The process that writes, or wrote, a temporary folder of this name.
static std::optional<std::int64_t> writerOf(const std::string &name) {
  const std::size_t at = name.find(kTemporary);
  if (at == std::string::npos || name[0] != '.' || !stepOf(name.substr(1, at - 1)))
    return std::nullopt;
  const std::string digits = name.substr(at + sizeof kTemporary - 1);
  if (digits.empty() || digits.size() > 9 ||
      digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoll(digits);
}

void removeLeftTemporaries(const fs::path &dir, const Report &report) {
  std::vector<fs::path> left;
  for (const auto &entry : fs::directory_iterator(dir)) {
    auto writer = writerOf(entry.path().filename().string());
    if (writer && (*writer == ::getpid() || (::kill(pid_t(*writer), 0) != 0 && errno == ESRCH)))
      left.push_back(entry.path());
  }
  for (const fs::path &folder : left) {
    fs::remove_all(folder);
    report(folder.string() + ": was left by a save that did not finish; removed");
  }
}

/// Removes an own, complete checkpoint: the files that its state.json lists, then the folder if
/// that left it empty. What somebody else put there stays.
static void removeCheckpoint(const fs::path &folder, const Report &report) {
  json state;
  try {
    state = parseJson(readFile((folder / "state.json").string()), (folder / "state.json").string());
    if (!state.contains("files") || !state["files"].is_object())
      return;
  } catch (const InputError &error) {
    report(std::string(error.what()) + "; this old checkpoint is kept");
    return;
  }
  // state.json goes first: without it the folder no longer counts as a checkpoint.
  std::error_code failed;
  fs::remove(folder / "state.json", failed);
  for (const auto &[name, entry] : state["files"].items())
    if (name.find('/') == std::string::npos)
      fs::remove(folder / name, failed);
  if (!fs::remove(folder, failed) || failed)
    report(folder.string() + ": holds files that are not the checkpoint's; they are kept");
}

void applyKeep(const fs::path &dir, std::int64_t keep, std::int64_t newest, const Report &report) {
  std::vector<std::int64_t> steps = checkpointSteps(dir.string());
  // Folders above `newest` are broken ones that a resumed run skipped: they are not ours to remove.
  steps.erase(std::upper_bound(steps.begin(), steps.end(), newest), steps.end());
  for (std::size_t i = 0; std::int64_t(i) + keep < std::int64_t(steps.size()); ++i)
    removeCheckpoint(dir / checkpointName(steps[i]), report);
}

void moveAside(const fs::path &target, const Report &report) {
  for (int k = 1;; ++k) {
    fs::path aside = target.string() + ".replaced-" + std::to_string(k);
    std::error_code failed;
    if (fs::exists(aside, failed))
      continue;
    fs::rename(target, aside);
    report(target.string() + ": was there already and is now " + aside.filename().string());
    return;
  }
}

} // namespace hadal::rt
