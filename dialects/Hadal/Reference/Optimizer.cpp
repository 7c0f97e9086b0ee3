// SPDX-License-Identifier: Apache-2.0
//
// Rules of the gradient norm and of AdamW.

#include "dialects/Hadal/Reference/Rules.h"

#include <cmath>

using namespace mlir;

namespace hadal::reference {

template <typename Real> static void interpret(Real, SquareSumOp op, Frame &frame) {
  auto gradient = frame.read<double>(op.getGradient());
  auto sums = frame.zeros<double>(op.getResult());
  for (int64_t i = 0; i < gradient.elements(); ++i)
    sums(i / kNormBlock) += gradient.data[i] * gradient.data[i];
  frame.set(op.getResult(), sums);
}

template <typename Real> static void interpret(Real, AccumulateSquaresOp op, Frame &frame) {
  double total = frame.scalar<double>(op.getTotal());
  for (double block : frame.read<double>(op.getBlocks()).data)
    total += block;
  frame.set(op.getResult(), Array<double>({}, total));
}

template <typename Real> static void interpret(Real, ClipFactorOp op, Frame &frame) {
  double norm = std::sqrt(frame.scalar<double>(op.getTotal()));
  double limit = op.getClipNorm().convertToDouble();
  frame.set(op.getNorm(), Array<double>({}, norm));
  frame.set(op.getFactor(), Array<double>({}, limit > 0 && norm > limit ? limit / norm : 1.0));
}

template <typename Real> static void interpret(Real, AdamwOp op, Frame &frame) {
  auto p = frame.read<Real>(op.getParameter()), g = frame.read<Real>(op.getGradient());
  auto m = frame.read<Real>(op.getMoment1()), v = frame.read<Real>(op.getMoment2());
  double rate = frame.scalar<double>(op.getLearningRate());
  double beta1 = op.getBeta1().convertToDouble(), beta2 = op.getBeta2().convertToDouble();
  Real decay = Real(1 - rate * op.getWeightDecay().convertToDouble());
  Real step = Real(rate / frame.scalar<double>(op.getCorrection1()));
  Real root = Real(std::sqrt(frame.scalar<double>(op.getCorrection2())));
  Real keep1 = Real(beta1), add1 = Real(1 - beta1), keep2 = Real(beta2), add2 = Real(1 - beta2);
  Real epsilon = Real(op.getEpsilon().convertToDouble());
  Real factor = frame.scalar<Real>(op.getFactor());
  for (int64_t i = 0; i < p.elements(); ++i) {
    Real clipped = g.data[i] * factor;
    m.data[i] = keep1 * m.data[i] + add1 * clipped;
    v.data[i] = keep2 * v.data[i] + add2 * (clipped * clipped);
    p.data[i] = p.data[i] * decay - step * m.data[i] / (std::sqrt(v.data[i]) / root + epsilon);
  }
  frame.set(op.getNewParameter(), p);
  frame.set(op.getNewMoment1(), m);
  frame.set(op.getNewMoment2(), v);
}

void addOptimizerRules(RuleTable &table) {
  table.add<SquareSumOp, AccumulateSquaresOp, ClipFactorOp, AdamwOp>();
}

} // namespace hadal::reference
