// SPDX-License-Identifier: Apache-2.0
//
// Checks of operand shapes and attributes, for type inference. The first failure is reported, with
// operand, expectation and what was found; after it every question has a harmless answer, so that a
// check reads straight down.

#ifndef HADAL_DIALECTS_HADAL_SHAPECHECK_H
#define HADAL_DIALECTS_HADAL_SHAPECHECK_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpDefinition.h"

#include <optional>

namespace hadal {

/// A tensor operand under check: its name in messages and its static shape.
struct CheckedTensor {
  llvm::StringRef name;
  llvm::SmallVector<int64_t, 4> shape;
  mlir::Type type;

  int64_t rank() const { return shape.size(); }
  /// Size of a dimension, counted from the end where negative; 1 where there is none.
  int64_t dim(int64_t index) const;
  int64_t last() const { return dim(-1); }
  /// All dimensions but the last.
  llvm::ArrayRef<int64_t> leading() const;
  /// The leading dimensions and another last one.
  llvm::SmallVector<int64_t, 4> withLast(int64_t size) const;
  int64_t elements() const;
};

class ShapeCheck {
public:
  static constexpr int64_t kAnyRank = -1;

  ShapeCheck(mlir::MLIRContext *context, std::optional<mlir::Location> location, llvm::StringRef op)
      : builder(context), location(location), op(op) {}

  bool ok() const { return !broken; }
  /// Reports `expected MESSAGE` unless it holds.
  bool require(bool holds, const llvm::Twine &message);

  /// A tensor with static, positive sizes; of `rank` dimensions, or of at least one.
  CheckedTensor tensor(llvm::StringRef name, mlir::Value value, int64_t rank = kAnyRank);
  /// Dimension `index` is `size`, which is `what`.
  void size(const CheckedTensor &tensor, int64_t index, int64_t size, llvm::StringRef what);
  void shape(const CheckedTensor &tensor, llvm::ArrayRef<int64_t> expected);
  void leading(const CheckedTensor &tensor, const CheckedTensor &like);
  void sameType(const CheckedTensor &tensor, const CheckedTensor &like);
  /// The value, or 1 after a failure.
  int64_t positive(llvm::StringRef name, int64_t value);
  /// The value, positive and below `whole`, which is `what`; 1 after a failure.
  int64_t part(llvm::StringRef name, int64_t value, int64_t whole, llvm::StringRef what);
  void notNegative(llvm::StringRef name, const llvm::APFloat &value);
  /// The last dimension over `parts` (positive), which must divide it.
  int64_t quotient(const CheckedTensor &tensor, llvm::StringRef name, int64_t parts);

  mlir::Type f32(llvm::ArrayRef<int64_t> shape) { return result(shape, builder.getF32Type()); }
  mlir::Type f64(llvm::ArrayRef<int64_t> shape) { return result(shape, builder.getF64Type()); }
  mlir::Type i32(llvm::ArrayRef<int64_t> shape) { return result(shape, builder.getI32Type()); }
  mlir::Type i64(llvm::ArrayRef<int64_t> shape) { return result(shape, builder.getI64Type()); }
  mlir::Type result(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// The inferred types, if nothing failed.
  mlir::LogicalResult infer(llvm::SmallVectorImpl<mlir::Type> &types,
                            llvm::ArrayRef<mlir::Type> inferred);

private:
  mlir::Builder builder;
  std::optional<mlir::Location> location;
  llvm::StringRef op;
  bool broken = false;
};

/// Type inference with complete attributes: a parser's attributes lie in the dictionary and not yet
/// in the properties, and may be missing or of another type.
template <typename OpTy>
mlir::LogicalResult inferWithAttributes(mlir::MLIRContext *context,
                                        std::optional<mlir::Location> location,
                                        mlir::ValueRange operands, mlir::DictionaryAttr attributes,
                                        mlir::OpaqueProperties raw, mlir::RegionRange regions,
                                        llvm::SmallVectorImpl<mlir::Type> &types) {
  using Properties = typename OpTy::Properties;
  Properties properties = raw ? *raw.as<Properties *>() : Properties();
  mlir::Location place = location.value_or(mlir::UnknownLoc::get(context));
  if constexpr (!std::is_same_v<Properties, mlir::EmptyProperties>) {
    auto report = [&] {
      return mlir::emitError(place) << "'" << OpTy::getOperationName() << "' op ";
    };
    if (attributes && failed(OpTy::setPropertiesFromAttr(properties, attributes, report)))
      return mlir::failure();
  }
  typename OpTy::Adaptor adaptor(operands, attributes, properties, regions);
  if (failed(adaptor.verify(place)))
    return mlir::failure();
  return OpTy::inferReturnTypes(context, location, adaptor, types);
}

} // namespace hadal

#endif // HADAL_DIALECTS_HADAL_SHAPECHECK_H
