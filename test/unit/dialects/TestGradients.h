// SPDX-License-Identifier: Apache-2.0
//
// Gradients that ops build, held against central finite differences in f64.

#ifndef HADAL_TEST_UNIT_DIALECTS_TESTGRADIENTS_H
#define HADAL_TEST_UNIT_DIALECTS_TESTGRADIENTS_H

#include "test/unit/dialects/TestFunction.h"

#include <map>
#include <set>

namespace hadal::reference {

struct GradientCase {
  /// A function @f of one differentiable op, whose operands are the function's arguments in order.
  std::string text;
  /// Operands that are not drawn from [-1, 1].
  std::map<unsigned, TensorPtr> given = {};
  /// Operands whose gradient is added to an accumulator.
  std::set<unsigned> accumulated = {};
  /// Operands that count as constants.
  std::set<unsigned> constant = {};
  /// Results that have a gradient.
  std::set<unsigned> seeded = {0};
};

/// Checks the gradient of every operand: what buildGradient returns, or zero where it returns none.
void expectGradients(const GradientCase &test);

} // namespace hadal::reference

#endif // HADAL_TEST_UNIT_DIALECTS_TESTGRADIENTS_H
