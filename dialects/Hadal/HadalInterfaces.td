// SPDX-License-Identifier: Apache-2.0
//
// What passes ask of hadal ops.

#ifndef HADAL_DIALECTS_HADAL_HADALINTERFACES_TD
#define HADAL_DIALECTS_HADAL_HADALINTERFACES_TD

include "mlir/IR/OpBase.td"

def Hadal_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::hadal";
  let description = [{
    An op that can build its whole gradient. passes/Differentiate partitions the graph of all gradients into what the
    input gradient needs (B) and the rest (W).
  }];
  let methods = [
    InterfaceMethod<[{
      Builds the gradients of the operands. `resultGradients[i]` is the gradient of result i, null where it is zero.
      `accumulator(operandNumber)` gives the tensor that a weight gradient is added to (the op that computes it returns
      the sum); it is null for an operand that is no trained weight, whose gradient is returned plain. The answer has one
      entry an operand: null for a zero gradient and for operands that have none (ids, tables). Operands and results of
      the op itself may be used freely: the pass saves or recomputes them.
    }],
    "::llvm::SmallVector<::mlir::Value>", "buildGradient",
    (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$resultGradients,
         "::llvm::function_ref<::mlir::Value(unsigned)>":$accumulator)>];
}

def Hadal_InPlaceOpInterface : OpInterface<"InPlaceOpInterface"> {
  let cppNamespace = "::hadal";
  let description = [{
    An op some of whose results are updated operands: both have the same type and the compiler gives them the same memory.
  }];
  let methods = [
    InterfaceMethod<"The operand that result `result` updates, or -1 when it is a tensor of its own.",
                    "int64_t", "getUpdatedOperand", (ins "unsigned":$result)>];
}

#endif // HADAL_DIALECTS_HADAL_HADALINTERFACES_TD
