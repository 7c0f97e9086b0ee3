// SPDX-License-Identifier: Apache-2.0
//
// See Inputs.h.

#include "tools/hadal-interpret/Inputs.h"

#include "dialects/Hadal/Reference/Rules.h"
#include "frontend/BuildModel.h"
#include "frontend/WeightNames.h"
#include "runtime/checkpoint/Weights.h"
#include "runtime/support/Error.h"

#include <cmath>

using hadal::reference::Array;
using hadal::reference::Tensor;

namespace hadal::tools {

template <typename T> static T unwrap(Checked<T> checked, const std::string &file) {
  if (!checked)
    throw rt::InputError(file, checked.error().message());
  return std::move(*checked);
}

static std::string attribute(mlir::ModuleOp module, llvm::StringRef name, const std::string &file) {
  if (auto text = module->getAttrOfType<mlir::StringAttr>(name))
    return text.str();
  throw rt::InputError(file, "the module has no attribute " + name.str() +
                                 "; hadal-translate --import-model writes it");
}

ModelInputs::ModelInputs(mlir::ModuleOp module, const std::string &file)
    : spec(unwrap(parseModelSpec(attribute(module, kSpecAttr, file), "hadal.spec"), file)),
      plan(unwrap(
          usablePlan(attribute(module, kPlanAttr, file), "hadal.plan", spec, purposeOf(module)),
          file)) {}

/// What a checkpoint of the model holds, as Weights checks it: parameters, experts one by one, and
/// the optional copies of embedding and head.
static std::vector<rt::WeightSpec> weightSpecs(const ModelSpec &spec) {
  std::vector<rt::WeightSpec> specs;
  for (const ParameterInfo &info : parameters(spec)) {
    if (!info.experts)
      specs.push_back({info.name, info.shape, {}});
    for (int64_t expert = 0; expert < info.experts; ++expert)
      specs.push_back({expandName(info.name, expert), {info.shape[1], info.shape[2]}, {}});
  }
  for (const ManifestEntry &entry : manifest(spec)) {
    if (!entry.copy)
      continue;
    bool embedding = llvm::StringRef(entry.name).ends_with(".embed_tokens.weight");
    specs.push_back(
        {entry.name, entry.shape, embedding ? "model.embed_tokens.weight" : "lm_head.weight"});
  }
  return specs;
}

void ModelInputs::loadWeights(const std::string &path, reference::Store &store) const {
  rt::Weights weights(path);
  weights.check(weightSpecs(spec));
  for (const ParameterInfo &info : parameters(spec)) {
    std::vector<float> values(size_t(info.elements()));
    int64_t parts = info.experts ? info.experts : 1, elements = info.elements() / parts;
    for (int64_t part = 0; part < parts; ++part)
      weights.read(expandName(info.name, part), values.data() + part * elements);
    Array<double> array;
    array.shape.assign(info.shape.begin(), info.shape.end());
    array.data.assign(values.begin(), values.end());
    store.set(BindingKind::Weight, info.name, Tensor(array));
  }
}

void ModelInputs::makeRotaryTables(mlir::ModuleOp module, reference::Store &store) const {
  const std::vector<double> frequencies = spec.rotaryFrequencies();
  module.walk([&](mlir::func::FuncOp function) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      BindingAttr binding = bindingOf(function, i);
      auto type = llvm::dyn_cast<mlir::RankedTensorType>(function.getArgumentTypes()[i]);
      if (!binding || binding.getKind() != BindingKind::Constant || !type || type.getRank() != 2)
        continue;
      bool cosine = binding.getName() == "rotary_cos";
      if ((!cosine && binding.getName() != "rotary_sin") ||
          type.getDimSize(1) != int64_t(frequencies.size()))
        continue; // asking for it ends in an error that names it
      Array<double> table(reference::shapeOf(type));
      for (int64_t p = 0; p < table.size(0); ++p)
        for (int64_t j = 0; j < table.size(1); ++j) {
          double angle = double(p) * frequencies[size_t(j)];
          table(p, j) = (cosine ? std::cos(angle) : std::sin(angle)) * spec.rotaryAmplitude();
        }
      store.set(BindingKind::Constant, binding.getName().str(), Tensor(table));
    }
  });
}

void ModelInputs::setSeeds(reference::Store &store) const {
  double share = 1.0 / (double(plan.microBatchCount()) * double(plan.dataParallel));
  int64_t depths = spec.numNextnPredictLayers;
  double mtp = depths ? plan.mtpWeight.front().value / double(depths) * share : 0;
  store.set(BindingKind::Scalar, "seed.main", Tensor(share));
  store.set(BindingKind::Scalar, "seed.balance", Tensor(share));
  store.set(BindingKind::Scalar, "seed.mtp", Tensor(mtp));
}

/// A member's part of stacked experts.
static Tensor slice(const Tensor &whole, int64_t member, int64_t members) {
  Tensor part;
  part.shape = whole.shape;
  part.shape[0] /= members;
  auto first = whole.reals.begin() + member * part.elements();
  part.reals.assign(first, first + part.elements());
  return part;
}

void ModelInputs::share(const reference::Store &whole, reference::Group &group) const {
  for (int64_t member = 0; member < group.size(); ++member) {
    reference::Store &store = group[member].store;
    for (BindingKind kind : {BindingKind::Weight, BindingKind::Constant, BindingKind::Scalar})
      for (const auto &[name, tensor] : whole.all(kind))
        store.set(kind, name, tensor);
    for (const ParameterInfo &info : parameters(spec))
      if (info.experts)
        store.set(BindingKind::Weight, info.name,
                  slice(*whole.find(BindingKind::Weight, info.name), member, group.size()));
  }
}

} // namespace hadal::tools
