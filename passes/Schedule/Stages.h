// SPDX-License-Identifier: Apache-2.0
//
// A straight-line program cut into stages: what each does with one micro-batch, by phase, and what
// crosses the borders between them.

#ifndef HADAL_PASSES_SCHEDULE_STAGES_H
#define HADAL_PASSES_SCHEDULE_STAGES_H

#include "passes/Schedule/Components.h"

namespace hadal::pipe {

/// Steps are applications and exchanges.
using Steps = llvm::SmallVector<mlir::Operation *>;

struct Stage {
  Steps forward, backward, weights;
  Steps both; ///< backward and weights in the order of a chunk that has both
  llvm::SmallVector<OutputOp> outputs;
  /// What it gets from the stage before, and the gradient it gives back for it.
  mlir::Value input, inputGradient;
};

class Stages {
public:
  /// `phases`: split by phase; otherwise everything is `forward`. `early`: weight gradients as soon
  /// as what they need is there. Reports steps without a stage (where there are several) and values
  /// that cross a border beside the one each way.
  static llvm::FailureOr<Stages> of(mlir::func::FuncOp program, int64_t count,
                                    Components &components, bool phases, bool early);

  size_t size() const { return stages.size(); }
  const Stage &operator[](int64_t stage) const { return stages[size_t(stage)]; }
  /// Whether a value is sent to another stage.
  bool crosses(mlir::Value value) const { return sent.contains(value); }

private:
  llvm::LogicalResult add(mlir::Operation *step, Components &components, bool phases);
  llvm::LogicalResult findBorders(mlir::Operation *step);
  static Steps interleave(const Stage &stage, Components &components);

  std::vector<Stage> stages;
  llvm::DenseMap<mlir::Operation *, int64_t> stageOf;
  llvm::DenseSet<mlir::Value> sent;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_STAGES_H
