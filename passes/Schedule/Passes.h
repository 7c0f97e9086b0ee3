// SPDX-License-Identifier: Apache-2.0
//
// Passes that turn straight-line programs into the instruction lists of ranks.

#ifndef HADAL_PASSES_SCHEDULE_PASSES_H
#define HADAL_PASSES_SCHEDULE_PASSES_H

#include "dialects/Pipe/Pipe.h"

#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Schedule/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Schedule/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_SCHEDULE_PASSES_H
