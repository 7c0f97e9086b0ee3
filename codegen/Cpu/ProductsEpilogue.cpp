// SPDX-License-Identifier: Apache-2.0
//
// What a product's kernel does with a finished vector: the elementwise ops of its region, then the
// stores.

#include "codegen/Cpu/Products.h"
#include "codegen/Cpu/VectorMath.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal::cpu {

bool isEpilogueOp(Operation *op, const llvm::SmallPtrSetImpl<Value> &computed) {
  auto swiglu = dyn_cast<SwigluOp>(op);
  if (!swiglu && !isa<AddOp>(op))
    return false;
  if (swiglu && swiglu.getRowScale() && !isa<BlockArgument>(swiglu.getRowScale()))
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    return isa<BlockArgument>(operand) || computed.contains(operand);
  });
}

namespace {
/// The region's values at one vector of C.
struct Element {
  KernelBuilder &b;
  const Product &product;
  Value row, column, mask;
  llvm::DenseMap<Value, Value> values;

  Value at() { return b.add(b.mul(row, product.rightWidth), column); }
  /// An operand is loaded where it is asked for.
  Value get(Value value) {
    if (Value known = values.lookup(value))
      return known;
    auto argument = cast<BlockArgument>(value);
    return values[value] = b.loadVector(b.pointers[argument.getArgNumber()], at(), mask);
  }
  Value rowScale(Value value) {
    return b.splat(b.loadF32(b.pointers[cast<BlockArgument>(value).getArgNumber()], row));
  }
  Value compute(Operation *op) {
    if (auto add = dyn_cast<AddOp>(op))
      return b.addf(get(add.getLhs()), get(add.getRhs()));
    auto swiglu = cast<SwigluOp>(op);
    Value gate = get(swiglu.getGate());
    Value result = b.mulf(b.mulf(gate, emitSigmoid(b, gate)), get(swiglu.getUp()));
    return swiglu.getRowScale() ? b.mulf(result, rowScale(swiglu.getRowScale())) : result;
  }
};
} // namespace

SmallVector<unsigned> epiloguePointers(KernelOp kernel, const Product &product) {
  llvm::SmallSetVector<unsigned, 4> pointers;
  for (Operation *op : product.epilogue)
    for (Value operand : op->getOperands())
      if (auto argument = dyn_cast<BlockArgument>(operand);
          argument && argument.getType() == product.root->getResult(0).getType())
        pointers.insert(argument.getArgNumber());
  for (unsigned result = 0; result < kernel.getNumResults(); ++result)
    pointers.insert(resultPointer(kernel, result));
  return pointers.takeVector();
}

void emitEpilogue(KernelOp kernel, const Product &product, KernelBuilder &b, Value vector,
                  Value row, Value column, Value mask) {
  Element element{b, product, row, column, mask, llvm::DenseMap<Value, Value>()};
  element.values[product.root->getResult(0)] = vector;
  for (Operation *op : product.epilogue)
    element.values[op->getResult(0)] = element.compute(op);
  Operation *yield = kernel.getBody().front().getTerminator();
  for (auto [result, value] : llvm::enumerate(yield->getOperands()))
    b.storeVector(element.get(value), b.pointers[resultPointer(kernel, unsigned(result))],
                  element.at(), mask);
}

} // namespace hadal::cpu
