// SPDX-License-Identifier: Apache-2.0
//
// What programs need to know of the components they apply, asked once each; and components that the
// schedule makes itself.

#ifndef HADAL_PASSES_SCHEDULE_COMPONENTS_H
#define HADAL_PASSES_SCHEDULE_COMPONENTS_H

#include "dialects/Pipe/Pipe.h"

#include "llvm/ADT/BitVector.h"

namespace hadal::pipe {

struct Component {
  mlir::func::FuncOp function;
  PhaseKind phase = PhaseKind::Forward;
  llvm::SmallVector<BindingAttr> bindings; ///< by argument; null: data
  llvm::BitVector written;                 ///< arguments that it updates
  llvm::SmallVector<int64_t> updates;      ///< by result: the argument it updates, or -1
  llvm::SmallVector<int64_t> sameAs; ///< by result: an earlier one that is the same value, or -1
  llvm::SmallVector<std::optional<RowCount>> rows; ///< by result: what counts its rows
  bool counted = false;                            ///< works on rows that routing counts
  double flops = 0, bytes = 0; ///< of one launch, for the most rows there can be
  bool usable = false;         ///< a body of one block, tensors of static shape
};

class Components {
public:
  explicit Components(mlir::ModuleOp module) : module(module), symbols(module) {}

  /// Null where there is no such function.
  const Component *find(llvm::StringRef symbol);
  /// The component of an application; reports one that cannot be launched.
  llvm::FailureOr<const Component *> of(ApplyOp apply);
  PhaseKind phaseOf(mlir::Operation *step);
  /// Names of what an application binds, arguments of one kind in order.
  llvm::SmallVector<std::string> bound(ApplyOp apply, BindingKind kind);

  /// `name` + "_" + the shape of the first argument: a component of one kernel of one op, without
  /// bindings. Behind Fuse nothing forms kernels any more.
  mlir::func::FuncOp
  make(llvm::StringRef name, mlir::TypeRange arguments, PhaseKind phase,
       llvm::function_ref<mlir::Operation *(mlir::OpBuilder &, mlir::ValueRange)> body);
  /// The component with tensors of another shape in the place of `from`; itself where they are the
  /// same. For components that work element by element.
  mlir::func::FuncOp reshaped(mlir::func::FuncOp component, mlir::Type from, mlir::Type to);

private:
  void insert(mlir::func::FuncOp function);

  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  llvm::StringMap<std::unique_ptr<Component>> known;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_COMPONENTS_H
