// SPDX-License-Identifier: Apache-2.0
//
// Where the tensors of a component lie: in one of its operands, or in a temporary of its frame.

#ifndef HADAL_PASSES_MEMORY_COMPONENTSLOTS_H
#define HADAL_PASSES_MEMORY_COMPONENTSLOTS_H

#include "dialects/Hadal/Hadal.h"

#include "passes/Memory/Offsets.h"

namespace hadal {

/// A pointer of a kernel call.
struct ComponentSlot {
  bool temporary = false;
  unsigned index = 0; ///< operand of the component, or temporary
};

/// What a component does with an operand: reads it, writes all of it, or changes what is there.
enum class OperandAccess { Read, Write, Update };

/// How a temporary's bytes are counted: all of them, or those of a row whose number routing
/// decides.
enum class TemporaryRows { Fixed, Received, Routed };

class ComponentSlots {
public:
  /// Fails with a diagnostic where the body is not a list of kernels, or where a kernel updates
  /// what is needed later.
  static mlir::FailureOr<ComponentSlots> compute(mlir::func::FuncOp component);

  /// Arguments, then results that update none.
  unsigned operands() const { return unsigned(access.size()); }
  OperandAccess accessOf(unsigned operand) const { return access[operand]; }
  /// By index; in steps of kernels, without offsets.
  llvm::ArrayRef<Interval> temporaries() const { return intervals; }
  llvm::ArrayRef<TemporaryRows> temporaryRows() const { return rows; }
  ComponentSlot slotOf(mlir::Value value) const { return slots.lookup(value); }
  /// Pointers of a kernel: its operands, then its results that update none.
  llvm::SmallVector<ComponentSlot> pointersOf(KernelOp kernel) const;

private:
  llvm::SmallVector<OperandAccess> access; ///< by operand
  void addTemporary(mlir::OpResult result, int64_t step);

  llvm::SmallVector<Interval> intervals;
  llvm::SmallVector<TemporaryRows> rows;
  llvm::DenseMap<mlir::Value, ComponentSlot> slots;
};

/// Whether a function is a component: not a program, with a body.
bool isComponent(mlir::func::FuncOp function);

} // namespace hadal

#endif // HADAL_PASSES_MEMORY_COMPONENTSLOTS_H
