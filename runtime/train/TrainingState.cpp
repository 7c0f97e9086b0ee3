// SPDX-License-Identifier: Apache-2.0
//
// See TrainingState.h.

#include "runtime/train/TrainingState.h"

#include "runtime/checkpoint/PartedTensors.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/train/Initialize.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

namespace hadal::rt {

void initializeParameters(Store &store, ThreadPool &pool, const Layout &layout) {
  const Bundle &bundle = store.bundle();
  const double deviation = bundle.model().initializer_range();
  for (const HeldTensor &tensor : layout.tensors()) {
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

/// A moment of a tensor: its name in checkpoints, and element tensor.begin of it.
struct Moment {
  std::string name;
  float *values;
};

static std::vector<Moment> momentsOf(Store &store, const HeldTensor &tensor) {
  std::vector<Moment> moments;
  if (tensor.moment1Storage >= 0)
    moments.push_back({"moment1." + tensor.name, tensor.moment1(store)});
  if (tensor.moment2Storage >= 0)
    moments.push_back({"moment2." + tensor.name, tensor.moment2(store)});
  return moments;
}

/// The names of all tensors in a checkpoint of the bundle's model: all that any role holds.
static std::vector<std::string> checkpointNames(const Bundle &bundle) {
  std::set<std::uint32_t> first, second;
  for (std::uint32_t r = 0; r < countOf(bundle.table().roles()); ++r) {
    const auto *holdings = bundle.table().roles()->Get(r)->holdings();
    for (std::uint32_t i = 0; i < countOf(holdings); ++i) {
      if (holdings->Get(i)->moment1() >= 0)
        first.insert(holdings->Get(i)->parameter());
      if (holdings->Get(i)->moment2() >= 0)
        second.insert(holdings->Get(i)->parameter());
    }
  }
  std::vector<std::string> names;
  const Layout whole = Layout::whole(bundle);
  for (const HeldTensor &tensor : whole.tensors()) {
    names.push_back(tensor.name);
    if (first.count(tensor.parameterIndex))
      names.push_back("moment1." + tensor.name);
    if (second.count(tensor.parameterIndex))
      names.push_back("moment2." + tensor.name);
  }
  return names;
}

CheckpointContent checkpointContent(Store &store, const Layout &layout, std::int64_t step,
                                    std::int64_t rowsUsed) {
  const Bundle &bundle = store.bundle();
  CheckpointContent content;
  content.step = step;
  content.config = bundle.table().config_json()->str();
  content.plan = bundle.table().plan_json()->str();
  if (layout.grid().ranks() > 1 && layout.place().rank == 0)
    content.names = checkpointNames(bundle);
  for (const HeldTensor &tensor : layout.tensors()) {
    if (tensor.first)
      content.model.push_back({tensor.name, DType::F32, tensor.shape, tensor.values(store)});
    if (tensor.begin == tensor.end && !(tensor.first && tensor.elements == 0))
      continue;
    for (const Moment &moment : momentsOf(store, tensor))
      content.optimizer.push_back(
          {moment.name, DType::F32, tensor.shape, moment.values, tensor.begin, tensor.end});
  }
  // Random numbers are counter-based: the seed and the position are the whole random state.
  content.state["data"] = {{"rows_used", rowsUsed}};
  content.state["random"] = {{"seed", bundle.training().seed()}};
  return content;
}

std::int64_t rowsUsed(const FoundCheckpoint &found) {
  const auto &state = found.state;
  if (!state.contains("data") || !state["data"].contains("rows_used") ||
      !state["data"]["rows_used"].is_number_integer())
    throw InputError(found.folder + "/state.json", "data.rows_used: is missing");
  return state["data"]["rows_used"].get<std::int64_t>();
}

/// Throws InputError unless the checkpoint is of the bundle's model and training.
static void checkBelongs(const Bundle &bundle, const FoundCheckpoint &found) {
  const std::filesystem::path folder(found.folder);
  auto parse = [](const std::string &text) { return nlohmann::json::parse(text, nullptr, false); };
  const std::string config = (folder / "config.json").string(),
                    plan = (folder / "plan.json").string();
  if (parse(readFile(config)) != parse(bundle.table().config_json()->str()))
    throw InputError(config, "differs from the bundle's config.json; a checkpoint goes on with the "
                             "model it was made with");
  const std::string difference = comparePlans(readFile(plan), bundle.table().plan_json()->str());
  if (!difference.empty())
    throw InputError(plan, "differs from the bundle's plan.json: " + difference +
                               "; start with --weights of this checkpoint and a new --checkpoint "
                               "folder for a new plan");
}

void restore(Store &store, ThreadPool &pool, const Layout &layout, const FoundCheckpoint &found) {
  checkBelongs(store.bundle(), found);
  loadWeights(store, pool, layout, found.folder);
  PartedTensors optimizer(found);
  for (const HeldTensor &tensor : layout.tensors())
    for (const Moment &moment : momentsOf(store, tensor))
      optimizer.read(moment.name, tensor.shape, tensor.begin, tensor.end, moment.values);
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

std::string firstNonFinite(Store &store, const Layout &layout) {
  for (const HeldTensor &tensor : layout.tensors())
    if (std::string found = nonFiniteIn(tensor.values(store), tensor.elements); !found.empty())
      return tensor.name + ": " + found;
  for (const HeldTensor &tensor : layout.tensors()) {
    if (tensor.gradientStorage < 0)
      continue;
    if (std::string found = nonFiniteIn(tensor.gradient(store), tensor.elements); !found.empty())
      return "gradient of " + tensor.name + ": " + found;
  }
  return {};
}

} // namespace hadal::rt
