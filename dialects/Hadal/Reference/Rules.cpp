// SPDX-License-Identifier: Apache-2.0
//
// See Rules.h.

#include "dialects/Hadal/Reference/Rules.h"

using namespace mlir;

namespace hadal::reference {

/// The builtin tensor type of a value: that of the elements for a scaled matrix.
static RankedTensorType tensorType(Type type) {
  if (auto scaled = llvm::dyn_cast<ScaledType>(type))
    return scaled.elementsType();
  return llvm::cast<RankedTensorType>(type);
}

Shape shapeOf(Type type) { return Shape(tensorType(type).getShape()); }

Tensor zerosOf(Type type) {
  Tensor out;
  RankedTensorType tensor = tensorType(type);
  out.shape = Shape(tensor.getShape());
  out.isInteger = tensor.getElementType().isInteger();
  if (out.isInteger)
    out.integers.resize(size_t(out.elements()));
  else
    out.reals.resize(size_t(out.elements()));
  if (auto scaled = llvm::dyn_cast<ScaledType>(type))
    out.scales.resize(size_t(scaled.scalesType().getNumElements()));
  return out;
}

void Frame::store(Value result, std::vector<double> values) {
  Tensor out;
  out.shape = shapeOf(result.getType());
  if (precision == Precision::F32 && tensorType(result.getType()).getElementType().isF32())
    for (double &value : values)
      value = float(value);
  out.reals = std::move(values);
  set(result, std::make_shared<Tensor>(std::move(out)));
}

void Frame::set(Value result, const Array<int64_t> &array) {
  Tensor out(array);
  out.shape = shapeOf(result.getType());
  set(result, std::make_shared<Tensor>(std::move(out)));
}

void Frame::refuse(Operation *op, const llvm::Twine &message) {
  op->emitOpError(message);
  hasRefused = true;
}

bool Frame::checkIndices(Operation *op, llvm::StringRef what, const Array<int64_t> &indices,
                         int64_t limit) {
  for (auto [i, index] : llvm::enumerate(indices.data)) {
    if (index >= 0 && index < limit)
      continue;
    refuse(op, llvm::Twine("expected ") + what + " from 0 to " + llvm::Twine(limit - 1) +
                   ", found " + llvm::Twine(index) + " at flat index " + llvm::Twine(i));
    return false;
  }
  return true;
}

void RuleTable::execute(Operation *op, Frame &frame) const {
  auto rule = rules.find(op->getName().getStringRef());
  if (rule == rules.end())
    return frame.refuse(op, "is unknown to the reference interpreter");
  rule->second(op, frame);
}

static RuleTable makeTable() {
  RuleTable table;
  addAttentionRules(table);
  addCacheRules(table);
  addExchangeRules(table);
  addExpertRules(table);
  addLayerRules(table);
  addLayerGradientRules(table);
  addLossRules(table);
  addMultiTokenRules(table);
  addOptimizerRules(table);
  addRoutingRules(table);
  addScaledRules(table);
  return table;
}

const RuleTable &RuleTable::get() {
  static const RuleTable table = makeTable();
  return table;
}

} // namespace hadal::reference
