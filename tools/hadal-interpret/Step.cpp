// SPDX-License-Identifier: Apache-2.0
//
// See Step.h.

#include "tools/hadal-interpret/Step.h"

#include "frontend/WeightNames.h"
#include "runtime/checkpoint/DType.h"
#include "runtime/support/Error.h"
#include "tools/hadal-interpret/TensorFile.h"

#include <set>

using namespace mlir;
using hadal::reference::Array;
using hadal::reference::Group;
using hadal::reference::Interpreter;
using hadal::reference::Tensor;

namespace hadal::tools {

StepRows::StepRows(const ModelInputs &inputs, rt::TokenTable rows, const std::string &file)
    : sequences(inputs.plan.sequences), batches(inputs.plan.microBatchCount()),
      count(inputs.plan.dataParallel), table(std::move(rows)) {
  int64_t wanted = batches * count * sequences, columns = inputs.plan.windowTokens() + 1;
  if (table.rows != wanted || table.columns != columns)
    throw rt::InputError(file, "tokens: shape " + rt::shapeText({table.rows, table.columns}) +
                                   "; one step of this model takes " +
                                   rt::shapeText({wanted, columns}) +
                                   " (micro_batches x data_parallel x sequences, tokens + 1)");
}

std::vector<Interpreter::Values> StepRows::microBatch(int64_t m, int64_t replica,
                                                      int64_t members) const {
  std::vector<Interpreter::Values> arguments;
  for (int64_t member = 0; member < members; ++member) {
    Array<int64_t> ids({sequences, table.columns});
    int64_t batch = m * count + replica + member;
    std::copy_n(table.ids.begin() + batch * ids.elements(), ids.elements(), ids.data.begin());
    arguments.push_back({std::make_shared<Tensor>(ids)});
  }
  return arguments;
}

namespace {

/// Sums of gradients, as f32 or f64 keeps them.
class Sums {
public:
  Sums(Group &group, const ModelInputs &inputs) : group(group) {
    for (const ParameterInfo &info : parameters(inputs.spec))
      if (info.experts)
        experts.insert(info.name);
  }

  Gradients sums;

  void add(const std::string &name, const Tensor &more) {
    auto [found, isNew] = sums.try_emplace(name, more);
    std::vector<double> &sum = found->second.reals;
    for (size_t i = 0; !isNew && i < sum.size(); ++i)
      sum[i] = group[0].rounded(sum[i] + more.reals[i]);
  }

  /// Adds what the members have accumulated, and takes it from them.
  void addMembers() {
    std::map<std::string, StoredTensor> joined; // experts, members ascending
    for (int64_t member = 0; member < group.size(); ++member)
      for (const auto &[name, part] : group[member].store.take(BindingKind::Gradient)) {
        if (experts.count(name))
          joined[name].append(*part);
        else
          add(name, *part);
      }
    for (const auto &[name, whole] : joined)
      add(name, whole.tensor);
  }

private:
  Group &group;
  std::set<std::string> experts; ///< stacked parameters: each member has its own
};

} // namespace

FailureOr<Gradients> computeGradients(ModuleOp module, Group &group, const ModelInputs &inputs,
                                      const StepRows &rows, const std::function<void()> &done) {
  if (!module.lookupSymbol<func::FuncOp>("gradients"))
    return module.emitError("has no program @gradients; `train` is not among its programs");
  const int64_t count = rows.microBatches(), border = (count + 1) / 2;
  Sums total(group, inputs);
  for (auto [first, last] : {std::pair(int64_t(0), border), std::pair(border, count)}) {
    Sums half(group, inputs);
    for (int64_t replica = 0; replica < rows.replicas(); replica += group.size()) {
      for (int64_t m = first; m < last; ++m) {
        if (failed(group.call("gradients", rows.microBatch(m, replica, group.size()))))
          return failure();
        done();
      }
      half.addMembers();
    }
    for (const auto &[name, sum] : half.sums)
      total.add(name, sum);
  }
  const Gradients all = total.sums;
  for (const auto &[name, sum] : all)
    if (size_t suffix = name.find('#'); suffix != name.npos)
      total.add(name.substr(0, suffix), sum);
  return std::move(total.sums);
}

} // namespace hadal::tools
