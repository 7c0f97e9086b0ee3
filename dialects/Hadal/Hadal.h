// SPDX-License-Identifier: Apache-2.0
//
// The hadal dialect: models of the DeepSeek-V3 family on tensors. Shapes and formulas of an op
// stand in its .td file.

#ifndef HADAL_DIALECTS_HADAL_HADAL_H
#define HADAL_DIALECTS_HADAL_HADAL_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/Hadal/HadalDialect.h.inc"
#include "dialects/Hadal/HadalEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Hadal/HadalAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Hadal/HadalTypes.h.inc"

#include "dialects/Hadal/HadalInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialects/Hadal/HadalOps.h.inc"

namespace hadal {

/// Attributes of a module, from the import on: the texts of config.json and plan.json, the target,
/// the CPU.
constexpr llvm::StringLiteral kSpecAttr = "hadal.spec", kPlanAttr = "hadal.plan",
                              kTargetAttr = "hadal.target", kCpuAttr = "hadal.cpu";
/// Attribute of a module: the text of a file of costs (frontend/Costs.h), where one was given.
constexpr llvm::StringLiteral kCostsAttr = "hadal.costs";
/// Attribute of a module: which programs are asked for (train, generate, evaluate; all without it).
constexpr llvm::StringLiteral kProgramsAttr = "hadal.programs";
/// Mark of a module (unit) that no kernels are made for: its plan may ask for more than they can
/// do.
constexpr llvm::StringLiteral kDryRunAttr = "hadal.dry_run";
/// Mark of a module (unit) whose kernels check their memory accesses: red zones between buffers,
/// LLVM's address sanitizer in the code. Its bundle runs in a hadal-run of the sanitizer build
/// only.
constexpr llvm::StringLiteral kCheckMemoryAttr = "hadal.check_memory";
constexpr int64_t kRedZone = 128; ///< bytes, there
/// Attributes of functions: the phase of a component (PhaseAttr), and the mark of a program (unit).
constexpr llvm::StringLiteral kPhaseAttr = "hadal.phase", kProgramAttr = "hadal.program";
/// Attribute of a component's argument (BindingAttr).
constexpr llvm::StringLiteral kBindingAttr = "hadal.bind";
/// Attribute of a component's result: the scalar that seeds this loss.
constexpr llvm::StringLiteral kSeedAttr = "hadal.seed";

/// Attribute of values and kernels whose number of rows routing decides (RowClassAttr).
constexpr llvm::StringLiteral kRowsAttr = "hadal.rows";

/// The binding of a component's argument; null where it is data.
inline BindingAttr bindingOf(mlir::func::FuncOp component, unsigned argument) {
  return component.getArgAttrOfType<BindingAttr>(argument, kBindingAttr);
}
/// A binding's name for one application: `{layer}` and `{parameter}` replaced.
std::string boundName(BindingAttr binding, ApplyOp apply);

/// The argument of `component` whose memory result `result` is, or -1: the chain of updated
/// operands from the returned value up to an argument.
int64_t updatedArgument(mlir::func::FuncOp component, unsigned result);

/// Floating-point operations of a product op (2 a multiply-add); 0 for others.
double flopsOf(mlir::Operation *op);

/// Elements of the block of one partial sum of the gradient norm.
constexpr int64_t kNormBlock = 65536;
/// Tokens of one block of the latent cache.
constexpr int64_t kCacheBlock = 64;

} // namespace hadal

#endif // HADAL_DIALECTS_HADAL_HADAL_H
