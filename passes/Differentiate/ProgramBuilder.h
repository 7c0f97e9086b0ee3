// SPDX-License-Identifier: Apache-2.0
//
// Writes components of a few ops and programs that apply components.

#ifndef HADAL_PASSES_DIFFERENTIATE_PROGRAMBUILDER_H
#define HADAL_PASSES_DIFFERENTIATE_PROGRAMBUILDER_H

#include "passes/Differentiate/Passes.h"

#include "mlir/IR/IRMapping.h"

namespace hadal {

/// An argument of a component that is to be written.
struct ArgumentSpec {
  mlir::Type type;
  BindingAttr binding; ///< null: data
};

/// Names a shape in a function's name: tensor<4x256xf32> gives 4x256, a scalar `scalar`.
std::string shapeName(mlir::Type type);

class ProgramBuilder {
public:
  /// Begins the program `name` behind `position`, with data arguments of `types`.
  ProgramBuilder(llvm::StringRef name, mlir::Operation *position, mlir::TypeRange types);

  mlir::func::FuncOp program() { return function; }
  mlir::MLIRContext *context() { return builder.getContext(); }

  BindingAttr binding(BindingKind kind, llvm::StringRef name) {
    return BindingAttr::get(context(), kind, name);
  }

  /// The component `name`; where there is none, it is written before the program: `body` gets a
  /// builder and the arguments and gives the results.
  mlir::func::FuncOp component(
      llvm::StringRef name, PhaseKind phase, llvm::ArrayRef<ArgumentSpec> arguments,
      llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::OpBuilder &, mlir::ValueRange)> body);

  /// Applies a component; layer and parameter are left out where no binding of it names them.
  ApplyOp apply(mlir::func::FuncOp component, mlir::ValueRange operands,
                mlir::IntegerAttr layer = {}, mlir::StringAttr parameter = {});
  ApplyOp applyToParameter(mlir::func::FuncOp component, mlir::ValueRange operands,
                           llvm::StringRef name) {
    return apply(component, operands, {}, builder.getStringAttr(name));
  }
  ApplyOp applyToLayer(mlir::func::FuncOp component, mlir::ValueRange operands, int64_t layer) {
    return apply(component, operands, builder.getI64IntegerAttr(layer));
  }

  /// A copy of an exchange.
  ExchangeOp exchange(ExchangeOp like, mlir::IRMapping &mapping);
  /// The exchange that takes `gradients` of what `forward` moved (all or some) back, by its layout
  /// and counts, found by `lookup`.
  llvm::SmallVector<mlir::Value> moveBack(ExchangeOp forward, mlir::ValueRange gradients,
                                          llvm::function_ref<mlir::Value(mlir::Value)> lookup);

  void output(llvm::StringRef name, mlir::Value value);
  void finish();

private:
  mlir::OpBuilder builder;
  mlir::func::FuncOp function;
};

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_PROGRAMBUILDER_H
