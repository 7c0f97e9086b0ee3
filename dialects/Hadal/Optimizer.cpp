// SPDX-License-Identifier: Apache-2.0
//
// The optimizer: shapes and memory.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hadal;

LogicalResult SquareSumOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                            Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor gradient = check.tensor("gradient", adaptor.getGradient());
  return check.infer(types, check.f64(llvm::divideCeil(gradient.elements(), kNormBlock)));
}

LogicalResult AccumulateSquaresOp::inferReturnTypes(MLIRContext *context,
                                                    std::optional<Location> location,
                                                    Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  check.tensor("blocks", adaptor.getBlocks(), 1);
  return check.infer(types, check.f64({}));
}

LogicalResult ClipFactorOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  check.notNegative("clip_norm", adaptor.getClipNorm()); // C1
  return check.infer(types, {check.f64({}), check.f32({})});
}

LogicalResult AdamwOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                        Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor parameter = check.tensor("parameter", adaptor.getParameter());
  check.sameType(check.tensor("gradient", adaptor.getGradient()), parameter); // C1
  check.sameType(check.tensor("moment1", adaptor.getMoment1()), parameter);
  check.sameType(check.tensor("moment2", adaptor.getMoment2()), parameter);
  return check.infer(types, SmallVector<Type>(3, check.f32(parameter.shape)));
}

LogicalResult AccumulateOp::inferReturnTypes(MLIRContext *context, std::optional<Location> location,
                                             Adaptor adaptor, SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor accumulator = check.tensor("accumulator", adaptor.getAccumulator());
  check.sameType(check.tensor("value", adaptor.getValue()), accumulator); // C1
  return check.infer(types, check.f32(accumulator.shape));
}
