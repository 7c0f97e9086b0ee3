// SPDX-License-Identifier: Apache-2.0
//
// Rules of constants, sums, products, RMSNorm, SwiGLU, embedding, split and concat.

#include "dialects/Hadal/Reference/Rules.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;

namespace hadal::reference {

/// The sum of two operands of one type, as the result.
template <typename T> static void addInto(Value lhs, Value rhs, Value result, Frame &frame) {
  auto a = frame.read<T>(lhs), b = frame.read<T>(rhs);
  for (int64_t i = 0; i < a.elements(); ++i)
    a.data[i] += b.data[i];
  frame.set(result, a);
}

template <typename Real> static void interpret(Real, AddOp op, Frame &frame) {
  addInto<Real>(op.getLhs(), op.getRhs(), op.getResult(), frame);
}

template <typename Real> static void interpret(Real, AccumulateOp op, Frame &frame) {
  addInto<Real>(op.getAccumulator(), op.getValue(), op.getResult(), frame);
}

template <typename Real> static void interpret(Real, LinearOp op, Frame &frame) {
  auto x = frame.rows<Real>(op.getInput());
  auto w = frame.read<Real>(op.getWeight());
  auto y = frame.zeroRows<Real>(op.getResult());
  bool transpose = op.getTransposeWeight();
  for (int64_t r = 0; r < y.size(0); ++r)
    for (int64_t o = 0; o < y.size(1); ++o) {
      Real sum = 0;
      for (int64_t i = 0; i < x.size(1); ++i)
        sum += x(r, i) * (transpose ? w(i, o) : w(o, i));
      y(r, o) = sum;
    }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, RmsNormOp op, Frame &frame) {
  auto x = frame.rows<Real>(op.getInput());
  auto w = frame.read<Real>(op.getWeight());
  auto inverse = frame.zeros<Real>(op.getInverseRms());
  auto y = frame.zeroRows<Real>(op.getResult());
  Real epsilon = Real(op.getEpsilon().convertToDouble()), d = Real(x.size(1));
  for (int64_t r = 0; r < x.size(0); ++r) {
    Real squares = 0;
    for (int64_t i = 0; i < x.size(1); ++i)
      squares += x(r, i) * x(r, i);
    inverse.data[r] = 1 / std::sqrt(squares / d + epsilon);
    for (int64_t i = 0; i < x.size(1); ++i)
      y(r, i) = w(i) * (x(r, i) * inverse.data[r]);
  }
  frame.set(op.getResult(), y);
  frame.set(op.getInverseRms(), inverse);
}

template <typename Real> static void interpret(Real, SwigluOp op, Frame &frame) {
  auto gate = frame.rows<Real>(op.getGate()), up = frame.rows<Real>(op.getUp());
  auto y = frame.zeroRows<Real>(op.getResult());
  Array<Real> scale({y.size(0)}, Real(1));
  if (op.getRowScale())
    scale = frame.read<Real>(op.getRowScale());
  for (int64_t r = 0; r < y.size(0); ++r)
    for (int64_t i = 0; i < y.size(1); ++i) {
      Real g = gate(r, i);
      y(r, i) = g / (1 + std::exp(-g)) * up(r, i) * scale.data[r];
    }
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, EmbeddingOp op, Frame &frame) {
  auto ids = frame.ids(op.getIds());
  auto table = frame.read<Real>(op.getTable());
  auto y = frame.zeros<Real>(op.getResult());
  if (!frame.checkIndices(op, "ids", ids, table.size(0)))
    return;
  int64_t offset = op.getOffset();
  for (int64_t b = 0; b < y.size(0); ++b)
    for (int64_t t = 0; t < y.size(1); ++t)
      for (int64_t i = 0; i < y.size(2); ++i)
        y(b, t, i) = table(ids(b, t + offset), i);
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, SplitOp op, Frame &frame) {
  auto x = frame.rows<Real>(op.getInput());
  auto first = frame.zeroRows<Real>(op.getFirst()), second = frame.zeroRows<Real>(op.getSecond());
  int64_t size = first.size(1);
  for (int64_t r = 0; r < x.size(0); ++r)
    for (int64_t i = 0; i < x.size(1); ++i)
      (i < size ? first(r, i) : second(r, i - size)) = x(r, i);
  frame.set(op.getFirst(), first);
  frame.set(op.getSecond(), second);
}

template <typename Real> static void interpret(Real, ConcatOp op, Frame &frame) {
  auto first = frame.rows<Real>(op.getFirst()), second = frame.rows<Real>(op.getSecond());
  auto y = frame.zeroRows<Real>(op.getResult());
  int64_t size = first.size(1);
  for (int64_t r = 0; r < y.size(0); ++r)
    for (int64_t i = 0; i < y.size(1); ++i)
      y(r, i) = i < size ? first(r, i) : second(r, i - size);
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, LastTokenOp op, Frame &frame) {
  auto x = frame.read<Real>(op.getInput());
  auto y = frame.zeros<Real>(op.getResult());
  int64_t last = frame.scalar<int64_t>(op.getValid()) - 1;
  if (!frame.checkIndices(op, "valid - 1", Array<int64_t>({1}, last), x.size(1)))
    return;
  for (int64_t i = 0; i < x.size(2); ++i)
    y(0, 0, i) = x(0, last, i);
  frame.set(op.getResult(), y);
}

template <typename Real> static void interpret(Real, arith::ConstantOp op, Frame &frame) {
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements)
    return frame.refuse(op, "expected a dense tensor, found another value");
  Array<double> reals;
  Array<int64_t> integers;
  if (elements.getElementType().isInteger()) {
    for (const APInt &element : elements.getValues<APInt>())
      integers.data.push_back(element.getSExtValue());
    return frame.set(op.getResult(), integers);
  }
  for (APFloat element : elements.getValues<APFloat>())
    reals.data.push_back(element.convertToDouble());
  frame.set(op.getResult(), reals);
}

void addLayerRules(RuleTable &table) {
  table.add<arith::ConstantOp, AddOp, AccumulateOp, LinearOp, RmsNormOp, SwigluOp, EmbeddingOp,
            SplitOp, ConcatOp, LastTokenOp>();
}

} // namespace hadal::reference
