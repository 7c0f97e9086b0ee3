// SPDX-License-Identifier: Apache-2.0
//
// Passes that make a training step out of a forward program.

#ifndef HADAL_PASSES_DIFFERENTIATE_PASSES_H
#define HADAL_PASSES_DIFFERENTIATE_PASSES_H

#include "dialects/Hadal/Hadal.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Differentiate/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Differentiate/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_DIFFERENTIATE_PASSES_H
