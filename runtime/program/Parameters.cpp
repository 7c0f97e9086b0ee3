// SPDX-License-Identifier: Apache-2.0
//
// See Parameters.h.

#include "runtime/program/Parameters.h"

#include <set>

namespace hadal::rt {

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

/// Every tensor of the model, and the optional copies in MTP layers; of these, the first rank that
/// holds the original compares the values.
static std::vector<WeightSpec> weightSpecs(const Bundle &bundle, const Layout &layout) {
  std::vector<WeightSpec> specs;
  std::set<std::string> names, compared;
  for (const HeldTensor &tensor : layout.tensors())
    if (tensor.first)
      compared.insert(tensor.name);
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
    WeightSpec copy{name, {}, original, compared.count(original) != 0};
    for (std::uint32_t d = 0; d < countOf(entry.shape()); ++d)
      copy.shape.push_back(entry.shape()->Get(d));
    specs.push_back(copy);
  }
  return specs;
}

void loadWeights(Store &store, ThreadPool &pool, const Layout &layout, const std::string &path) {
  Weights weights(path);
  weights.check(weightSpecs(store.bundle(), layout));
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
