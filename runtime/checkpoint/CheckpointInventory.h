// SPDX-License-Identifier: Apache-2.0
//
// What several ranks wrote into one checkpoint, put together at rank 0: files, tensors and parts.
// Internal to checkpoints.

#ifndef HADAL_RUNTIME_CHECKPOINT_CHECKPOINTINVENTORY_H
#define HADAL_RUNTIME_CHECKPOINT_CHECKPOINTINVENTORY_H

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hadal::rt {

class CheckpointInventory {
public:
  /// {"files": {file: {bytes, checksum}}, "model": {NAME: [file, bytes]}, "optimizer": {NAME:
  /// [file, begin, end, elements of the whole]}}. Throws RunError when a model tensor is there
  /// already.
  void addShare(const nlohmann::json &share);
  /// {file: {bytes, checksum}}.
  void addFiles(const nlohmann::json &more) { files.update(more); }

  /// Throws RunError unless all tensors are whole and, unless `names` is empty, those of `names`
  /// are all there are.
  void check(const std::vector<std::string> &names);

  /// Of model.safetensors.index.json.
  std::string indexText() const;
  /// Adds to state.json's content: format, files and parts.
  void describe(nlohmann::json &state) const;

private:
  void checkParts(const std::string &name, std::vector<nlohmann::json> &parts);

  nlohmann::json files = nlohmann::json::object();
  std::map<std::string, std::string> model; // file by tensor
  std::map<std::string, std::vector<nlohmann::json>> optimizer;
  std::int64_t modelBytes = 0;
  bool parted = false;
};

} // namespace hadal::rt

#endif
