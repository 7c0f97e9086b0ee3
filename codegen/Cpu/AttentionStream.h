// SPDX-License-Identifier: Apache-2.0
//
// Causal attention of a panel of query rows over keys that arrive in blocks: softmax kept up to
// date block by block, so that no more scores exist at a time than one block has. Query rows are
// lanes: maxima and sums need no lane crossing.

#ifndef HADAL_CODEGEN_CPU_ATTENTIONSTREAM_H
#define HADAL_CODEGEN_CPU_ATTENTIONSTREAM_H

#include "codegen/Cpu/AttentionTiles.h"

namespace hadal::cpu {

struct StreamShape {
  int64_t depth;    ///< values of a query and of a key
  int64_t values;   ///< of an output
  int64_t vectors;  ///< of a panel
  int64_t keyTile;  ///< keys of one register tile; divides keyBlock
  int64_t keyBlock; ///< most keys of a block

  int64_t width(const Target &target) const { return vectors * target.lanes; }
};

/// One panel's memory in the scratch.
struct PanelMemory {
  mlir::Value query;   ///< [depth][width], scaled
  mlir::Value output;  ///< [values][width], not yet divided by `sum`
  mlir::Value maximum; ///< [width]
  mlir::Value sum;     ///< [width]
};

/// A panel's part of the causal mask: lane i sees keys <= limits[i].
struct PanelLimits {
  llvm::SmallVector<mlir::Value> limits; ///< vectors of i32
  mlir::Value smallest, largest;         ///< index, over the panel's lanes
};

/// Keys first, first + 1, ..., first + count - 1 in memory. Rows up to the next multiple of keyTile
/// can be read.
struct KeyBlock {
  mlir::Value first, count;
  mlir::Value keys, values;
  int64_t keyStride, valueStride;
};

void startPanel(KernelBuilder &b, const StreamShape &shape, const PanelMemory &panel);
/// `scores`: scratch of [keyBlock][width].
void visitKeys(KernelBuilder &b, const StreamShape &shape, const PanelMemory &panel,
               const PanelLimits &limits, const KeyBlock &block, mlir::Value scores);

} // namespace hadal::cpu

#endif // HADAL_CODEGEN_CPU_ATTENTIONSTREAM_H
