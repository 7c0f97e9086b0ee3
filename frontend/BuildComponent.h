// SPDX-License-Identifier: Apache-2.0
//
// One component function under construction: arguments appear as they are asked for, data first.

#ifndef HADAL_FRONTEND_BUILDCOMPONENT_H
#define HADAL_FRONTEND_BUILDCOMPONENT_H

#include "dialects/Hadal/Hadal.h"
#include "frontend/ModelSpec.h"

#include "llvm/ADT/StringMap.h"

namespace hadal {

class BuildComponent {
public:
  using Value = mlir::Value;
  using Shape = llvm::ArrayRef<int64_t>;

  BuildComponent(mlir::ModuleOp module, const ModelSpec &spec, const llvm::Twine &name,
                 PhaseKind phase);

  /// An argument that the program hands over.
  Value data(mlir::Type type);
  Value data(Value like) { return data(like.getType()); }
  /// An argument bound by name; the same one when asked for again.
  Value bound(BindingKind kind, llvm::StringRef name, mlir::Type type);
  Value weight(llvm::StringRef name, Shape shape) {
    return bound(BindingKind::Weight, name, f32(shape));
  }
  Value scalar(llvm::StringRef name) {
    return bound(BindingKind::Scalar, name, mlir::RankedTensorType::get({}, builder.getI32Type()));
  }

  /// Product with the matrix `NAME.weight` [out, features of input].
  Value linear(Value input, llvm::StringRef name, int64_t out);
  /// RMSNorm with `NAME.weight`.
  Value norm(Value input, llvm::StringRef name, double epsilon);
  /// down(swiglu(gate, up)) with the matrices under `path`.
  Value swiglu(Value input, llvm::StringRef path, int64_t width);
  Value add(Value lhs, Value rhs);

  /// Ends the function with these results. A loss has the scalar that seeds it.
  struct Result {
    Value value;
    llvm::StringRef seed = "";
    Result(Value value, llvm::StringRef seed = "") : value(value), seed(seed) {}
  };
  mlir::func::FuncOp finish(llvm::ArrayRef<Result> results);

  mlir::RankedTensorType f32(Shape shape) {
    return mlir::RankedTensorType::get(shape, builder.getF32Type());
  }
  static int64_t features(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape().back();
  }

  const ModelSpec &spec;
  mlir::OpBuilder builder;
  mlir::Location loc;

private:
  mlir::func::FuncOp function;
  mlir::Block *block;
  llvm::SmallVector<BindingAttr> bindings; ///< of the arguments; null for data
  llvm::StringMap<Value> byName;
};

} // namespace hadal

#endif // HADAL_FRONTEND_BUILDCOMPONENT_H
