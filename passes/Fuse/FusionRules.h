// SPDX-License-Identifier: Apache-2.0
//
// What may share a kernel. The fusion pass forms groups by these rules, and the emitters of kernels
// accept what follows them.

#ifndef HADAL_PASSES_FUSE_FUSIONRULES_H
#define HADAL_PASSES_FUSE_FUSIONRULES_H

#include "dialects/Hadal/Hadal.h"

#include <optional>

namespace hadal {

/// The rows that a row-local op runs over, one at a time.
struct RowDomain {
  int64_t rows = 0;
  int64_t tokens =
      0; ///< tokens of a sequence: row = sequence tokens + token; 0 where the op does not ask
};

/// The domain of a row-local op: what it writes in a row comes from that row of its operands, or
/// from operands that it gathers from (readsOwnRow). None for other ops.
std::optional<RowDomain> rowDomain(mlir::Operation *op);
/// The domain that holds for both, if there is one.
std::optional<RowDomain> sharedDomain(RowDomain a, RowDomain b);

/// Whether a row-local op reads from this operand nothing but its own row: only then may the same
/// kernel compute it.
bool readsOwnRow(mlir::OpOperand &operand);
/// Whether row r of this result of a row-local op is written at row r: only then may the same
/// kernel read it.
bool writesOwnRow(mlir::OpResult result);
/// Elements a row of a value that is read or written row by row.
int64_t rowWidth(mlir::Value value, RowDomain domain);

/// hadal.linear and hadal.grouped_linear.
bool isProduct(mlir::Operation *op);
/// Whether a product reads this operand row by row, so that it can gather the rows itself.
bool gathersRows(mlir::OpOperand &operand);
/// Whether `op` is a hadal.dispatch that its only reader, a product, can do by itself.
bool isPrologue(mlir::Operation *op);
/// Whether `op` may be computed where a product's kernel has the elements of `values` (the
/// product's result and what its epilogue computed so far, all of one shape) at hand: hadal.add and
/// hadal.swiglu, the other operand coming from outside.
bool isEpilogue(mlir::Operation *op, mlir::ValueRange values);
/// Whether a kernel's region consists of row-local ops over one domain, which is returned.
std::optional<RowDomain> rowKernelDomain(KernelOp kernel);

} // namespace hadal

#endif // HADAL_PASSES_FUSE_FUSIONRULES_H
