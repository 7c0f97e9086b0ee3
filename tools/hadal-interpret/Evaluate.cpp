// SPDX-License-Identifier: Apache-2.0
//
// See Evaluate.h.

#include "tools/hadal-interpret/Evaluate.h"

#include "passes/Differentiate/Passes.h"
#include "runtime/support/Error.h"
#include "tools/hadal-interpret/Outputs.h"
#include "tools/support/CommandLine.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;
using hadal::reference::Group;
using hadal::reference::Store;

namespace hadal::tools {

namespace {

/// Why a module without the program cannot be interpreted.
int refuseModule(ModuleOp module, const std::string &file) {
  bool scheduled = llvm::any_of(
      module.getOps(), [](Operation &op) { return op.getName().getDialectNamespace() == "pipe"; });
  return refuse(file + (scheduled ? ": is scheduled; hadal-interpret takes modules up to the "
                                    "phase fuse"
                                  : ": has no program @evaluate"));
}

/// How many ranks share the experts of a module: one where no rows are exchanged.
int64_t membersOf(ModuleOp module, const ModelInputs &inputs, const std::string &file) {
  ExchangeOp exchange;
  module.walk([&](ExchangeOp op) { exchange = op; });
  int64_t members = exchange ? int64_t(exchange.getMembers()) : 1;
  if (exchange && members != inputs.plan.expertParallel)
    throw rt::InputError(file, "exchanges rows between " + std::to_string(members) +
                                   " members; hadal.plan says expert_parallel " +
                                   std::to_string(inputs.plan.expertParallel));
  return members;
}

/// Runs @evaluate on all micro-batches, those of a group's members together.
LogicalResult runEvaluate(Group &group, const StepRows &rows, Outputs &outputs) {
  for (int64_t m = 0; m < rows.microBatches(); ++m)
    for (int64_t replica = 0; replica < rows.replicas(); replica += group.size()) {
      for (int64_t member = 0; member < group.size(); ++member) {
        group[member].store.take(BindingKind::State); // counts are those of one micro-batch
        group[member].outputs.clear();
      }
      if (failed(group.call("evaluate", rows.microBatch(m, replica, group.size()))))
        return failure();
      for (int64_t member = 0; member < group.size(); ++member)
        outputs.add(group[member].outputs);
    }
  return success();
}

/// Runs @gradients, made first where the module has none.
LogicalResult runGradients(ModuleOp module, int64_t members, const ModelInputs &inputs,
                           const Store &weights, const StepRows &rows,
                           reference::Precision precision, Outputs &outputs) {
  OwningOpRef<ModuleOp> differentiated = module.clone();
  PassManager passes(module.getContext());
  passes.addPass(createHadalDifferentiate());
  if (!module.lookupSymbol("gradients") && failed(passes.run(*differentiated)))
    return failure();
  Group group(*differentiated, members, inputs.spec.numRoutedExperts, precision);
  inputs.share(weights, group);
  FailureOr<Gradients> gradients = computeGradients(*differentiated, group, inputs, rows);
  if (succeeded(gradients))
    outputs.addGradients(inputs.spec, *gradients);
  return success(succeeded(gradients));
}

} // namespace

int evaluate(ModuleOp module, const EvaluateFlags &flags) {
  if (!module.lookupSymbol<func::FuncOp>("evaluate"))
    return refuseModule(module, flags.model);
  ModelInputs inputs(module, flags.model);
  const int64_t members = membersOf(module, inputs, flags.model);
  StepRows rows(inputs, rt::readTokenTable(flags.tokens, inputs.spec.vocabSize), flags.tokens);
  Store weights;
  inputs.loadWeights(flags.weights, weights);
  inputs.makeRotaryTables(module, weights);
  inputs.setSeeds(weights);

  Outputs outputs;
  Group group(module, members, inputs.spec.numRoutedExperts, flags.precision);
  inputs.share(weights, group);
  if (failed(runEvaluate(group, rows, outputs)))
    return Refused;
  outputs.finish(inputs);
  if (flags.gradients &&
      failed(runGradients(module, members, inputs, weights, rows, flags.precision, outputs)))
    return Refused;
  writeTensors(flags.out, outputs.tensors);
  return Done;
}

} // namespace hadal::tools
