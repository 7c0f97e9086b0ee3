// SPDX-License-Identifier: Apache-2.0
//
// From the plan to a pipe.schedule.

#include "frontend/BuildModel.h"
#include "passes/Schedule/Passes.h"
#include "passes/Schedule/ProgramBuilder.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_DEF_CREATESCHEDULEPASS
#include "passes/Schedule/Passes.h.inc"

namespace {

struct CreateSchedulePass : impl::CreateSchedulePassBase<CreateSchedulePass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto program = module.lookupSymbol<func::FuncOp>(pipe::kGradientsProgram);
    if (!program || llvm::any_of(module.getOps<pipe::ScheduleOp>(), [](pipe::ScheduleOp schedule) {
          return schedule.getProgram() == pipe::kGradientsProgram;
        }))
      return;
    FailureOr<Plan> plan = planOf(module);
    if (failed(plan))
      return signalPassFailure();
    OpBuilder builder(program);
    pipe::ScheduleOp::create(builder, program.getLoc(), "training", pipe::kGradientsProgram,
                             name(plan->schedule), plan->pipelineRanks, plan->microBatchCount(),
                             /*order=*/nullptr, plan->dataParallel, plan->expertParallel,
                             name(plan->overlap));
  }

private:
  static FailureOr<Plan> planOf(ModuleOp module) {
    auto spec = module->getAttrOfType<StringAttr>(kSpecAttr);
    auto plan = module->getAttrOfType<StringAttr>(kPlanAttr);
    if (!spec || !plan)
      return module.emitError("expects the attributes ") << kSpecAttr << " and " << kPlanAttr;
    Checked<ModelSpec> model = parseModelSpec(spec.str(), kSpecAttr.str());
    if (!model)
      return module.emitError(model.error().message());
    Checked<Plan> parsed = usablePlan(plan.str(), kPlanAttr.str(), *model, purposeOf(module));
    if (!parsed)
      return module.emitError(parsed.error().message());
    return *parsed;
  }
};

} // namespace

} // namespace hadal
