// SPDX-License-Identifier: Apache-2.0
//
// See Checkpoint.h. Writing: rank 0 makes a temporary folder, every rank writes and syncs its files
// there, rank 0 checks that the shares make whole tensors, adds what describes them, and renames.

#include "runtime/checkpoint/CheckpointFolders.h"
#include "runtime/checkpoint/CheckpointInventory.h"
#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <algorithm>
#include <cstdio>

namespace hadal::rt {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::int64_t wholeElements(const TensorSource &source) {
  return elementCount(source.shape).value_or(0);
}

std::int64_t endOf(const TensorSource &source) {
  return source.end < 0 ? wholeElements(source) : source.end;
}

std::int64_t byteCount(const TensorSource &source) {
  return (endOf(source) - source.begin) * dtypeBytes(source.dtype);
}

using Shard = std::vector<const TensorSource *>;

std::vector<Shard> splitIntoShards(const std::vector<TensorSource> &sources,
                                   std::int64_t shardBytes) {
  std::vector<Shard> shards;
  std::int64_t filled = 0;
  for (const TensorSource &source : sources) {
    std::int64_t bytes = byteCount(source);
    if (shards.empty() || (filled && filled + bytes > shardBytes)) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&source);
    filled += bytes;
  }
  return shards;
}

/// STEM.safetensors, or STEM-00002-of-00007.safetensors where there are several.
std::string shardFile(const std::string &stem, std::int64_t number, std::int64_t total) {
  if (total == 1)
    return stem + ".safetensors";
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "-%05lld-of-%05lld", static_cast<long long>(number),
                static_cast<long long>(total));
  return stem + numbers + ".safetensors";
}

/// Writes files into a folder and records what state.json lists.
class FolderWriter {
public:
  explicit FolderWriter(fs::path folder) : folder(std::move(folder)) {}

  void text(const std::string &name, const std::string &content) {
    DurableFile file((folder / name).string());
    file.write(content.data(), content.size());
    file.finish();
    record(name, file.size(), file.checksum());
  }

  void shard(const std::string &name, const Shard &sources) {
    std::vector<TensorInfo> infos;
    for (const TensorSource *source : sources) {
      const std::int64_t elements = wholeElements(*source), end = endOf(*source);
      TensorInfo info;
      info.name = partName(source->name, source->begin, end, elements);
      info.dtype = source->dtype;
      info.shape = info.name == source->name ? source->shape : std::vector{end - source->begin};
      infos.push_back(std::move(info));
    }
    SafetensorsWriter writer((folder / name).string(), std::move(infos));
    for (const TensorSource *source : sources)
      writer.append(source->data, std::uint64_t(byteCount(*source)));
    writer.finish();
    record(name, writer.size(), writer.checksum());
  }

  json files = json::object();

private:
  void record(const std::string &name, std::uint64_t bytes, const std::string &checksum) {
    files[name] = {{"bytes", bytes}, {"checksum", checksum}};
  }

  fs::path folder;
};

/// One rank's part in writing one checkpoint.
class CheckpointWriter {
public:
  CheckpointWriter(const std::string &dir, const CheckpointContent &content, const Report &report,
                   Peers &peers, std::int64_t shardBytes)
      : dir(dir), content(content), report(report), peers(peers),
        model(splitIntoShards(content.model, shardBytes)),
        optimizer(splitIntoShards(content.optimizer, shardBytes)) {
    if (peers.size() > 1)
      return;
    // A single rank always writes both files.
    model.resize(std::max<std::size_t>(model.size(), 1));
    optimizer.resize(std::max<std::size_t>(optimizer.size(), 1));
  }

  std::string run(std::int64_t keep) {
    std::vector<json> counts = collect(peers, [&] { return json{model.size(), optimizer.size()}; });
    const json numbers = fromFirst(peers, [&] { return guarded([&] { return begin(counts); }); });
    std::vector<json> shares =
        collect(peers, [&] { return guarded([&] { return writeShare(numbers); }); });
    fromFirst(peers, [&] { return guarded([&] { return commit(shares); }); });
    if (keep > 0 && peers.rank() == 0)
      applyKeep(dir, keep, content.step, report);
    return target().string();
  }

private:
  fs::path target() const { return fs::path(dir) / checkpointName(content.step); }
  fs::path temporary() const { return fs::path(dir) / folder; }

  json guarded(const std::function<json()> &work) const {
    try {
      return work();
    } catch (const fs::filesystem_error &error) {
      throw RunError(target().string() + ": the checkpoint cannot be written: " + error.what());
    }
  }

  /// Rank 0 makes the folder, and numbers the files: rank r's model files begin behind those of the
  /// ranks before it.
  json begin(const std::vector<json> &counts) {
    fs::create_directories(dir);
    removeLeftTemporaries(dir, report);
    json numbers = {{"folder", temporaryName(content.step)}, {"first", json::array()}};
    fs::create_directory(fs::path(dir) / numbers["folder"].get<std::string>());
    std::int64_t totals[2] = {0, 0};
    for (const json &count : counts) {
      numbers["first"].push_back({totals[0] + 1, totals[1] + 1});
      totals[0] += count[0].get<std::int64_t>();
      totals[1] += count[1].get<std::int64_t>();
    }
    numbers["total"] = {totals[0], totals[1]};
    return numbers;
  }

  /// Returns what CheckpointInventory::addShare takes.
  json writeShare(const json &numbers) {
    folder = numbers["folder"].get<std::string>();
    if (!fs::is_directory(temporary()))
      throw RunError(temporary().string() + ": rank 0 made this folder, but it is not there; all "
                                            "ranks need the same file system");
    const json &first = numbers["first"][std::size_t(peers.rank())], &total = numbers["total"];
    FolderWriter writer(temporary());
    json share = {{"model", json::object()}, {"optimizer", json::object()}};
    for (std::size_t i = 0; i < model.size(); ++i) {
      const std::string name =
          shardFile("model", first[0].get<std::int64_t>() + std::int64_t(i), total[0]);
      writer.shard(name, model[i]);
      for (const TensorSource *source : model[i])
        share["model"][source->name] = {name, byteCount(*source)};
    }
    for (std::size_t i = 0; i < optimizer.size(); ++i) {
      const std::string name =
          shardFile("optimizer", first[1].get<std::int64_t>() + std::int64_t(i), total[1]);
      writer.shard(name, optimizer[i]);
      for (const TensorSource *source : optimizer[i])
        share["optimizer"][source->name] = {name, source->begin, endOf(*source),
                                            wholeElements(*source)};
    }
    if (peers.size() > 1)
      syncFolder(temporary().string());
    share["files"] = std::move(writer.files);
    return share;
  }

  json commit(const std::vector<json> &shares) {
    CheckpointInventory inventory;
    for (const json &share : shares) {
      inventory.addShare(share);
    }
    inventory.check(content.names);
    FolderWriter writer(temporary());
    writer.text("config.json", content.config);
    writer.text("plan.json", content.plan);
    writer.text("model.safetensors.index.json", inventory.indexText());
    inventory.addFiles(writer.files);
    json state = content.state;
    state["step"] = content.step;
    inventory.describe(state);
    state["checksum"] = stateChecksum(state);
    writer.text("state.json", state.dump(1) + "\n");

    syncFolder(temporary().string());
    if (fs::exists(target()))
      moveAside(target(), report);
    fs::rename(temporary(), target());
    syncFolder(dir);
    return {};
  }

  const std::string &dir;
  const CheckpointContent &content;
  const Report &report;
  Peers &peers;
  std::vector<Shard> model, optimizer;
  std::string folder;
};

} // namespace

std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report, Peers &peers,
                            std::int64_t shardBytes) {
  return CheckpointWriter(dir, content, report, peers, shardBytes).run(keep);
}

std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report, std::int64_t shardBytes) {
  Alone alone;
  return writeCheckpoint(dir, content, keep, report, alone, shardBytes);
}

} // namespace hadal::rt
