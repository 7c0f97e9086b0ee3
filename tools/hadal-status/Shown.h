// SPDX-License-Identifier: Apache-2.0
//
// What files of IR show of the CPU code generator.

#ifndef HADAL_TOOLS_HADAL_STATUS_SHOWN_H
#define HADAL_TOOLS_HADAL_STATUS_SHOWN_H

#include "mlir/IR/Operation.h"
#include "llvm/ADT/StringSet.h"

namespace hadal::tools {

class Shown {
public:
  /// A file, or all .mlir files in a folder. Parts that do not parse are tests of just that.
  void lookAt(llvm::StringRef path, mlir::MLIRContext &context);

  /// "kernel": an emitter takes the op; "passes": it was seen outside kernels only; "" otherwise.
  llvm::StringRef cpu(llvm::StringRef op) const;

private:
  void lookAtFile(llvm::StringRef path, mlir::MLIRContext &context);
  void look(mlir::Operation *module);

  llvm::StringSet<> emitted; ///< ops of kernels that a family takes
  llvm::StringSet<> outside; ///< ops seen outside kernels
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_STATUS_SHOWN_H
