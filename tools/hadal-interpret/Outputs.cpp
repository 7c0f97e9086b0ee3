// SPDX-License-Identifier: Apache-2.0
//
// See Outputs.h.

#include "tools/hadal-interpret/Outputs.h"

#include "frontend/WeightNames.h"
#include "runtime/support/Error.h"

using hadal::reference::Array;
using hadal::reference::Tensor;
using hadal::reference::TensorPtr;
using llvm::StringRef;

namespace hadal::tools {

static int64_t numberOf(StringRef text) {
  int64_t number = 0;
  if (text.getAsInteger(10, number))
    throw rt::InputError("output name ends in '" + text.str() + "'; expected a number");
  return number;
}

void Outputs::add(const std::map<std::string, TensorPtr> &outputs) {
  std::map<int64_t, double> balance; // layers ascending
  for (const auto &[name, tensor] : outputs) {
    auto [kind, number] = StringRef(name).split('.');
    std::string prefix = ("model.layers." + number + ".mlp").str();
    if (kind == "logits" || kind == "mtp_logits")
      tensors[name].append(*tensor);
    else if (kind == "experts")
      appendRows("experts." + prefix, rt::DType::I64, *tensor);
    else if (kind == "expert_weights")
      appendRows("expert_weights." + prefix, rt::DType::F32, *tensor);
    else if (kind == "counts")
      addCounts("counts." + prefix, *tensor);
    else if (kind == "main_loss")
      main += tensor->reals.front();
    else if (kind == "mtp_loss")
      mtp[numberOf(number)] += tensor->reals.front();
    else if (kind == "balance_loss")
      balance[numberOf(number)] = tensor->reals.front();
  }
  for (const auto &[layer, loss] : balance)
    balanceSum += loss;
}

void Outputs::finish(const ModelInputs &inputs) {
  double share = double(inputs.plan.microBatchCount()) * double(inputs.plan.dataParallel);
  double depths = double(inputs.spec.numNextnPredictLayers);
  double total = 0;
  std::vector<double> mtpLosses;
  for (const auto &[depth, loss] : mtp)
    total += mtpLosses.emplace_back(loss / share);
  if (!mtp.empty())
    total *= inputs.plan.mtpWeight.front().value / depths;
  addLosses("main_loss", {main / share});
  addLosses("balance_loss", {balanceSum / share});
  addLosses("mtp_losses", mtpLosses);
  addLosses("loss", {main / share + balanceSum / share + total});
}

void Outputs::addGradients(const ModelSpec &spec, const Gradients &gradients) {
  for (const ParameterInfo &info : parameters(spec)) {
    if (!info.trained)
      continue;
    auto found = gradients.find(info.name);
    int64_t parts = info.experts ? info.experts : 1, elements = info.elements() / parts;
    for (int64_t part = 0; part < parts; ++part) {
      StoredTensor &out = tensors["gradient." + expandName(info.name, part)];
      out.tensor.shape.assign(info.shape.begin() + (info.experts ? 1 : 0), info.shape.end());
      out.tensor.reals.resize(size_t(elements));
      if (found != gradients.end())
        std::copy_n(found->second.reals.begin() + part * elements, elements,
                    out.tensor.reals.begin());
    }
  }
}

/// [B, T, K] as [B T, K].
void Outputs::appendRows(const std::string &name, rt::DType dtype, Tensor tensor) {
  int64_t last = tensor.shape.empty() ? 1 : tensor.shape.back();
  tensor.shape = {tensor.elements() / std::max<int64_t>(last, 1), last};
  tensors[name].dtype = dtype;
  tensors[name].append(tensor);
}

void Outputs::addCounts(const std::string &name, const Tensor &counts) {
  StoredTensor &sum = tensors[name];
  if (sum.tensor.shape.empty()) {
    sum = {rt::DType::I64, counts};
    return;
  }
  for (size_t e = 0; e < counts.integers.size(); ++e)
    sum.tensor.integers[e] += counts.integers[e];
}

void Outputs::addLosses(const std::string &name, std::vector<double> values) {
  Array<double> array({int64_t(values.size())});
  array.data = std::move(values);
  tensors[name] = {rt::DType::F64, Tensor(array)};
}

} // namespace hadal::tools
