// SPDX-License-Identifier: Apache-2.0
//
// Element types of tensors on disk, and their exact conversion to f32.

#ifndef HADAL_RUNTIME_CHECKPOINT_DTYPE_H
#define HADAL_RUNTIME_CHECKPOINT_DTYPE_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::rt {

enum class DType { F64, F32, BF16, F16, I64, I32, U8, F8E4M3, F8E5M2 };

/// The safetensors spelling ("F8_E4M3").
const char *dtypeName(DType type);
std::optional<DType> parseDtype(std::string_view name);
std::int64_t dtypeBytes(DType type);
/// "[2, 3]".
std::string shapeText(const std::vector<std::int64_t> &shape);
/// The number of elements, or nothing when it does not fit 63 bits or a dimension is negative.
std::optional<std::int64_t> elementCount(const std::vector<std::int64_t> &shape);

float fromBF16(std::uint16_t bits);
float fromF16(std::uint16_t bits);
/// E4M3FN: no infinities, 0x7F and 0xFF are NaN, largest 448.
float fromE4M3(std::uint8_t bits);
float fromE5M2(std::uint8_t bits);

/// Converts `count` elements at `source` (any alignment) to f32. F64 and integers round to nearest.
void toF32(DType type, const void *source, std::int64_t count, float *out);

} // namespace hadal::rt

#endif
