// SPDX-License-Identifier: Apache-2.0
//
// See Parameters.h.

#include "runtime/program/Parameters.h"

#include <set>

namespace hadal::rt {

std::vector<ParameterTensor> parameterTensors(const Bundle &bundle) {
  static const std::string kExpert = "{expert}";
  std::vector<ParameterTensor> tensors;
  for (std::uint32_t i = 0; i < countOf(bundle.table().parameters()); ++i) {
    const bundle::Parameter &parameter = *bundle.table().parameters()->Get(i);
    ParameterTensor tensor;
    tensor.name = parameter.name()->str();
    tensor.parameter = &parameter;
    tensor.elements = elementsOf(parameter.shape());
    for (std::uint32_t d = 0; d < countOf(parameter.shape()); ++d)
      tensor.shape.push_back(parameter.shape()->Get(d));
    if (parameter.experts() == 0) {
      tensors.push_back(tensor);
      continue;
    }
    const std::string pattern = tensor.name;
    const std::size_t at = pattern.find(kExpert);
    tensor.shape.erase(tensor.shape.begin());
    tensor.elements /= parameter.experts();
    for (std::int64_t expert = 0; expert < parameter.experts(); ++expert) {
      tensor.name = pattern;
      tensor.name.replace(at, kExpert.size(), std::to_string(expert));
      tensor.offset = std::uint64_t(expert * tensor.elements) * sizeof(float);
      tensors.push_back(tensor);
    }
  }
  return tensors;
}

/// The main tensor that an MTP layer's copy repeats; empty for other names.
static std::string originalOf(const std::string &name) {
  auto ends = [&](const std::string &end) {
    return name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  if (ends(".embed_tokens.weight"))
    return "model.embed_tokens.weight";
  if (ends(".shared_head.head.weight"))
    return "lm_head.weight";
  return {};
}

/// Every tensor of the model, and the optional copies in MTP layers.
static std::vector<WeightSpec> weightSpecs(const Bundle &bundle) {
  std::vector<WeightSpec> specs;
  std::set<std::string> names;
  const Layout whole = Layout::whole(bundle);
  for (const HeldTensor &tensor : whole.tensors()) {
    specs.push_back({tensor.name, tensor.shape, {}});
    names.insert(tensor.name);
  }
  for (std::uint32_t i = 0; i < countOf(bundle.table().manifest()); ++i) {
    const bundle::ManifestEntry &entry = *bundle.table().manifest()->Get(i);
    std::string name = entry.name()->str(), original = originalOf(name);
    if (names.count(name) || !names.count(original))
      continue;
    WeightSpec copy{name, {}, original};
    for (std::uint32_t d = 0; d < countOf(entry.shape()); ++d)
      copy.shape.push_back(entry.shape()->Get(d));
    specs.push_back(copy);
  }
  return specs;
}

void loadWeights(Store &store, ThreadPool &pool, const Layout &layout, const std::string &path) {
  Weights weights(path);
  weights.check(weightSpecs(store.bundle()));
  const std::vector<HeldTensor> &tensors = layout.tensors();
  for (const HeldTensor &tensor : tensors)
    tensor.values(store); // allocate before threads do
  pool.parallel(
      std::int64_t(tensors.size()),
      [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i)
          weights.read(tensors[std::size_t(i)].name, tensors[std::size_t(i)].values(store));
      },
      1);
}

void loadWeights(Store &store, ThreadPool &pool, const std::string &path) {
  loadWeights(store, pool, Layout::whole(store.bundle()), path);
}

} // namespace hadal::rt
