// SPDX-License-Identifier: Apache-2.0
//
// Training checkpoints: DIR/step-000000012/ with config.json, plan.json, model*.safetensors and
// model.safetensors.index.json (Hugging Face names), optimizer*.safetensors and state.json. A
// folder is written under a temporary name, synced and renamed, so under its own name it is always
// complete; state.json lists the size and checksum of every other file and carries a checksum of
// itself.

#ifndef HADAL_RUNTIME_CHECKPOINT_CHECKPOINT_H
#define HADAL_RUNTIME_CHECKPOINT_CHECKPOINT_H

#include "runtime/checkpoint/DType.h"

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace hadal::rt {

/// A tensor to write: contiguous values in memory that stay alive until the checkpoint is written.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  const void *data = nullptr;
};

struct CheckpointContent {
  std::int64_t step = 0;
  std::string config, plan; // the texts of config.json and plan.json
  std::vector<TensorSource> model, optimizer;
  /// What else a resumed run needs (data position, random state, ...). Keys step, files, checksum
  /// and format are ours.
  nlohmann::json state = nlohmann::json::object();
};

/// A complete checkpoint that was found; its files have been checked.
struct FoundCheckpoint {
  std::string folder;
  std::int64_t step = 0;
  nlohmann::json state;
};

using Report = std::function<void(const std::string &)>;

/// "step-000000012".
std::string checkpointName(std::int64_t step);

/// Writes DIR/step-N and returns its path. A folder of that name that is already there is never
/// overwritten: it is moved aside as step-N.replaced-K and reported. Afterwards, with keep > 0,
/// older checkpoints beyond the newest `keep` are removed (only files that their state.json lists).
/// Throws RunError when the disk refuses. `shardBytes`: a model or optimizer file holds at most so
/// many bytes of data (at least one tensor).
std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report,
                            std::int64_t shardBytes = std::int64_t(5) << 30);

/// Checks one checkpoint folder: every file listed is there with its size and checksum. Throws
/// InputError with the reason.
FoundCheckpoint openCheckpoint(const std::string &folder);

/// The newest complete checkpoint of DIR; reports why it skips newer ones that are broken. Nothing
/// when there is none (or no DIR).
std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report);

/// The steps of all folders in DIR named like checkpoints, ascending.
std::vector<std::int64_t> checkpointSteps(const std::string &dir);

} // namespace hadal::rt

#endif
