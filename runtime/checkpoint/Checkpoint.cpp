// SPDX-License-Identifier: Apache-2.0
//
// See Checkpoint.h.

#include "runtime/checkpoint/Checkpoint.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <unistd.h>

namespace hadal::rt {

namespace fs = std::filesystem;
using nlohmann::json;

static constexpr int kFormat = 1;

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

static std::string stateChecksum(const json &state) {
  std::string text = state.dump();
  Checksum sum;
  sum.update(text.data(), text.size());
  return sum.hex();
}

namespace {

/// Writes the files of one checkpoint into a temporary folder and records what state.json lists.
class FolderWriter {
public:
  explicit FolderWriter(fs::path folder) : folder(std::move(folder)) {}

  void text(const std::string &name, const std::string &content) {
    DurableFile file((folder / name).string());
    file.write(content.data(), content.size());
    file.finish();
    record(name, file.size(), file.checksum());
  }

  /// Splits tensors into files STEM.safetensors or STEM-00001-of-0000N.safetensors; returns which
  /// tensor went where.
  std::map<std::string, std::string> tensors(const std::string &stem,
                                             const std::vector<TensorSource> &sources,
                                             std::int64_t shardBytes) {
    std::vector<std::vector<const TensorSource *>> shards(1);
    std::int64_t filled = 0;
    for (const TensorSource &source : sources) {
      std::int64_t bytes = byteCount(source);
      if (filled && filled + bytes > shardBytes) {
        shards.emplace_back();
        filled = 0;
      }
      shards.back().push_back(&source);
      filled += bytes;
    }
    std::map<std::string, std::string> places;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      std::string name = stem + ".safetensors";
      if (shards.size() > 1) {
        char numbers[40];
        std::snprintf(numbers, sizeof numbers, "-%05zu-of-%05zu", i + 1, shards.size());
        name = stem + numbers + ".safetensors";
      }
      shard(name, shards[i]);
      for (const TensorSource *source : shards[i])
        places[source->name] = name;
    }
    return places;
  }

  json files = json::object();

  static std::int64_t byteCount(const TensorSource &source) {
    return elementCount(source.shape).value_or(0) * dtypeBytes(source.dtype);
  }

private:
  void record(const std::string &name, std::uint64_t bytes, const std::string &checksum) {
    files[name] = {{"bytes", bytes}, {"checksum", checksum}};
  }

  void shard(const std::string &name, const std::vector<const TensorSource *> &sources) {
    std::vector<TensorInfo> infos;
    for (const TensorSource *source : sources) {
      TensorInfo info;
      info.name = source->name;
      info.dtype = source->dtype;
      info.shape = source->shape;
      infos.push_back(std::move(info));
    }
    SafetensorsWriter writer((folder / name).string(), std::move(infos));
    for (const TensorSource *source : sources)
      writer.append(source->data, std::uint64_t(byteCount(*source)));
    writer.finish();
    record(name, writer.size(), writer.checksum());
  }

  fs::path folder;
};

} // namespace

static std::string indexText(const std::vector<TensorSource> &model,
                             const std::map<std::string, std::string> &places) {
  std::int64_t bytes = 0;
  for (const TensorSource &source : model)
    bytes += FolderWriter::byteCount(source);
  json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", places}};
  return index.dump(1) + "\n";
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

static void applyKeep(const fs::path &dir, std::int64_t keep, std::int64_t newest,
                      const Report &report) {
  std::vector<std::int64_t> steps = checkpointSteps(dir.string());
  // Folders above `newest` are broken ones that a resumed run skipped: they are not ours to remove.
  steps.erase(std::upper_bound(steps.begin(), steps.end(), newest), steps.end());
  for (std::size_t i = 0; std::int64_t(i) + keep < std::int64_t(steps.size()); ++i)
    removeCheckpoint(dir / checkpointName(steps[i]), report);
}

static void moveAside(const fs::path &target, const Report &report) {
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

std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report, std::int64_t shardBytes) {
  const fs::path target = fs::path(dir) / checkpointName(content.step);
  const fs::path temporary =
      fs::path(dir) / ("." + checkpointName(content.step) + ".tmp-" + std::to_string(::getpid()));
  try {
    fs::create_directories(dir);
    fs::remove_all(temporary); // left by an earlier save of this very process that failed
    fs::create_directory(temporary);
    FolderWriter writer(temporary);
    writer.text("config.json", content.config);
    writer.text("plan.json", content.plan);
    auto places = writer.tensors("model", content.model, shardBytes);
    writer.text("model.safetensors.index.json", indexText(content.model, places));
    writer.tensors("optimizer", content.optimizer, shardBytes);

    json state = content.state;
    state["format"] = kFormat;
    state["step"] = content.step;
    state["files"] = writer.files;
    state["checksum"] = stateChecksum(state);
    writer.text("state.json", state.dump(1) + "\n");

    syncFolder(temporary.string());
    if (fs::exists(target))
      moveAside(target, report);
    fs::rename(temporary, target);
    syncFolder(dir);
  } catch (const fs::filesystem_error &error) {
    throw RunError(target.string() + ": the checkpoint cannot be written: " + error.what());
  }
  if (keep > 0)
    applyKeep(dir, keep, content.step, report);
  return target.string();
}

FoundCheckpoint openCheckpoint(const std::string &folder) {
  const std::string stateFile = (fs::path(folder) / "state.json").string();
  FoundCheckpoint found;
  found.folder = folder;
  found.state = parseJson(readFile(stateFile), stateFile);
  json &state = found.state;
  if (!state.is_object() || !state.contains("checksum") || !state["checksum"].is_string())
    throw InputError(stateFile, "has no checksum; it is not the state of a checkpoint");
  std::string checksum = state["checksum"];
  state.erase("checksum");
  if (stateChecksum(state) != checksum)
    throw InputError(stateFile, "is damaged: its checksum does not match its content");
  if (state.value("format", 0) != kFormat)
    throw InputError(stateFile, "has format " + state.value("format", json()).dump() +
                                    "; this program reads format " + std::to_string(kFormat));
  found.step = state.at("step").get<std::int64_t>();
  for (const auto &[name, entry] : state.at("files").items()) {
    const std::string path = (fs::path(folder) / name).string();
    std::error_code failed;
    auto bytes = fs::file_size(path, failed);
    if (failed)
      throw InputError(path, "is missing");
    if (bytes != entry.at("bytes").get<std::uint64_t>())
      throw InputError(path, "has " + std::to_string(bytes) + " bytes; state.json says " +
                                 entry.at("bytes").dump());
    if (checksumOfFile(path) != entry.at("checksum").get<std::string>())
      throw InputError(path, "is damaged: its checksum does not match state.json");
  }
  return found;
}

std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report) {
  std::vector<std::int64_t> steps = checkpointSteps(dir);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string folder = (fs::path(dir) / checkpointName(*step)).string();
    try {
      FoundCheckpoint found = openCheckpoint(folder);
      if (found.step != *step)
        throw InputError(folder, "state.json says step " + std::to_string(found.step));
      return found;
    } catch (const InputError &error) {
      report(std::string("skipped: ") + error.what());
    } catch (const json::exception &error) {
      report("skipped: " + folder + "/state.json: lacks an entry: " + error.what());
    }
  }
  return std::nullopt;
}

} // namespace hadal::rt
