// SPDX-License-Identifier: Apache-2.0
//
// See DType.h.

#include "runtime/checkpoint/DType.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace hadal::rt {

namespace {
struct Row {
  const char *name;
  DType type;
  int bytes;
};
constexpr Row kTypes[] = {
    {"F64", DType::F64, 8}, {"F32", DType::F32, 4},        {"BF16", DType::BF16, 2},
    {"F16", DType::F16, 2}, {"I64", DType::I64, 8},        {"I32", DType::I32, 4},
    {"U8", DType::U8, 1},   {"F8_E4M3", DType::F8E4M3, 1}, {"F8_E5M2", DType::F8E5M2, 1},
};

float fromWord(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// A small IEEE-like float (sign, exponent, mantissa) as f32; the caller handles its special
/// values.
float fromSmall(std::uint32_t sign, int exponent, std::uint32_t mantissa, int mantissaBits,
                int bias) {
  double fraction = std::ldexp(double(mantissa), -mantissaBits);
  double value =
      exponent ? std::ldexp(1 + fraction, exponent - bias) : std::ldexp(fraction, 1 - bias);
  return float(sign ? -value : value);
}

struct ByteTables {
  float e4m3[256], e5m2[256];
  ByteTables() {
    for (int i = 0; i < 256; ++i) {
      std::uint32_t sign = i >> 7;
      float nan = std::numeric_limits<float>::quiet_NaN();
      e4m3[i] = (i & 127) == 127 ? nan : fromSmall(sign, i >> 3 & 15, i & 7, 3, 7);
      int exponent = i >> 2 & 31, mantissa = i & 3;
      float infinity = std::numeric_limits<float>::infinity();
      e5m2[i] = exponent != 31 ? fromSmall(sign, exponent, mantissa, 2, 15)
                : mantissa     ? nan
                               : (sign ? -infinity : infinity);
    }
  }
};
const ByteTables &tables() {
  static const ByteTables made;
  return made;
}

template <typename T, typename Convert>
void convert(const void *source, std::int64_t count, float *out, Convert to) {
  const auto *from = static_cast<const unsigned char *>(source);
  for (std::int64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, from + i * std::int64_t(sizeof(T)), sizeof(T));
    out[i] = to(element);
  }
}
} // namespace

const char *dtypeName(DType type) {
  for (const Row &row : kTypes)
    if (row.type == type)
      return row.name;
  return "?";
}

std::optional<DType> parseDtype(std::string_view name) {
  for (const Row &row : kTypes)
    if (name == row.name)
      return row.type;
  return std::nullopt;
}

std::int64_t dtypeBytes(DType type) {
  for (const Row &row : kTypes)
    if (row.type == type)
      return row.bytes;
  return 0;
}

std::string shapeText(const std::vector<std::int64_t> &shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::optional<std::int64_t> elementCount(const std::vector<std::int64_t> &shape) {
  std::int64_t count = 1;
  for (std::int64_t size : shape)
    if (size < 0 || __builtin_mul_overflow(count, size, &count))
      return std::nullopt;
  return count;
}

float fromBF16(std::uint16_t bits) { return fromWord(std::uint32_t(bits) << 16); }

float fromF16(std::uint16_t bits) {
  std::uint32_t sign = bits >> 15, mantissa = bits & 1023;
  int exponent = bits >> 10 & 31;
  if (exponent == 31) // infinity and NaN keep their payload
    return fromWord(sign << 31 | 0x7F800000u | mantissa << 13);
  if (exponent == 0)
    return fromSmall(sign, exponent, mantissa, 10, 15);
  return fromWord(sign << 31 | std::uint32_t(exponent + 112) << 23 | mantissa << 13);
}

float fromE4M3(std::uint8_t bits) { return tables().e4m3[bits]; }
float fromE5M2(std::uint8_t bits) { return tables().e5m2[bits]; }

void toF32(DType type, const void *source, std::int64_t count, float *out) {
  switch (type) {
  case DType::F32:
    std::memcpy(out, source, std::size_t(count) * 4);
    return;
  case DType::F64:
    return convert<double>(source, count, out, [](double v) { return float(v); });
  case DType::BF16:
    return convert<std::uint16_t>(source, count, out, fromBF16);
  case DType::F16:
    return convert<std::uint16_t>(source, count, out, fromF16);
  case DType::I64:
    return convert<std::int64_t>(source, count, out, [](std::int64_t v) { return float(v); });
  case DType::I32:
    return convert<std::int32_t>(source, count, out, [](std::int32_t v) { return float(v); });
  case DType::U8:
    return convert<std::uint8_t>(source, count, out, [](std::uint8_t v) { return float(v); });
  case DType::F8E4M3:
    return convert<std::uint8_t>(source, count, out, fromE4M3);
  case DType::F8E5M2:
    return convert<std::uint8_t>(source, count, out, fromE5M2);
  }
}

} // namespace hadal::rt
