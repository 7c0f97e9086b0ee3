// SPDX-License-Identifier: Apache-2.0
//
// The way of a module through the compiler, as phases and as registered pipelines.

#ifndef HADAL_PASSES_PIPELINES_PIPELINES_H
#define HADAL_PASSES_PIPELINES_PIPELINES_H

#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

#include <functional>

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Pipelines/Passes.h.inc"

/// Options of all pipelines.
struct HadalPipelineOptions : mlir::PassPipelineOptions<HadalPipelineOptions> {
  Option<int64_t> redZone{*this, "red-zone", llvm::cl::init(0),
                          llvm::cl::desc("bytes left free behind each buffer")};
  Option<bool> earlyWeightGradients{
      *this, "early-weight-gradients", llvm::cl::init(true),
      llvm::cl::desc("weight gradients as soon as what they need is there")};
};

/// One phase between import and export.
struct PipelinePhase {
  llvm::StringRef name;
  std::function<void(mlir::OpPassManager &)> build;
  bool makesCode = false; ///< whether it makes the kernels' code (and --dry-run ends before it)
};

/// partition, differentiate, absorb, fuse, schedule, memory, codegen.
llvm::SmallVector<PipelinePhase> hadalPhases();
llvm::SmallVector<PipelinePhase> hadalPhases(const HadalPipelineOptions &options);

/// Registers every pass of Hadal, and the pipelines hadal-pipeline (all phases),
/// hadal-training-pipeline and hadal-inference-pipeline (the same for a part of the module's
/// programs).
void registerHadalPasses();

} // namespace hadal

#endif // HADAL_PASSES_PIPELINES_PIPELINES_H
