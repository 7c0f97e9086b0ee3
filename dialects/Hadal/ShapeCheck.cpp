// SPDX-License-Identifier: Apache-2.0
//
// Checks of operand shapes and attributes.

#include "dialects/Hadal/ShapeCheck.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal {

/// Elements of the largest tensor: products of sizes, and bytes, then fit 64 bits.
static constexpr int64_t kMaxElements = int64_t(1) << 57;

static std::string text(ArrayRef<int64_t> shape) {
  return "[" +
         llvm::join(llvm::map_range(shape, [](int64_t size) { return std::to_string(size); }),
                    ", ") +
         "]";
}

static bool fits(ArrayRef<int64_t> shape) {
  int64_t elements = 1;
  for (int64_t size : shape)
    if (size <= 0 || llvm::MulOverflow(elements, size, elements) || elements > kMaxElements)
      return false;
  return true;
}

int64_t CheckedTensor::dim(int64_t index) const {
  int64_t at = index < 0 ? rank() + index : index;
  return at < 0 || at >= rank() ? 1 : shape[at];
}

ArrayRef<int64_t> CheckedTensor::leading() const {
  return ArrayRef<int64_t>(shape).drop_back(shape.empty() ? 0 : 1);
}

SmallVector<int64_t, 4> CheckedTensor::withLast(int64_t size) const {
  SmallVector<int64_t, 4> result(leading());
  result.push_back(size);
  return result;
}

int64_t CheckedTensor::elements() const {
  int64_t elements = 1;
  for (int64_t size : shape)
    elements *= size;
  return elements;
}

bool ShapeCheck::require(bool holds, const llvm::Twine &message) {
  if (!holds && !broken)
    (void)emitOptionalError(location, "'", op, "' op expected ", message);
  broken |= !holds;
  return ok();
}

CheckedTensor ShapeCheck::tensor(StringRef name, Value value, int64_t rank) {
  CheckedTensor result{name, {}, value.getType()};
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!require(static_cast<bool>(type), "'" + name + "' to be a ranked tensor"))
    return result;
  if (rank == kAnyRank)
    require(type.getRank() > 0, "'" + name + "' to have at least one dimension, found rank 0");
  else
    require(type.getRank() == rank, "'" + name + "' to have rank " + llvm::Twine(rank) +
                                        ", found " + llvm::Twine(type.getRank()));
  std::string found;
  llvm::raw_string_ostream(found) << '\'' << type << '\'';
  if (require(type.hasStaticShape(), "'" + name + "' to have a static shape, found " + found) &&
      require(fits(type.getShape()),
              "'" + name + "' to have positive sizes and at most 2^57 elements, found " + found))
    result.shape.assign(type.getShape().begin(), type.getShape().end());
  return result;
}

void ShapeCheck::size(const CheckedTensor &tensor, int64_t index, int64_t size, StringRef what) {
  std::string which =
      index == -1 ? std::string("the last dimension")
                  : "dimension " + std::to_string(index < 0 ? tensor.rank() + index : index);
  require(!ok() || tensor.dim(index) == size, which + " of '" + tensor.name + "' to be " +
                                                  llvm::Twine(size) + ", " + what + ", found " +
                                                  llvm::Twine(tensor.dim(index)));
}

void ShapeCheck::shape(const CheckedTensor &tensor, ArrayRef<int64_t> expected) {
  require(!ok() || ArrayRef<int64_t>(tensor.shape) == expected,
          "'" + tensor.name + "' to have the shape " + text(expected) + ", found " +
              text(tensor.shape));
}

void ShapeCheck::leading(const CheckedTensor &tensor, const CheckedTensor &like) {
  require(!ok() || tensor.leading() == like.leading(),
          "'" + tensor.name + "' to have the leading dimensions of '" + like.name + "', " +
              text(like.leading()) + ", found " + text(tensor.leading()));
}

void ShapeCheck::sameType(const CheckedTensor &tensor, const CheckedTensor &like) {
  if (!ok() || tensor.type == like.type)
    return;
  std::string expected, found;
  llvm::raw_string_ostream(expected) << '\'' << like.type << '\'';
  llvm::raw_string_ostream(found) << '\'' << tensor.type << '\'';
  require(false, "'" + tensor.name + "' to have the type of '" + like.name + "', " + expected +
                     ", found " + found);
}

int64_t ShapeCheck::positive(StringRef name, int64_t value) {
  return require(value > 0, name + " to be positive, found " + llvm::Twine(value)) ? value : 1;
}

int64_t ShapeCheck::part(StringRef name, int64_t value, int64_t whole, StringRef what) {
  bool holds =
      require(value > 0 && value < whole, name + " to be positive and below " + llvm::Twine(whole) +
                                              ", " + what + ", found " + llvm::Twine(value));
  return holds ? value : 1;
}

void ShapeCheck::notNegative(StringRef name, const llvm::APFloat &value) {
  require(value.isFinite() && (value.isZero() || !value.isNegative()),
          name + " to be a number that is not negative, found " +
              llvm::formatv("{0}", value.convertToDouble()).str());
}

int64_t ShapeCheck::quotient(const CheckedTensor &tensor, StringRef name, int64_t parts) {
  parts = positive(name, parts);
  require(!ok() || tensor.last() % parts == 0,
          name + " to divide the last dimension of '" + tensor.name + "', " +
              llvm::Twine(tensor.last()) + ", found " + llvm::Twine(parts));
  return tensor.last() / parts;
}

Type ShapeCheck::result(ArrayRef<int64_t> shape, Type element) {
  if (ok() && require(fits(shape), "a result of at most 2^57 elements, found " + text(shape)))
    return RankedTensorType::get(shape, element);
  return RankedTensorType::get({}, element);
}

LogicalResult ShapeCheck::infer(SmallVectorImpl<Type> &types, ArrayRef<Type> inferred) {
  if (!ok())
    return failure();
  types.append(inferred.begin(), inferred.end());
  return success();
}

} // namespace hadal
