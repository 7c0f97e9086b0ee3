// SPDX-License-Identifier: Apache-2.0
//
// See Evaluate.h.

#include "tools/hadal-interpret/Evaluate.h"

#include "frontend/WeightNames.h"
#include "passes/Differentiate/Passes.h"
#include "runtime/support/Error.h"
#include "tools/hadal-interpret/Step.h"
#include "tools/hadal-interpret/TensorFile.h"
#include "tools/support/CommandLine.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;
using hadal::reference::Array;
using hadal::reference::Interpreter;
using hadal::reference::Store;
using hadal::reference::Tensor;
using hadal::reference::TensorPtr;

namespace hadal::tools {

namespace {

/// Gathers what the micro-batches of @evaluate give.
class Outputs {
public:
  std::map<std::string, StoredTensor> tensors;

  void add(const std::map<std::string, TensorPtr> &outputs) {
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

  /// Puts the losses into the tensors, as means over micro-batches.
  void finish(const ModelInputs &inputs, int64_t microBatches) {
    double share = double(microBatches), depths = double(inputs.spec.numNextnPredictLayers);
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

private:
  static int64_t numberOf(StringRef text) {
    int64_t number = 0;
    if (text.getAsInteger(10, number))
      throw rt::InputError("output name ends in '" + text.str() + "'; expected a number");
    return number;
  }
  /// [B, T, K] as [B T, K].
  void appendRows(const std::string &name, rt::DType dtype, Tensor tensor) {
    int64_t last = tensor.shape.empty() ? 1 : tensor.shape.back();
    tensor.shape = {tensor.elements() / std::max<int64_t>(last, 1), last};
    tensors[name].dtype = dtype;
    tensors[name].append(tensor);
  }
  void addCounts(const std::string &name, const Tensor &counts) {
    StoredTensor &sum = tensors[name];
    if (sum.tensor.shape.empty()) {
      sum = {rt::DType::I64, counts};
      return;
    }
    for (size_t e = 0; e < counts.integers.size(); ++e)
      sum.tensor.integers[e] += counts.integers[e];
  }
  void addLosses(const std::string &name, std::vector<double> values) {
    Array<double> array({int64_t(values.size())});
    array.data = std::move(values);
    tensors[name] = {rt::DType::F64, Tensor(array)};
  }

  double main = 0, balanceSum = 0;
  std::map<int64_t, double> mtp; // by depth
};

/// gradient.NAME of every trained parameter, experts one by one; zeros where none was computed.
void addGradients(const ModelSpec &spec, const Store &store, Outputs &outputs) {
  for (const ParameterInfo &info : parameters(spec)) {
    if (!info.trained)
      continue;
    TensorPtr found = store.find(BindingKind::Gradient, info.name);
    int64_t parts = info.experts ? info.experts : 1, elements = info.elements() / parts;
    for (int64_t part = 0; part < parts; ++part) {
      StoredTensor &out = outputs.tensors["gradient." + expandName(info.name, part)];
      out.tensor.shape.assign(info.shape.begin() + (info.experts ? 1 : 0), info.shape.end());
      out.tensor.reals.resize(size_t(elements));
      if (found)
        std::copy_n(found->reals.begin() + part * elements, elements, out.tensor.reals.begin());
    }
  }
}

/// Why a module without the program cannot be interpreted.
int refuseModule(ModuleOp module, const std::string &file) {
  bool scheduled = llvm::any_of(
      module.getOps(), [](Operation &op) { return op.getName().getDialectNamespace() == "pipe"; });
  return refuse(file + (scheduled ? ": is scheduled; hadal-interpret takes modules up to the "
                                    "phase fuse"
                                  : ": has no program @evaluate"));
}

} // namespace

int evaluate(ModuleOp module, const EvaluateFlags &flags) {
  if (!module.lookupSymbol<func::FuncOp>("evaluate"))
    return refuseModule(module, flags.model);
  ModelInputs inputs(module, flags.model);
  StepRows rows(inputs, rt::readTokenTable(flags.tokens, inputs.spec.vocabSize), flags.tokens);
  Interpreter interpreter(module, flags.precision);
  inputs.loadWeights(flags.weights, interpreter.store);
  inputs.makeRotaryTables(module, interpreter.store);

  Outputs outputs;
  for (int64_t m = 0; m < rows.microBatches(); ++m) {
    interpreter.store.take(BindingKind::State); // counts are those of one micro-batch
    interpreter.outputs.clear();
    if (failed(interpreter.call("evaluate", rows.microBatch(m))))
      return Refused;
    outputs.add(interpreter.outputs);
  }
  outputs.finish(inputs, rows.microBatches());

  if (flags.gradients) {
    OwningOpRef<ModuleOp> differentiated = module.clone();
    PassManager passes(module.getContext());
    passes.addPass(createHadalDifferentiate());
    if (!module.lookupSymbol("gradients") && failed(passes.run(*differentiated)))
      return Refused;
    Interpreter gradients(*differentiated, flags.precision);
    gradients.store = interpreter.store;
    inputs.setSeeds(gradients.store);
    if (failed(computeGradients(*differentiated, gradients, rows)))
      return Refused;
    addGradients(inputs.spec, gradients.store, outputs);
  }
  writeTensors(flags.out, outputs.tensors);
  return Done;
}

} // namespace hadal::tools
