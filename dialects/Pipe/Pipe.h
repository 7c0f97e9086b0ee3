// SPDX-License-Identifier: Apache-2.0
//
// The pipe dialect: schedules and per-rank programs. What an op means stands in PipeOps.td.

#ifndef HADAL_DIALECTS_PIPE_PIPE_H
#define HADAL_DIALECTS_PIPE_PIPE_H

#include "dialects/Hadal/Hadal.h"

#include "mlir/IR/RegionKindInterface.h"

#include "dialects/Pipe/PipeDialect.h.inc"
#include "dialects/Pipe/PipeEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/Pipe/PipeAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/Pipe/PipeTypes.h.inc"

#include "dialects/Pipe/PipeInterfaces.h.inc"
#define GET_OP_CLASSES
#include "dialects/Pipe/PipeOps.h.inc"

namespace hadal::pipe {

/// Attribute of a component's function (FrameAttr).
constexpr llvm::StringLiteral kFrameAttr = "pipe.frame";
/// Attribute of an instruction: index of its chunk in the program's list.
constexpr llvm::StringLiteral kChunkAttr = "pipe.chunk";

/// Whether a buffer can hold a value of this type: a tensor of static shape of integers or floats.
bool isBufferType(mlir::Type type);

/// Bytes of such a tensor.
int64_t bytesOf(mlir::RankedTensorType type);

/// Why `algorithm` has no order for this size; empty where it has one.
std::string refuseSize(llvm::StringRef algorithm, int64_t ranks, int64_t microBatches);

} // namespace hadal::pipe

#endif // HADAL_DIALECTS_PIPE_PIPE_H
