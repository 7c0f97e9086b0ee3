// SPDX-License-Identifier: Apache-2.0
//
// Training checkpoints: DIR/step-000000012/ with config.json, plan.json, model*.safetensors and
// model.safetensors.index.json (Hugging Face names), optimizer*.safetensors and state.json. A
// folder is written under a temporary name, synced and renamed, so under its own name it is always
// complete; state.json lists the size and checksum of every other file and carries a checksum of
// itself.
//
// Several ranks write one folder together, each its share. Model tensors are always whole. An
// optimizer tensor may lie in parts, elements [begin, end) of it in row-major order,
// one-dimensional under the name `NAME[begin:end]`; state.json then says where the parts of all of
// them are
// ("optimizer": {NAME: [[file, begin, end], ...]}, format 2). So a checkpoint knows no layout.

#ifndef HADAL_RUNTIME_CHECKPOINT_CHECKPOINT_H
#define HADAL_RUNTIME_CHECKPOINT_CHECKPOINT_H

#include "runtime/checkpoint/DType.h"
#include "runtime/checkpoint/Peers.h"

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace hadal::rt {

/// A tensor to write, or elements [begin, end) of it: contiguous values in memory that stay alive
/// until the checkpoint is written.
struct TensorSource {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;  // of the whole
  const void *data = nullptr;       // element `begin`
  std::int64_t begin = 0, end = -1; // end -1: that of the tensor
};

/// What one rank writes.
struct CheckpointContent {
  std::int64_t step = 0;
  std::vector<TensorSource> model, optimizer; // model tensors whole
  // Read at rank 0:
  std::string config, plan; // the texts of config.json and plan.json
  /// What else a resumed run needs (data position, random state, ...). Keys step, files, checksum,
  /// optimizer and format are ours.
  nlohmann::json state = nlohmann::json::object();
  /// Not empty: the names of all tensors that the ranks' shares must make.
  std::vector<std::string> names;
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
/// The name of elements [begin, end) of a tensor of `elements` in a file; NAME for all of them.
std::string partName(const std::string &name, std::int64_t begin, std::int64_t end,
                     std::int64_t elements);

/// Writes DIR/step-N, every rank its share, and returns its path on all ranks. A folder of that
/// name that is already there is never overwritten: it is moved aside as step-N.replaced-K and
/// reported. Afterwards, with keep > 0, older checkpoints beyond the newest `keep` are removed
/// (only files that their state.json lists). Throws RunError, on all ranks, when the disk refuses
/// or the shares do not make whole tensors; what was written then stays in a hidden temporary
/// folder, which the next checkpoint removes. Rank 0 reports. `shardBytes`: a model or optimizer
/// file holds at most so many bytes of data (at least one tensor).
std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report, Peers &peers,
                            std::int64_t shardBytes = std::int64_t(5) << 30);
/// A single rank.
std::string writeCheckpoint(const std::string &dir, const CheckpointContent &content,
                            std::int64_t keep, const Report &report,
                            std::int64_t shardBytes = std::int64_t(5) << 30);

/// Checks one checkpoint folder: every file listed is there with its size and checksum (each rank
/// reads some of them). Throws InputError with the reason, on all ranks.
FoundCheckpoint openCheckpoint(const std::string &folder, Peers &peers);
FoundCheckpoint openCheckpoint(const std::string &folder);

/// The newest complete checkpoint of DIR, the same on all ranks; rank 0 reports why it skips newer
/// ones that are broken. Nothing when there is none (or no DIR).
std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report,
                                                    Peers &peers);
std::optional<FoundCheckpoint> findLatestCheckpoint(const std::string &dir, const Report &report);

/// The steps of all folders in DIR named like checkpoints, ascending.
std::vector<std::int64_t> checkpointSteps(const std::string &dir);

} // namespace hadal::rt

#endif
