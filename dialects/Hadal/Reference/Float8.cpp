// SPDX-License-Identifier: Apache-2.0
//
// See Float8.h.

#include "dialects/Hadal/Reference/Float8.h"

#include "mlir/IR/BuiltinTypes.h"

#include <algorithm>
#include <cmath>

namespace hadal::reference {

Float8 Float8::of(mlir::Type element) {
  return llvm::isa<mlir::Float8E5M2Type>(element) ? kE5M2 : kE4M3;
}

double Float8::round(double value) const {
  double magnitude = std::abs(value);
  if (magnitude == 0 || std::isnan(value))
    return value;
  if (magnitude >= largest)
    return std::copysign(largest, value);
  double step = std::ldexp(1.0, std::max(std::ilogb(magnitude), smallestExponent) - mantissaBits);
  double rounded = std::nearbyint(magnitude / step) * step; // the default mode: ties to even
  return std::copysign(std::min(rounded, largest), value);
}

uint8_t Float8::encode(double value) const {
  if (std::isnan(value))
    return 0x7F;
  double magnitude = std::abs(value);
  int sign = std::signbit(value) ? 128 : 0, fraction = 1 << mantissaBits;
  int exponent =
      magnitude == 0 ? smallestExponent : std::max(std::ilogb(magnitude), smallestExponent);
  int steps = int(std::ldexp(magnitude, mantissaBits - exponent));
  // Below `fraction` steps: a subnormal, whose exponent field is 0.
  int field = steps < fraction ? 0 : exponent - smallestExponent + 1;
  return uint8_t(sign + field * fraction + steps % fraction);
}

} // namespace hadal::reference
