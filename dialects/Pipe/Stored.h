// SPDX-License-Identifier: Apache-2.0
//
// How tensors of f32 values are held in memory where the plan asks for less than f32. Types of
// values stay f32: what a kernel computes is one thing, how its operands lie in memory another.

#ifndef HADAL_DIALECTS_PIPE_STORED_H
#define HADAL_DIALECTS_PIPE_STORED_H

#include "dialects/Pipe/Pipe.h"

#include <optional>

namespace hadal::pipe {

/// Attribute of a pipe.buffer and of a component's arguments and results (a string), and of a
/// kernel (a list, one string a result): a format below. Without it a tensor is held as its type
/// says.
constexpr llvm::StringLiteral kStoredAttr = "hadal.stored";

/// From the narrowest to the widest. E4M3: an f32 scale for 128 elements of a row. E4M3Blocks: one
/// for a block of 128 x 128 of a matrix. E5M6: 12 bits an element, scales as E4M3.
enum class Stored : uint8_t { E4M3, E4M3Blocks, E5M6, BF16, F32 };

/// Elements that share a scale, along each side.
constexpr int64_t kScaleTile = 128;

llvm::StringRef stringifyStored(Stored stored); ///< e4m3, e4m3_blocks, e5m6, bf16, f32
std::optional<Stored> parseStored(llvm::StringRef text);

/// Bytes of a tensor, scales included. One whose elements are not f32 is held as its type says. Of
/// blocks the last two sizes are a matrix; a tensor of one size is part of one, cut into whole
/// blocks.
int64_t storedBytes(mlir::RankedTensorType type, Stored stored);

/// The format of a buffer, of a component's argument or of a kernel's result.
Stored storedOf(BufferOp buffer);
Stored storedOf(mlir::Value value);

} // namespace hadal::pipe

#endif // HADAL_DIALECTS_PIPE_STORED_H
