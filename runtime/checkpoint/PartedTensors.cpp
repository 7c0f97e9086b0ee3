// SPDX-License-Identifier: Apache-2.0
//
// See PartedTensors.h.

#include "runtime/checkpoint/PartedTensors.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace hadal::rt {

namespace fs = std::filesystem;
using nlohmann::json;

static constexpr std::size_t kBytes = sizeof(float);

PartedTensors::PartedTensors(const FoundCheckpoint &found) : folder(found.folder) {
  if (found.state.contains("optimizer"))
    readIndex(found);
  else
    scanFiles(found);
}

/// Without an index all tensors are whole.
void PartedTensors::scanFiles(const FoundCheckpoint &found) {
  for (const auto &[name, entry] : found.state.at("files").items()) {
    if (name.rfind("optimizer", 0) != 0)
      continue;
    for (const TensorInfo &info : open(name).tensors())
      tensors[info.name] = {{name, 0, info.elements}};
  }
}

void PartedTensors::readIndex(const FoundCheckpoint &found) {
  const std::string stateFile = (fs::path(folder) / "state.json").string();
  for (const auto &[name, parts] : found.state["optimizer"].items()) {
    std::vector<Part> &all = tensors[name];
    try {
      for (const json &part : parts)
        all.push_back({part.at(0).get<std::string>(), part.at(1).get<std::int64_t>(),
                       part.at(2).get<std::int64_t>()});
    } catch (const json::exception &) {
      throw InputError(stateFile, "optimizer: tensor " + name +
                                      ": expected parts [file, begin, end], found " + parts.dump());
    }
    for (const Part &part : all)
      if (!found.state.at("files").contains(part.file))
        throw InputError(stateFile, "optimizer: tensor " + name + ": " + part.file +
                                        " is no file of this checkpoint");
    std::sort(all.begin(), all.end(), [](const Part &a, const Part &b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
  }
}

const SafetensorsFile &PartedTensors::open(const std::string &name) {
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<SafetensorsFile> &file = files[name];
  if (!file)
    file = std::make_unique<SafetensorsFile>((fs::path(folder) / name).string());
  return *file;
}

const unsigned char *PartedTensors::data(const std::string &name, const Part &part,
                                         const std::vector<std::int64_t> &shape,
                                         std::int64_t elements) {
  const SafetensorsFile &file = open(part.file);
  const std::string stored = partName(name, part.begin, part.end, elements);
  const TensorInfo &info = file.get(stored);
  const std::vector<std::int64_t> expected =
      stored == name ? shape : std::vector{part.end - part.begin};
  if (info.shape != expected || info.dtype != DType::F32)
    throw InputError(file.path(), "tensor " + stored + ": is " + dtypeName(info.dtype) + " " +
                                      shapeText(info.shape) + "; expected F32 " +
                                      shapeText(expected));
  return file.data(info);
}

void PartedTensors::read(const std::string &name, const std::vector<std::int64_t> &shape,
                         std::int64_t begin, std::int64_t end, float *out) {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    throw InputError(folder, "optimizer tensor " + name + ": is missing");
  const std::int64_t elements = elementCount(shape).value_or(0);
  std::int64_t at = 0;
  for (const Part &part : found->second) {
    if (part.begin != at || part.end < part.begin)
      break;
    at = part.end;
    const std::int64_t first = std::max(begin, part.begin), last = std::min(end, part.end);
    if (first < last)
      std::memcpy(out + (first - begin),
                  data(name, part, shape, elements) + std::size_t(first - part.begin) * kBytes,
                  std::size_t(last - first) * kBytes);
  }
  if (at != elements)
    throw InputError(folder, "optimizer tensor " + name + ": its parts end at, overlap or leave " +
                                 "a gap at element " + std::to_string(at) + " of " +
                                 std::to_string(elements));
}

} // namespace hadal::rt
