// SPDX-License-Identifier: Apache-2.0
//
// See VectorMath.h. The polynomials are those of the Cephes library (S. Moshier), evaluated with
// fused multiply-adds.

#include "codegen/Cpu/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace hadal::cpu {

/// `type` with another element type.
static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return VectorType::get(vector.getShape(), element);
  return element;
}

Value constantLike(KernelBuilder &b, Value like, double value) {
  Type type = like.getType();
  Attribute element = b.getFloatAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, element));
  return arith::ConstantOp::create(b, cast<TypedAttr>(element));
}

static Value integerLike(KernelBuilder &b, Value like, int32_t value) {
  Type type = withElement(like.getType(), b.getI32Type());
  if (auto vector = dyn_cast<VectorType>(type))
    return arith::ConstantOp::create(b, DenseElementsAttr::get(vector, value));
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(value));
}

static Value bitsOf(KernelBuilder &b, Value x) {
  return arith::BitcastOp::create(b, withElement(x.getType(), b.getI32Type()), x);
}
static Value floatOf(KernelBuilder &b, Value bits) {
  return arith::BitcastOp::create(b, withElement(bits.getType(), b.getF32Type()), bits);
}

static Value compare(KernelBuilder &b, arith::CmpFPredicate predicate, Value x, double bound) {
  return arith::CmpFOp::create(b, predicate, x, constantLike(b, x, bound));
}

/// 2^n for integers -126 <= n <= 127.
static Value powerOfTwo(KernelBuilder &b, Value n) {
  Value biased = arith::AddIOp::create(b, n, integerLike(b, n, 127));
  return floatOf(b, arith::ShLIOp::create(b, biased, integerLike(b, n, 23)));
}

/// coefficients[0] x^n + ... + coefficients[n].
static Value polynomial(KernelBuilder &b, Value x, ArrayRef<double> coefficients) {
  Value sum = constantLike(b, x, coefficients.front());
  for (double coefficient : coefficients.drop_front())
    sum = b.fma(sum, x, constantLike(b, x, coefficient));
  return sum;
}

/// exp(x) within about 1 ulp; with `tight` within about 0.6, for four operations more.
static Value expOf(KernelBuilder &b, Value x, bool tight) {
  auto constant = [&](double value) { return constantLike(b, x, value); };
  // Beyond these all results are infinite or zero; written so that NaN passes.
  Value clamped = b.select(compare(b, arith::CmpFPredicate::OGT, x, 89.0), constant(89.0), x);
  clamped =
      b.select(compare(b, arith::CmpFPredicate::OLT, clamped, -105.0), constant(-105.0), clamped);
  // n = round(x / ln 2), by the shift of 1.5 2^23: the low bits of the sum are n.
  constexpr double kShift = 12582912.0;
  Value shifted = b.fma(clamped, constant(1.44269504088896341), constant(kShift));
  Value rounded = b.subf(shifted, constant(kShift));
  Value n = arith::SubIOp::create(b, bitsOf(b, shifted), bitsOf(b, constant(kShift)));
  // r = x - n ln 2, ln 2 in two parts.
  Value coarse = b.fma(rounded, constant(-0.693145751953125), clamped); // exact
  Value low = constant(-1.42860682030941723212e-6);
  Value r = b.fma(rounded, low, coarse), square = b.mulf(r, r);
  Value p = polynomial(b, r,
                       {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2,
                        1.6666665459e-1, 5.0000001201e-1});
  Value one = constant(1.0);
  if (tight) {
    // What r and 1 + r lost in rounding goes into the small term.
    Value lost = b.fma(rounded, low, b.subf(coarse, r));
    Value sum = b.addf(one, r), error = b.subf(r, b.subf(sum, one));
    p = b.addf(sum, b.addf(b.fma(p, square, lost), error));
  } else {
    p = b.addf(b.fma(p, square, r), one);
  }
  // 2^n in two factors: the last product rounds once, into denormals too.
  Value half = arith::ShRSIOp::create(b, n, integerLike(b, x, 1));
  Value rest = arith::SubIOp::create(b, n, half);
  return b.mulf(b.mulf(p, powerOfTwo(b, half)), powerOfTwo(b, rest));
}

Value emitExp(KernelBuilder &b, Value x) { return expOf(b, x, /*tight=*/false); }

Value emitLog(KernelBuilder &b, Value x) {
  auto constant = [&](double value) { return constantLike(b, x, value); };
  // Denormals are scaled up by 2^23 first.
  Value tiny = compare(b, arith::CmpFPredicate::OLT, x, 1.17549435e-38);
  Value scaled = b.select(tiny, b.mulf(x, constant(8388608.0)), x);
  // x = 2^e m, sqrt(1/2) <= m < sqrt(2).
  constexpr int32_t kRootHalf = 0x3f3504f3;
  Value bits = bitsOf(b, scaled);
  Value e = arith::ShRSIOp::create(b, arith::SubIOp::create(b, bits, integerLike(b, x, kRootHalf)),
                                   integerLike(b, x, 23));
  Value m = floatOf(
      b, arith::SubIOp::create(b, bits, arith::ShLIOp::create(b, e, integerLike(b, x, 23))));
  Value exponent = arith::SIToFPOp::create(b, x.getType(), e);
  exponent = b.addf(exponent, b.select(tiny, constant(-23.0), constant(0.0)));
  Value f = b.subf(m, constant(1.0)), square = b.mulf(f, f);
  Value p = polynomial(b, f,
                       {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1,
                        1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1,
                        3.3333331174e-1});
  Value y = b.mulf(b.mulf(p, f), square);
  y = b.fma(exponent, constant(-2.12194440e-4), y);
  y = b.fma(square, constant(-0.5), y);
  Value result = b.fma(exponent, constant(0.693359375), b.addf(f, y));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  result = b.select(compare(b, arith::CmpFPredicate::OEQ, x, 0.0), constant(-kInfinity), result);
  result = b.select(compare(b, arith::CmpFPredicate::ULT, x, 0.0), constant(kNaN), result);
  return b.select(compare(b, arith::CmpFPredicate::OEQ, x, kInfinity), x, result);
}

Value emitSigmoid(KernelBuilder &b, Value x) {
  // With e = exp(-|x|): 1 / (1 + e), or e / (1 + e) for negative x; neither overflows nor cancels.
  Value one = constantLike(b, x, 1.0);
  Value negative = compare(b, arith::CmpFPredicate::OLT, x, 0.0);
  Value below = b.select(negative, x, arith::NegFOp::create(b, x));
  Value e = expOf(b, below, /*tight=*/true);
  Value numerator = b.select(negative, e, one);
  // The quotient's remainder, and what 1 + e lost in rounding, are made up for.
  Value divisor = b.addf(one, e), lost = b.subf(e, b.subf(divisor, one));
  Value quotient = b.divf(numerator, divisor), minus = arith::NegFOp::create(b, quotient);
  Value rest = b.fma(minus, lost, b.fma(minus, divisor, numerator));
  return b.fma(rest, b.divf(one, divisor), quotient);
}

Value emitSqrt(KernelBuilder &b, Value x) { return LLVM::SqrtOp::create(b, x); }

} // namespace hadal::cpu
