// SPDX-License-Identifier: Apache-2.0
//
// Functions of the hadal dialect as text, called on tensors by the reference interpreter.

#ifndef HADAL_TEST_UNIT_DIALECTS_TESTFUNCTION_H
#define HADAL_TEST_UNIT_DIALECTS_TESTFUNCTION_H

#include "dialects/Hadal/Reference/Interpreter.h"

#include "mlir/IR/OwningOpRef.h"

#include <random>

namespace hadal::reference {

/// Tensors from values in row-major order.
TensorPtr reals(Shape shape, std::vector<double> values);
TensorPtr integers(Shape shape, std::vector<int64_t> values);
TensorPtr scalar(double value);
TensorPtr integerScalar(int64_t value);
/// Values drawn from [low, high].
TensorPtr randomReals(Shape shape, double low, double high, std::mt19937 &random);
TensorPtr randomIntegers(Shape shape, int64_t low, int64_t high, std::mt19937 &random);

/// Where the rows of each token go, drawn at random: what hadal.sort_by_expert gives.
struct Routed {
  TensorPtr experts, counts, offsets, source, slot;
};
/// Experts from `excluded` on get no rows.
Routed randomRouting(int64_t sequences, int64_t tokens, int64_t topK, int64_t experts,
                     int64_t excluded, std::mt19937 &random);

/// The largest difference of two tensors of one shape; infinity for other shapes.
double distance(const Tensor &a, const Tensor &b);

/// A parsed module; a test fails where the text is refused.
class TestModule {
public:
  explicit TestModule(const std::string &text);

  mlir::ModuleOp operator*() { return *module; }
  mlir::func::FuncOp function(llvm::StringRef name) {
    return module->lookupSymbol<mlir::func::FuncOp>(name);
  }
  /// Calls @name; no results after an error, which lastError() tells.
  Interpreter::Values call(llvm::StringRef name, const Interpreter::Values &arguments,
                           Precision precision = Precision::F64);
  Interpreter::Values call(Interpreter &interpreter, llvm::StringRef name,
                           const Interpreter::Values &arguments);
  const std::string &lastError() const { return error; }

private:
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string error;
};

/// Calls the only function of a text, @f.
Interpreter::Values callText(const std::string &text, const Interpreter::Values &arguments,
                             Precision precision = Precision::F64);

} // namespace hadal::reference

#endif // HADAL_TEST_UNIT_DIALECTS_TESTFUNCTION_H
