// SPDX-License-Identifier: Apache-2.0
//
// Reverse mode over one component: its body and its whole gradient in one scratch function, which
// Partition cuts apart.

#ifndef HADAL_PASSES_DIFFERENTIATE_COMPONENTGRADIENT_H
#define HADAL_PASSES_DIFFERENTIATE_COMPONENTGRADIENT_H

#include "passes/Differentiate/Passes.h"

namespace hadal {

/// What an argument of the scratch function stands for.
struct ScratchArgument {
  enum class Kind {
    Input,          ///< the component's data; `index` is its argument
    Bound,          ///< the component's bound argument `index`
    ResultGradient, ///< the gradient of result `index`
    Seed,           ///< the scalar that seeds the loss that is result `index`
    Accumulator     ///< the gradient accumulator of weight `index`
  };
  Kind kind;
  unsigned index;
  BindingAttr binding; ///< null for Input and ResultGradient

  bool isBound() const { return binding != nullptr; }
};

struct ComponentGradient {
  mlir::func::FuncOp component;
  /// The component's body, then the ops of the gradient, then its return. It stands in no module.
  mlir::OwningOpRef<mlir::func::FuncOp> scratch;
  llvm::SmallVector<ScratchArgument> arguments;
  llvm::SmallPtrSet<mlir::Operation *, 32> gradientOps;
  llvm::SmallVector<mlir::Value> results; ///< of the component, in the scratch function
  /// An entry per argument of the component; null where there is no gradient.
  llvm::SmallVector<mlir::Value> inputGradients;
  /// New values of the accumulators, in the order of the weights.
  llvm::SmallVector<mlir::Value> accumulators;

  const ScratchArgument *argument(mlir::Value value) const {
    auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
    return argument ? &arguments[argument.getArgNumber()] : nullptr;
  }
  mlir::Block &body() const { return scratch.get().getBody().front(); }
};

/// Builds the gradient of `component`, given which of its results have a gradient (losses have
/// their seed besides) and for which of its arguments one is wanted.
llvm::FailureOr<ComponentGradient> differentiate(mlir::func::FuncOp component,
                                                 const llvm::BitVector &resultGradients,
                                                 const llvm::BitVector &wantedInputs);

/// The seed of result `result` of a component; empty where it is no loss.
llvm::StringRef lossSeed(mlir::func::FuncOp component, unsigned result);

/// Whether a value of this type can have a gradient.
bool isDifferentiable(mlir::Type type);

/// Name of the accumulator of weight `name` in `component`: the embedding's in an MTP depth is one
/// of its own.
std::string accumulatorName(mlir::func::FuncOp component, llvm::StringRef name);

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_COMPONENTGRADIENT_H
