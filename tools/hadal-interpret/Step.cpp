// SPDX-License-Identifier: Apache-2.0
//
// See Step.h.

#include "tools/hadal-interpret/Step.h"

#include "runtime/checkpoint/DType.h"
#include "runtime/support/Error.h"

using namespace mlir;
using hadal::reference::Array;
using hadal::reference::Interpreter;
using hadal::reference::Store;
using hadal::reference::Tensor;
using hadal::reference::TensorPtr;

namespace hadal::tools {

StepRows::StepRows(const ModelInputs &inputs, rt::TokenTable rows, const std::string &file)
    : sequences(inputs.plan.sequences), table(std::move(rows)) {
  int64_t count = inputs.plan.microBatchCount() * inputs.plan.dataParallel * sequences;
  int64_t columns = inputs.plan.windowTokens() + 1;
  if (table.rows != count || table.columns != columns)
    throw rt::InputError(file, "tokens: shape " + rt::shapeText({table.rows, table.columns}) +
                                   "; one step of this model takes " +
                                   rt::shapeText({count, columns}) +
                                   " (micro_batches x data_parallel x sequences, tokens + 1)");
}

Interpreter::Values StepRows::microBatch(int64_t m) const {
  Array<int64_t> ids({sequences, table.columns});
  std::copy_n(table.ids.begin() + m * ids.elements(), ids.elements(), ids.data.begin());
  return {std::make_shared<Tensor>(ids)};
}

/// Adds accumulators into the gradients of the store, element by element.
static void addTo(Interpreter &interpreter, const std::string &name, const Tensor &more) {
  TensorPtr found = interpreter.store.find(BindingKind::Gradient, name);
  Tensor sum = found ? *found : more;
  for (size_t i = 0; found && i < sum.reals.size(); ++i)
    sum.reals[i] = interpreter.rounded(sum.reals[i] + more.reals[i]);
  interpreter.store.set(BindingKind::Gradient, name, std::move(sum));
}

LogicalResult computeGradients(ModuleOp module, Interpreter &interpreter, const StepRows &rows,
                               const std::function<void()> &done) {
  if (!module.lookupSymbol<func::FuncOp>("gradients"))
    return module.emitError("has no program @gradients; `train` is not among its programs");
  const int64_t count = rows.microBatches(), border = (count + 1) / 2;
  Store::Named firstHalf;
  for (int64_t m = 0; m < count; ++m) {
    if (m == border)
      firstHalf = interpreter.store.take(BindingKind::Gradient);
    if (failed(interpreter.call("gradients", rows.microBatch(m))))
      return failure();
    done();
  }
  for (const auto &[name, sum] : firstHalf)
    addTo(interpreter, name, *sum);
  const Store::Named all = interpreter.store.all(BindingKind::Gradient);
  for (const auto &[name, sum] : all)
    if (size_t suffix = name.find('#'); suffix != name.npos)
      addTo(interpreter, name.substr(0, suffix), *sum);
  return success();
}

} // namespace hadal::tools
