// SPDX-License-Identifier: Apache-2.0
//
// The two FP8 formats, exactly: rounding to nearest even with saturation, and the bits of a value.

#ifndef HADAL_DIALECTS_HADAL_REFERENCE_FLOAT8_H
#define HADAL_DIALECTS_HADAL_REFERENCE_FLOAT8_H

#include "mlir/IR/Types.h"

namespace hadal::reference {

struct Float8 {
  int mantissaBits;
  int smallestExponent; ///< of normal numbers
  double largest;

  /// f8E4M3FN or f8E5M2.
  static Float8 of(mlir::Type element);

  /// The nearest value of the format, ties to even, held within +-largest. NaN stays NaN.
  double round(double value) const;
  /// The byte of a value of the format.
  uint8_t encode(double value) const;
};

constexpr Float8 kE4M3{3, -6, 448}, kE5M2{2, -14, 57344};

} // namespace hadal::reference

#endif // HADAL_DIALECTS_HADAL_REFERENCE_FLOAT8_H
