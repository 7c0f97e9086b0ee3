// SPDX-License-Identifier: Apache-2.0
//
// The functions of a component in training: F, B and W, written from a partition of its gradient.

#ifndef HADAL_PASSES_DIFFERENTIATE_SPLITCOMPONENT_H
#define HADAL_PASSES_DIFFERENTIATE_SPLITCOMPONENT_H

#include "passes/Differentiate/Partition.h"

namespace hadal {

/// Where a value that B or W takes, or that is the gradient of an input, comes from.
struct Source {
  enum class Kind {
    None,
    Input,          ///< the component's argument `index`
    Forward,        ///< result `index` of F
    ResultGradient, ///< the gradient of the component's result `index`
    Backward        ///< result `index` of B
  };
  Kind kind = Kind::None;
  unsigned index = 0;
};

struct SplitComponent {
  mlir::func::FuncOp forward, backward, weights; ///< B and W are null where there is nothing to do
  /// The component's results in the order of F's (saved values follow them).
  llvm::SmallVector<unsigned> keptResults;
  llvm::SmallVector<Source> backwardOperands, weightOperands; ///< of the applications
  llvm::SmallVector<Source> inputGradients;                   ///< an entry per argument
  unsigned recomputed = 0;
  int64_t savedBytes = 0, stashBytes = 0;
};

/// Writes F, B and W behind the component. `usedResults`: what the training program reads of its
/// results.
llvm::FailureOr<SplitComponent> splitComponent(ComponentGradient &gradient,
                                               const Partition &partition,
                                               const llvm::BitVector &usedResults);

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_SPLITCOMPONENT_H
