// SPDX-License-Identifier: Apache-2.0
//
// The reference interpreter of the hadal dialect: plain loops, one rule an op, f64 unless f32 is
// asked for. It judges every pass and every generated kernel.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_INTERPRETER_H
#define HADAL_DIALECTS_HADAL_REFERENCE_INTERPRETER_H

#include "dialects/Hadal/Reference/Rules.h"
#include "dialects/Hadal/Reference/Store.h"

namespace hadal::reference {

class Interpreter {
public:
  using Values = std::vector<TensorPtr>;

  /// `module` must live as long as the interpreter.
  explicit Interpreter(mlir::ModuleOp module, Precision precision = Precision::F64)
      : module(module), precision(precision), symbols(module) {}

  /// What bound arguments are bound to; calls change it where a component updates an argument.
  Store store;
  /// What hadal.output named since the last clear().
  std::map<std::string, TensorPtr> outputs;

  /// Calls a function by name. `arguments`: its arguments that have no binding, in order. Bound
  /// ones come from the store; results that update a bound argument go back into it. Failure after
  /// an error on the op or function that is to blame.
  llvm::FailureOr<Values> call(llvm::StringRef function, const Values &arguments);

  /// A value as an f32 element keeps it.
  double rounded(double value) const {
    return precision == Precision::F32 ? double(float(value)) : value;
  }

  /// Executes one op of a program or component.
  llvm::LogicalResult execute(mlir::Operation *op, Frame &frame);

private:
  /// Calls a function as `apply` does (null: as it is): its layer and parameter say what is bound.
  llvm::FailureOr<Values> call(mlir::func::FuncOp function, const Values &arguments, ApplyOp apply);
  /// The tensor that an argument is bound to; null after an error.
  TensorPtr bound(mlir::func::FuncOp function, unsigned argument, const std::string &name);
  void writeBack(mlir::func::FuncOp function, const Values &results, ApplyOp apply);
  /// Executes a block; the operands of its terminator.
  llvm::FailureOr<Values> run(mlir::Block &block, Frame &frame);
  llvm::LogicalResult apply(ApplyOp op, Frame &frame);
  llvm::LogicalResult kernel(KernelOp op, Frame &frame);

  mlir::ModuleOp module;
  Precision precision;
  mlir::SymbolTable symbols;
};

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_INTERPRETER_H
