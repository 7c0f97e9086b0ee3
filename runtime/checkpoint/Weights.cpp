// SPDX-License-Identifier: Apache-2.0
//
// See Weights.h.

#include "runtime/checkpoint/Weights.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

namespace hadal::rt {

namespace fs = std::filesystem;

static constexpr std::int64_t kScaleBlock = 128;

static bool endsWith(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Weights::Weights(const std::string &path) : origin(path) {
  std::error_code failed;
  if (!fs::is_directory(path, failed)) {
    openFile(path);
    return;
  }
  std::string index = (fs::path(path) / "model.safetensors.index.json").string();
  if (fs::exists(index, failed)) {
    openIndex(path, index);
    return;
  }
  std::vector<std::string> found;
  for (const auto &entry : fs::directory_iterator(path, failed)) {
    std::string name = entry.path().filename().string();
    // A checkpoint folder holds optimizer state beside the weights.
    if (endsWith(name, ".safetensors") && name.rfind("optimizer", 0) != 0)
      found.push_back(entry.path().string());
  }
  if (failed)
    throw InputError(path, "cannot be read: " + failed.message());
  if (found.empty())
    throw InputError(
        path, "holds no weights; a folder has model.safetensors.index.json or *.safetensors");
  std::sort(found.begin(), found.end());
  for (const std::string &file : found)
    openFile(file);
}

void Weights::openFile(const std::string &path) {
  files.push_back(std::make_unique<SafetensorsFile>(path));
  const SafetensorsFile &file = *files.back();
  for (const TensorInfo &info : file.tensors()) {
    auto [at, inserted] = tensors.emplace(info.name, Place{&file, &info});
    if (!inserted)
      throw InputError(path, "tensor " + info.name + ": is also in " + at->second.file->path());
  }
}

void Weights::openIndex(const std::string &folder, const std::string &index) {
  nlohmann::json parsed = parseJson(readFile(index), index);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object())
    throw InputError(index, "has no object weight_map");
  std::set<std::string> names;
  for (const auto &[tensor, file] : parsed["weight_map"].items()) {
    if (!file.is_string() || file.get_ref<const std::string &>().find('/') != std::string::npos)
      throw InputError(index, "weight_map: tensor " + tensor + ": " + file.dump() +
                                  " is not the name of a file in this folder");
    names.insert(file.get<std::string>());
  }
  for (const std::string &name : names)
    openFile((fs::path(folder) / name).string());
  for (const auto &[tensor, file] : parsed["weight_map"].items()) {
    auto at = tensors.find(tensor);
    if (at == tensors.end() ||
        fs::path(at->second.file->path()).filename() != file.get<std::string>())
      throw InputError(index,
                       "weight_map: tensor " + tensor + ": is not in " + file.get<std::string>());
  }
}

const Weights::Place &Weights::place(const std::string &name) const {
  auto at = tensors.find(name);
  if (at == tensors.end())
    throw InputError(origin, "tensor " + name + ": is missing");
  return at->second;
}

void Weights::checkType(const Place &at) const {
  const TensorInfo &info = *at.info;
  auto refuse = [&](const std::string &message) {
    throw InputError(at.file->path(), "tensor " + info.name + ": " + message);
  };
  switch (info.dtype) {
  case DType::F32:
  case DType::BF16:
  case DType::F16:
    return;
  case DType::F8E4M3:
    break;
  default:
    refuse(std::string("dtype ") + dtypeName(info.dtype) +
           " is no weight; allowed are F32, BF16, F16, and F8_E4M3 with its scales");
  }
  std::string scaleName = info.name + "_scale_inv";
  if (info.shape.size() != 2)
    refuse("F8_E4M3 with shape " + shapeText(info.shape) + "; block scales need two dimensions");
  auto scale = tensors.find(scaleName);
  if (scale == tensors.end())
    refuse("F8_E4M3, but " + scaleName + " is missing");
  std::vector<std::int64_t> expected = {(info.shape[0] + kScaleBlock - 1) / kScaleBlock,
                                        (info.shape[1] + kScaleBlock - 1) / kScaleBlock};
  const TensorInfo &found = *scale->second.info;
  if (found.shape != expected || found.dtype != DType::F32)
    throw InputError(scale->second.file->path(),
                     "tensor " + scaleName + ": is " + dtypeName(found.dtype) + " " +
                         shapeText(found.shape) + "; expected F32 " + shapeText(expected));
}

void Weights::check(const std::vector<WeightSpec> &specs) const {
  std::set<std::string> known;
  for (const WeightSpec &spec : specs) {
    if (!spec.copyOf.empty() && !contains(spec.name)) {
      known.insert(spec.name);
      continue;
    }
    const Place &at = place(spec.name);
    known.insert(spec.name);
    if (at.info->shape != spec.shape)
      throw InputError(at.file->path(), "tensor " + spec.name + ": shape " +
                                            shapeText(at.info->shape) + "; the model needs " +
                                            shapeText(spec.shape));
    checkType(at);
    if (at.info->dtype == DType::F8E4M3)
      known.insert(spec.name + "_scale_inv");
  }
  for (const auto &[name, at] : tensors)
    if (!known.count(name) && !endsWith(name, "rotary_emb.inv_freq"))
      throw InputError(at.file->path(),
                       "tensor " + name + ": is unexpected; the model has none of this name");
  for (const WeightSpec &spec : specs) {
    if (spec.copyOf.empty() || !spec.compare || !contains(spec.name))
      continue;
    const Place &copy = place(spec.name), &main = place(spec.copyOf);
    std::vector<float> a(std::size_t(copy.info->elements)), b(std::size_t(main.info -> elements));
    read(spec.name, a.data());
    read(spec.copyOf, b.data());
    if (a.size() != b.size() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) != 0)
      throw InputError(copy.file->path(), "tensor " + spec.name + ": differs from " + spec.copyOf +
                                              "; a copy must equal it");
  }
}

void Weights::read(const std::string &name, float *out) const {
  const Place &at = place(name);
  const TensorInfo &info = *at.info;
  toF32(info.dtype, at.file->data(info), info.elements, out);
  if (info.dtype != DType::F8E4M3)
    return;
  const Place &scaleAt = place(name + "_scale_inv");
  std::vector<float> scales(std::size_t(scaleAt.info->elements));
  toF32(scaleAt.info->dtype, scaleAt.file->data(*scaleAt.info), scaleAt.info->elements,
        scales.data());
  const std::int64_t rows = info.shape[0], columns = info.shape[1];
  const std::int64_t perRow = (columns + kScaleBlock - 1) / kScaleBlock;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      out[r * columns + c] *= scales[std::size_t(r / kScaleBlock * perRow + c / kScaleBlock)];
}

} // namespace hadal::rt
