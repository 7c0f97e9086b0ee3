// SPDX-License-Identifier: Apache-2.0
//
// See Pipelines.h.

#include "passes/Pipelines/Pipelines.h"

#include "codegen/Cpu/Passes.h"
#include "passes/Differentiate/Passes.h"
#include "passes/Fuse/Passes.h"
#include "passes/Memory/Passes.h"
#include "passes/Partition/Passes.h"
#include "passes/Quantize/Passes.h"
#include "passes/Schedule/Passes.h"

#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace hadal {

#define GEN_PASS_REGISTRATION
#include "passes/Pipelines/Passes.h.inc"

SmallVector<PipelinePhase> hadalPhases() { return hadalPhases(HadalPipelineOptions()); }

SmallVector<PipelinePhase> hadalPhases(const HadalPipelineOptions &options) {
  const int64_t redZone = options.redZone;
  const bool early = options.earlyWeightGradients;
  return {
      {"partition", [](OpPassManager &manager) { manager.addPass(createPartitionExpertsPass()); }},
      {"differentiate",
       [](OpPassManager &manager) {
         manager.addPass(createHadalDifferentiate());
         manager.addPass(createHadalBuildUpdate());
       }},
      {"absorb", [](OpPassManager &manager) { manager.addPass(createAbsorbProjectionsPass()); }},
      {"fuse",
       [](OpPassManager &manager) {
         manager.addPass(createDecomposePass());
         manager.addPass(createRowClassesPass());
         manager.addPass(createFusePass());
       }},
      {"schedule",
       [early](OpPassManager &manager) {
         manager.addPass(createPartitionStagesPass());
         manager.addPass(createCreateSchedulePass());
         manager.addPass(createOneF1BPass());
         manager.addPass(createZb1pPass());
         manager.addPass(createDualPipePass());
         manager.addPass(createDualPipeVPass());
         manager.addPass(createExpandProgramsPass({early}));
       }},
      {"quantize", [](OpPassManager &manager) { manager.addPass(createQuantizePass()); }},
      {"memory",
       [redZone](OpPassManager &manager) {
         manager.addPass(createPlanFramesPass({redZone}));
         manager.addPass(createPlanArenasPass({redZone}));
       }},
      {"codegen", [](OpPassManager &manager) { manager.addPass(createCpuKernelsPass()); }, true},
  };
}

static void buildPipeline(OpPassManager &manager, const HadalPipelineOptions &options) {
  for (const PipelinePhase &phase : hadalPhases(options))
    phase.build(manager);
}

/// The pipeline for those of the module's programs that are among `programs`.
static void buildRestricted(OpPassManager &manager, const HadalPipelineOptions &options,
                            ArrayRef<const char *> programs) {
  SelectProgramsPassOptions selection;
  selection.programs.assign(programs.begin(), programs.end());
  manager.addPass(createSelectProgramsPass(selection));
  buildPipeline(manager, options);
}

void registerHadalPasses() {
  registerHadalDifferentiatePasses();
  registerHadalFusePasses();
  registerHadalPartitionPasses();
  registerHadalSchedulePasses();
  registerHadalQuantizePasses();
  registerHadalMemoryPasses();
  registerHadalCpuPasses();
  registerHadalPipelinesPasses();
  PassPipelineRegistration<HadalPipelineOptions>(
      "hadal-pipeline", "from an imported module to one that can be exported", buildPipeline);
  PassPipelineRegistration<HadalPipelineOptions>(
      "hadal-training-pipeline", "the same without the programs that generate",
      [](OpPassManager &manager, const HadalPipelineOptions &options) {
        buildRestricted(manager, options, {"train", "evaluate"});
      });
  PassPipelineRegistration<HadalPipelineOptions>(
      "hadal-inference-pipeline", "the same without the programs that train",
      [](OpPassManager &manager, const HadalPipelineOptions &options) {
        buildRestricted(manager, options, {"generate", "evaluate"});
      });
}

} // namespace hadal
