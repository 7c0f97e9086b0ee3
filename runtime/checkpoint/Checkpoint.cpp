// SPDX-License-Identifier: Apache-2.0
//
// See Checkpoint.h. Finding and checking.

#include "runtime/checkpoint/CheckpointFolders.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"

namespace hadal::rt {

namespace fs = std::filesystem;
using nlohmann::json;

std::string partName(const std::string &name, std::int64_t begin, std::int64_t end,
                     std::int64_t elements) {
  if (begin == 0 && end == elements)
    return name;
  return name + "[" + std::to_string(begin) + ":" + std::to_string(end) + "]";
}

/// state.json without its checksum, which has been checked.
static json readState(const std::string &stateFile) {
  json state = parseJson(readFile(stateFile), stateFile);
  if (!state.is_object() || !state.contains("checksum") || !state["checksum"].is_string())
    throw InputError(stateFile, "has no checksum; it is not the state of a checkpoint");
  std::string checksum = state["checksum"];
  state.erase("checksum");
  if (stateChecksum(state) != checksum)
    throw InputError(stateFile, "is damaged: its checksum does not match its content");
  const json format = state.value("format", json());
  if (format != kFormatWhole && format != kFormatParts)
    throw InputError(stateFile, "has format " + format.dump() + "; this program reads formats " +
                                    std::to_string(kFormatWhole) + " and " +
                                    std::to_string(kFormatParts));
  try {
    state.at("step").get<std::int64_t>();
    for (const auto &[name, entry] : state.at("files").items()) {
      entry.at("bytes").get<std::uint64_t>();
      entry.at("checksum").get<std::string>();
    }
  } catch (const json::exception &error) {
    throw InputError(stateFile, std::string("lacks an entry: ") + error.what());
  }
  return state;
}

static void checkFile(const std::string &path, const json &entry) {
  std::error_code failed;
  auto bytes = fs::file_size(path, failed);
  if (failed)
    throw InputError(path, "is missing");
  if (bytes != entry["bytes"].get<std::uint64_t>())
    throw InputError(path, "has " + std::to_string(bytes) + " bytes; state.json says " +
                               entry["bytes"].dump());
  if (checksumOfFile(path) != entry["checksum"].get<std::string>())
    throw InputError(path, "is damaged: its checksum does not match state.json");
}

FoundCheckpoint openCheckpoint(const std::string &folder, Peers &peers) {
  FoundCheckpoint found;
  found.folder = folder;
  found.state =
      fromFirst(peers, [&] { return readState((fs::path(folder) / "state.json").string()); });
  found.step = found.state["step"].get<std::int64_t>();
  together(peers, [&] {
    int turn = 0;
    for (const auto &[name, entry] : found.state["files"].items())
      if (turn++ % peers.size() == peers.rank())
        checkFile((fs::path(folder) / name).string(), entry);
  });
  return found;
}

FoundCheckpoint openCheckpoint(const std::string &folder) {
  Alone alone;
  return openCheckpoint(folder, alone);
}

std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report,
                                                    Peers &peers) {
  const json steps = fromFirst(peers, [&] { return json(checkpointSteps(dir)); });
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string folder = (fs::path(dir) / checkpointName(*step)).string();
    try {
      FoundCheckpoint found = openCheckpoint(folder, peers);
      if (found.step != *step)
        throw InputError(folder, "state.json says step " + std::to_string(found.step));
      return found;
    } catch (const InputError &error) {
      if (peers.rank() == 0)
        report(std::string("skipped: ") + error.what());
    }
  }
  return std::nullopt;
}

std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report) {
  Alone alone;
  return findLatestCheckpoint(dir, report, alone);
}

} // namespace hadal::rt
