// SPDX-License-Identifier: Apache-2.0
//
// See TrainingState.h.

#include "runtime/train/TrainingState.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/support/Error.h"
#include "runtime/train/Initialize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

namespace hadal::rt {

void initializeParameters(Store &store, ThreadPool &pool) {
  const Bundle &bundle = store.bundle();
  const double deviation = bundle.model().initializer_range();
  for (const ParameterTensor &tensor : parameterTensors(bundle)) {
    float *values = tensor.values(store);
    switch (tensor.parameter->initial()) {
    case bundle::Initial::zeros:
      std::fill_n(values, tensor.elements, 0.0f);
      break;
    case bundle::Initial::ones:
      std::fill_n(values, tensor.elements, 1.0f);
      break;
    case bundle::Initial::normal:
      pool.parallel(tensor.elements, [&](std::int64_t begin, std::int64_t end, int) {
        initializeNormal(bundle.training().seed(), tensor.name, deviation, begin, end,
                         values + begin);
      });
      break;
    }
  }
}

/// Calls fn(name prefix, storage index) for the moments a parameter has.
template <typename Fn> static void forMoments(const bundle::Parameter &parameter, Fn fn) {
  if (parameter.moment1() >= 0)
    fn("moment1.", parameter.moment1());
  if (parameter.moment2() >= 0)
    fn("moment2.", parameter.moment2());
}

CheckpointContent checkpointContent(Store &store, std::int64_t step, std::int64_t rowsUsed) {
  const Bundle &bundle = store.bundle();
  CheckpointContent content;
  content.step = step;
  content.config = bundle.table().config_json()->str();
  content.plan = bundle.table().plan_json()->str();
  for (const ParameterTensor &tensor : parameterTensors(bundle)) {
    content.model.push_back({tensor.name, DType::F32, tensor.shape, tensor.values(store)});
    forMoments(*tensor.parameter, [&](const char *prefix, std::int64_t index) {
      content.optimizer.push_back(
          {prefix + tensor.name, DType::F32, tensor.shape, tensor.in(store, index)});
    });
  }
  // Random numbers are counter-based: the seed and the position are the whole random state.
  content.state["data"] = {{"rows_used", rowsUsed}};
  content.state["random"] = {{"seed", bundle.training().seed()}};
  return content;
}

static void expectSameText(const FoundCheckpoint &found, const char *name, const std::string &ours,
                           const char *remedy) {
  const std::string path = (std::filesystem::path(found.folder) / name).string();
  auto parse = [](const std::string &text) { return nlohmann::json::parse(text, nullptr, false); };
  if (parse(readFile(path)) != parse(ours))
    throw InputError(path, std::string("differs from the bundle's ") + name + "; " + remedy);
}

std::int64_t rowsUsed(const FoundCheckpoint &found) {
  const auto &state = found.state;
  if (!state.contains("data") || !state["data"].contains("rows_used") ||
      !state["data"]["rows_used"].is_number_integer())
    throw InputError(found.folder + "/state.json", "data.rows_used: is missing");
  return state["data"]["rows_used"].get<std::int64_t>();
}

void restore(Store &store, ThreadPool &pool, const FoundCheckpoint &found) {
  const Bundle &bundle = store.bundle();
  expectSameText(found, "config.json", bundle.table().config_json()->str(),
                 "a checkpoint goes on with the model it was made with");
  expectSameText(
      found, "plan.json", bundle.table().plan_json()->str(),
      "start with --weights of this checkpoint and a new --checkpoint folder for a new plan");
  loadWeights(store, pool, found.folder);

  std::vector<std::unique_ptr<SafetensorsFile>> files;
  std::map<std::string, const SafetensorsFile *> places;
  for (const auto &[name, entry] : found.state.at("files").items()) {
    if (name.rfind("optimizer", 0) != 0)
      continue;
    files.push_back(
        std::make_unique<SafetensorsFile>((std::filesystem::path(found.folder) / name).string()));
    for (const TensorInfo &info : files.back()->tensors())
      places[info.name] = files.back().get();
  }
  for (const ParameterTensor &tensor : parameterTensors(bundle))
    forMoments(*tensor.parameter, [&](const char *prefix, std::int64_t index) {
      const std::string name = prefix + tensor.name;
      auto at = places.find(name);
      if (at == places.end())
        throw InputError(found.folder, "optimizer tensor " + name + ": is missing");
      const TensorInfo &info = at->second->get(name);
      if (info.shape != tensor.shape || info.dtype != DType::F32)
        throw InputError(at->second->path(), "tensor " + name + ": is " + dtypeName(info.dtype) +
                                                 " " + shapeText(info.shape) + "; expected F32 " +
                                                 shapeText(tensor.shape));
      std::memcpy(tensor.in(store, index), at->second->data(info),
                  std::size_t(tensor.elements) * sizeof(float));
    });
}

/// "NaN at element 7, 12 of 4096 not finite", or empty.
static std::string nonFiniteIn(const float *values, std::int64_t count) {
  std::int64_t first = -1, bad = 0;
  for (std::int64_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i])) {
      if (first < 0)
        first = i;
      ++bad;
    }
  if (first < 0)
    return {};
  return std::string(std::isnan(values[first]) ? "NaN" : "Inf") + " at element " +
         std::to_string(first) + ", " + std::to_string(bad) + " of " + std::to_string(count) +
         " not finite";
}

std::string firstNonFinite(Store &store) {
  std::vector<ParameterTensor> tensors = parameterTensors(store.bundle());
  for (const ParameterTensor &tensor : tensors)
    if (std::string found = nonFiniteIn(tensor.values(store), tensor.elements); !found.empty())
      return tensor.name + ": " + found;
  for (const ParameterTensor &tensor : tensors) {
    if (tensor.parameter->gradient() < 0)
      continue;
    const float *gradient = tensor.in(store, tensor.parameter->gradient());
    if (std::string found = nonFiniteIn(gradient, tensor.elements); !found.empty())
      return "gradient of " + tensor.name + ": " + found;
  }
  return {};
}

} // namespace hadal::rt
