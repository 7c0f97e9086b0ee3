// SPDX-License-Identifier: Apache-2.0
//
// The program @gradients: forward pass, then B and W of what it applied, for one micro-batch.

#ifndef HADAL_PASSES_DIFFERENTIATE_GRADIENTSPROGRAM_H
#define HADAL_PASSES_DIFFERENTIATE_GRADIENTSPROGRAM_H

#include "passes/Differentiate/SplitComponent.h"

namespace hadal {

/// A component of the forward program, differentiated.
struct TrainedComponent {
  mlir::func::FuncOp component;
  llvm::BitVector wantedInputs;    ///< arguments that are data and depend on a weight
  llvm::BitVector usedResults;     ///< read by other components, losses, updated state
  llvm::BitVector resultGradients; ///< results that gradients reach
  bool reached = false;            ///< by the walk backwards
  ComponentGradient gradient;
  SplitComponent split;
};

/// The applications and exchanges of a forward program, and its components.
class ForwardProgram {
public:
  explicit ForwardProgram(mlir::func::FuncOp program) : program(program) {}

  /// Finds the components and differentiates them: forwards what depends on weights, backwards
  /// where gradients come.
  mlir::LogicalResult analyse();

  mlir::func::FuncOp program;
  llvm::SmallVector<ApplyOp> applications;
  llvm::SmallVector<mlir::Operation *> steps; ///< applications and exchanges
  llvm::SmallVector<std::unique_ptr<TrainedComponent>>
      components; ///< in the order of the first application
  llvm::DenseMap<mlir::Operation *, TrainedComponent *> componentOf;

  TrainedComponent &of(ApplyOp apply) { return *componentOf.lookup(apply); }
  bool dependsOnWeights(mlir::Value value) const { return varied.contains(value); }

private:
  mlir::LogicalResult collect();
  mlir::LogicalResult collect(ApplyOp apply);
  void findDependence();
  mlir::LogicalResult walkBackwards();
  mlir::LogicalResult walkBackwards(ApplyOp apply, llvm::DenseSet<mlir::Value> &reached);

  llvm::DenseSet<mlir::Value> varied;
  llvm::DenseMap<mlir::Operation *, TrainedComponent *> known;
};

/// The component's argument that operand `operand` of an application is.
unsigned argumentOfOperand(mlir::func::FuncOp component, unsigned operand);

/// Whether a result of a component is a loss or an updated state, which a training program gives
/// out.
bool isTrainingOutput(mlir::func::FuncOp component, unsigned result);

/// Writes @gradients behind the forward program, once its components are split.
mlir::LogicalResult buildGradientsProgram(ForwardProgram &forward);

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_GRADIENTSPROGRAM_H
