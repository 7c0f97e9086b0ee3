// SPDX-License-Identifier: Apache-2.0
//
// Folders of checkpoints within their common folder: names, temporary ones, old ones. Internal to
// checkpoints.

#ifndef HADAL_RUNTIME_CHECKPOINT_CHECKPOINTFOLDERS_H
#define HADAL_RUNTIME_CHECKPOINT_CHECKPOINTFOLDERS_H

#include "runtime/checkpoint/Checkpoint.h"

#include <filesystem>

namespace hadal::rt {

/// state.json's `format`: all optimizer tensors are whole, or some are in parts.
inline constexpr int kFormatWhole = 1, kFormatParts = 2;

/// The checksum that state.json carries of its other content.
std::string stateChecksum(const nlohmann::json &state);

/// The name under which this process writes the checkpoint of a step.
std::string temporaryName(std::int64_t step);
/// Removes temporary folders of this process, and of processes that are no more.
void removeLeftTemporaries(const std::filesystem::path &dir, const Report &report);

/// Removes complete checkpoints up to step `newest` but for the last `keep` of them: the files that
/// their state.json lists, and folders that are empty then.
void applyKeep(const std::filesystem::path &dir, std::int64_t keep, std::int64_t newest,
               const Report &report);
/// Renames what is in the way of a checkpoint.
void moveAside(const std::filesystem::path &target, const Report &report);

} // namespace hadal::rt

#endif
