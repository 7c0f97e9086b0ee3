// SPDX-License-Identifier: Apache-2.0
//
// See CheckpointInventory.h.

#include "runtime/checkpoint/CheckpointInventory.h"

#include "runtime/checkpoint/CheckpointFolders.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace hadal::rt {

using nlohmann::json;

void CheckpointInventory::addShare(const json &share) {
  addFiles(share["files"]);
  for (const auto &[name, place] : share["model"].items()) {
    if (!model.emplace(name, place[0]).second)
      throw RunError("tensor " + name + ": is written by two ranks");
    modelBytes += place[1].get<std::int64_t>();
  }
  for (const auto &[name, part] : share["optimizer"].items())
    optimizer[name].push_back(part);
}

void CheckpointInventory::check(const std::vector<std::string> &names) {
  for (auto &[name, parts] : optimizer)
    checkParts(name, parts);
  if (names.empty())
    return;
  for (const std::string &name : names)
    if (!model.count(name) && !optimizer.count(name))
      throw RunError("tensor " + name + ": no rank writes it");
  if (names.size() != model.size() + optimizer.size())
    throw RunError("the ranks write " + std::to_string(model.size() + optimizer.size()) +
                   " tensors; the model has " + std::to_string(names.size()));
}

void CheckpointInventory::checkParts(const std::string &name, std::vector<json> &parts) {
  std::sort(parts.begin(), parts.end(), [](const json &a, const json &b) {
    return std::pair(a[1].get<std::int64_t>(), a[2].get<std::int64_t>()) <
           std::pair(b[1].get<std::int64_t>(), b[2].get<std::int64_t>());
  });
  std::int64_t at = 0;
  for (const json &part : parts) {
    if (part[1] != at || part[3] != parts[0][3])
      throw RunError("tensor " + name + ": the parts that ranks write do not fit together at " +
                     "element " + std::to_string(at));
    at = part[2].get<std::int64_t>();
  }
  if (at != parts[0][3])
    throw RunError("tensor " + name + ": ranks write " + std::to_string(at) + " elements of " +
                   parts[0][3].dump());
  parted |= parts.size() > 1;
}

std::string CheckpointInventory::indexText() const {
  json index = {{"metadata", {{"total_size", modelBytes}}}, {"weight_map", model}};
  return index.dump(1) + "\n";
}

void CheckpointInventory::describe(json &state) const {
  state["format"] = parted ? kFormatParts : kFormatWhole;
  state["files"] = files;
  if (!parted)
    return;
  json &all = state["optimizer"] = json::object();
  for (const auto &[name, parts] : optimizer)
    for (const json &part : parts)
      all[name].push_back({part[0], part[1], part[2]});
}

} // namespace hadal::rt
