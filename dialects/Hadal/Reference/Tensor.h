// SPDX-License-Identifier: Apache-2.0
//
// Tensors of the reference interpreter: what a value holds, and arrays that a rule computes with.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_TENSOR_H
#define HADAL_DIALECTS_HADAL_REFERENCE_TENSOR_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace hadal::reference {

using Shape = llvm::SmallVector<int64_t, 4>;

inline int64_t elementsOf(llvm::ArrayRef<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

/// A dense row-major array; `x(i, j)` is element [i, j].
template <typename T> struct Array {
  Shape shape;
  std::vector<T> data;

  Array() = default;
  explicit Array(Shape sizes, T value = T())
      : shape(std::move(sizes)), data(size_t(elementsOf(shape)), value) {}

  int64_t size(unsigned dimension) const { return shape[dimension]; }
  int64_t elements() const { return int64_t(data.size()); }

  template <typename... Index> T &operator()(Index... index) { return data[flat(index...)]; }
  template <typename... Index> const T &operator()(Index... index) const {
    return data[flat(index...)];
  }

  /// The same elements in another shape.
  Array as(Shape sizes) && {
    shape = std::move(sizes);
    return std::move(*this);
  }
  /// All dimensions but the last folded into one: [rows, features].
  Array rows() && {
    int64_t last = shape.empty() ? 1 : shape.back();
    int64_t count = elementsOf(llvm::ArrayRef<int64_t>(shape).drop_back(shape.empty() ? 0 : 1));
    return std::move(*this).as({count, last});
  }

private:
  template <typename... Index> size_t flat(Index... index) const {
    int64_t at = 0;
    unsigned dimension = 0;
    ((at = at * shape[dimension++] + int64_t(index)), ...);
    return size_t(at);
  }
};

/// What a value of the IR holds. Floats of every width are doubles (those of an FP8 tensor are its
/// exact element values), integers are 64 bits wide. A scaled matrix has the scales of its tiles
/// too, row by row.
struct Tensor {
  Shape shape;
  bool isInteger = false;
  std::vector<double> reals;
  std::vector<int64_t> integers;
  std::vector<double> scales;

  Tensor() = default;
  explicit Tensor(const Array<double> &from) : shape(from.shape), reals(from.data) {}
  explicit Tensor(const Array<int64_t> &from)
      : shape(from.shape), isInteger(true), integers(from.data) {}
  explicit Tensor(double scalar) : reals{scalar} {}
  static Tensor integer(int64_t scalar) { return Tensor(Array<int64_t>({}, scalar)); }

  int64_t elements() const { return elementsOf(shape); }
};

using TensorPtr = std::shared_ptr<const Tensor>;

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_TENSOR_H
