// SPDX-License-Identifier: Apache-2.0
//
// Parts of sums over ranks, as a reduce_scatter names them.

#ifndef HADAL_RUNTIME_PROGRAM_TERMS_H
#define HADAL_RUNTIME_PROGRAM_TERMS_H

#include "runtime/program/TableText.h"

namespace hadal::rt {

/// bundle::Term::rank of a window that the rank itself has parked.
constexpr std::uint32_t kParkedTerm = ~std::uint32_t(0);

/// How many of the operands before the last are parked windows: each is one term.
inline std::uint32_t parkedOf(const bundle::Instruction &instruction) {
  std::uint32_t count = 0;
  for (std::uint32_t t = 0; t < sizeOf(instruction.terms()); ++t)
    count += instruction.terms()->Get(t)->rank() == kParkedTerm;
  return count;
}

/// How many are accumulators, which are sent to the other holders. Of a reduce_scatter that
/// verifyTable has seen.
inline std::uint32_t accumulatorsOf(const bundle::Instruction &instruction) {
  return sizeOf(instruction.operands()) - 1 - parkedOf(instruction);
}

/// Elements of what a member of `group` holds of a parameter: of a stack its part of the experts.
std::int64_t heldElements(const bundle::Bundle &table, const bundle::Group &group,
                          std::uint32_t parameter);
/// Elements of a holder's window: windows end at borders of the gradient norm's blocks.
std::int64_t windowOf(std::int64_t elements, std::int64_t holders);

} // namespace hadal::rt

#endif
