// SPDX-License-Identifier: Apache-2.0
//
// Decides what of a component's gradient is B and what is W, and what crosses from F to them and
// from B to W.

#ifndef HADAL_PASSES_DIFFERENTIATE_PARTITION_H
#define HADAL_PASSES_DIFFERENTIATE_PARTITION_H

#include "passes/Differentiate/ComponentGradient.h"

#include "llvm/ADT/SetVector.h"

namespace hadal {

/// What of the forward pass the gradient recomputes instead of saving it.
struct RecomputePolicy {
  bool norms = false;  ///< outputs of RMSNorm
  bool mlaUp = false;  ///< the up-projections of queries, keys and values (q_b_proj, kv_b_proj)
  bool swiglu = false; ///< outputs of SwiGLU
};

/// All values are those of the scratch function. Values of the forward pass that are neither data
/// nor results of the component reach B and W only if they are saved.
struct Partition {
  /// Ops of the two functions in order, recomputed ones included. B is empty where no input has a
  /// gradient.
  llvm::SmallVector<mlir::Operation *> backwardOps, weightOps;
  /// Data they take: gradients of results, data and results of the component, saved values; W the
  /// stash too.
  llvm::SmallVector<mlir::Value> backwardData, weightData;
  llvm::SmallVector<mlir::Value> saved; ///< further results of F
  llvm::SmallVector<mlir::Value> stash; ///< further results of B
  unsigned recomputed = 0;              ///< forward ops among backwardOps and weightOps
};

Partition partition(const ComponentGradient &gradient, const RecomputePolicy &policy);

/// Bytes of a value of a static shape.
int64_t bytesOf(mlir::Value value);

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_PARTITION_H
