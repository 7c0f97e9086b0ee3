// SPDX-License-Identifier: Apache-2.0
//
// The two components of a layer with experts, cut where tokens go to the members of an expert group
// and come back.

#ifndef HADAL_PASSES_PARTITION_SPLITEXPERTS_H
#define HADAL_PASSES_PARTITION_SPLITEXPERTS_H

#include "dialects/Hadal/Hadal.h"

namespace hadal {

/// The component with the router, which gives the layout of the exchange in place of the order of
/// routed rows.
struct SplitRouter {
  mlir::func::FuncOp component;
  /// Where each result is that the component had; -1: it is gone.
  llvm::SmallVector<int64_t> newResult;
  unsigned experts = 0; ///< result: ids
  unsigned layout = 0;  ///< first of the four results of hadal.exchange_layout
};

/// The component with the experts, as two.
struct SplitExperts {
  /// (received rows, experts, weights, received sums, data...) -> (rows, values that merge
  /// takes...).
  mlir::func::FuncOp experts;
  /// (rows in the order they were sent in, send_slot, values of `experts`..., data...) -> what the
  /// component gave.
  mlir::func::FuncOp merge;
  /// Data arguments of the component, as operands of an application: what is sent, and what the two
  /// take besides.
  unsigned input = 0, weights = 0, slot = 0;
  llvm::SmallVector<unsigned> expertsData, mergeData;
  int64_t received = 0, sent = 0; ///< rows at most
};

/// Rewrites the component that sorts tokens by expert. An error where it is built otherwise.
llvm::FailureOr<SplitRouter> splitRouter(mlir::func::FuncOp component, int64_t members);

/// Replaces `component` by `experts` (under its name) and `merge` (its name with the suffix
/// `_merge`).
llvm::FailureOr<SplitExperts> splitExperts(mlir::func::FuncOp component, int64_t members);

} // namespace hadal

#endif // HADAL_PASSES_PARTITION_SPLITEXPERTS_H
