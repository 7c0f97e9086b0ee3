// SPDX-License-Identifier: Apache-2.0
//
// How the reference interpreter executes one op: a rule reads operands from a frame and sets the
// results. A rule is an overload `interpret(Real, Op, Frame &)`, written once for both precisions.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_RULES_H
#define HADAL_DIALECTS_HADAL_REFERENCE_RULES_H

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/Reference/Tensor.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace hadal::reference {

/// The arithmetic of f32 values. F32: computed in f32, and every stored element is an f32. Values
/// of type f64 (losses, norms) are f64 in both.
enum class Precision { F64, F32 };

/// The shape of a ranked tensor type, or of a scaled matrix.
Shape shapeOf(mlir::Type type);
/// Zeros of a tensor type or a scaled type.
Tensor zerosOf(mlir::Type type);

/// The values of one call of a function.
class Frame {
public:
  explicit Frame(Precision precision) : precision(precision) {}

  const TensorPtr &get(mlir::Value value) const { return values.find(value)->second; }
  void set(mlir::Value value, TensorPtr tensor) { values[value] = std::move(tensor); }

  /// An operand's elements. Frames hold every operand of an op that runs.
  template <typename T> Array<T> read(mlir::Value value) const {
    const Tensor &tensor = *get(value);
    Array<T> out;
    out.shape = tensor.shape;
    if (tensor.isInteger)
      out.data.assign(tensor.integers.begin(), tensor.integers.end());
    else
      out.data.assign(tensor.reals.begin(), tensor.reals.end());
    return out;
  }
  /// The same as [rows, features].
  template <typename T> Array<T> rows(mlir::Value value) const { return read<T>(value).rows(); }
  /// An operand of rank 0.
  template <typename T> T scalar(mlir::Value value) const { return read<T>(value).data.front(); }
  Array<int64_t> ids(mlir::Value value) const { return read<int64_t>(value); }

  /// Zeros in the shape of a result; `zeroRows`: as [rows, features].
  template <typename T> Array<T> zeros(mlir::Value result) const {
    return Array<T>(shapeOf(result.getType()));
  }
  template <typename T> Array<T> zeroRows(mlir::Value result) const {
    return zeros<T>(result).rows();
  }

  /// Sets a result, in the shape and element type that the IR gives it.
  void set(mlir::Value result, const Array<double> &array) { store(result, array.data); }
  void set(mlir::Value result, const Array<float> &array) {
    store(result, std::vector<double>(array.data.begin(), array.data.end()));
  }
  void set(mlir::Value result, const Array<int64_t> &array);

  /// Reports that an op cannot run on these values; the call ends behind it.
  void refuse(mlir::Operation *op, const llvm::Twine &message);
  bool refused() const { return hasRefused; }
  /// Refuses where an element lies outside [0, limit): an index that would leave its tensor.
  bool checkIndices(mlir::Operation *op, llvm::StringRef what, const Array<int64_t> &indices,
                    int64_t limit);

  const Precision precision;

private:
  void store(mlir::Value result, std::vector<double> values);

  llvm::DenseMap<mlir::Value, TensorPtr> values;
  bool hasRefused = false;
};

/// The rules, by the name of the op.
class RuleTable {
public:
  /// Takes in the rules of these ops: overloads of `interpret` in the caller's file.
  template <typename... Ops> void add() {
    (rules.try_emplace(Ops::getOperationName(), &run<Ops>), ...);
  }
  bool has(llvm::StringRef op) const { return rules.contains(op); }
  /// Executes an op; an op without a rule is an error that names it.
  void execute(mlir::Operation *op, Frame &frame) const;

  /// All rules there are.
  static const RuleTable &get();

private:
  using Rule = void (*)(mlir::Operation *, Frame &);
  template <typename OpTy> static void run(mlir::Operation *op, Frame &frame) {
    if (frame.precision == Precision::F64)
      interpret(double(), llvm::cast<OpTy>(op), frame);
    else
      interpret(float(), llvm::cast<OpTy>(op), frame);
  }

  llvm::StringMap<Rule> rules;
};

void addAttentionRules(RuleTable &table);
void addCacheRules(RuleTable &table);
void addExchangeRules(RuleTable &table);
void addExpertRules(RuleTable &table);
void addLayerRules(RuleTable &table);
void addLayerGradientRules(RuleTable &table);
void addLossRules(RuleTable &table);
void addMultiTokenRules(RuleTable &table);
void addOptimizerRules(RuleTable &table);
void addRoutingRules(RuleTable &table);
void addScaledRules(RuleTable &table);

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_RULES_H
