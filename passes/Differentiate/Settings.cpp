// SPDX-License-Identifier: Apache-2.0
//
// See Settings.h.

#include "passes/Differentiate/Settings.h"

using namespace mlir;

namespace hadal {

FailureOr<Settings> readSettings(ModuleOp module) {
  auto specText = module->getAttrOfType<StringAttr>(kSpecAttr);
  auto planText = module->getAttrOfType<StringAttr>(kPlanAttr);
  if (!specText || !planText)
    return module.emitError() << "expected the module attributes " << kSpecAttr << " and "
                              << kPlanAttr << " (texts of config.json and plan.json), found "
                              << (specText   ? "no plan"
                                  : planText ? "no spec"
                                             : "neither");
  Checked<ModelSpec> spec = parseModelSpec(specText.str(), "config.json");
  if (!spec)
    return module.emitError(spec.error().message()), failure();
  Checked<Plan> plan = usablePlan(planText.str(), "plan.json", *spec, purposeOf(module));
  if (!plan)
    return module.emitError(plan.error().message()), failure();
  return Settings{std::move(*spec), std::move(*plan)};
}

bool wantsProgram(ModuleOp module, StringRef program) {
  auto programs = module->getAttrOfType<ArrayAttr>(kProgramsAttr);
  if (!programs)
    return true;
  return llvm::any_of(programs.getAsRange<StringAttr>(),
                      [&](StringAttr name) { return name.getValue() == program; });
}

} // namespace hadal
