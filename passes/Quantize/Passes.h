// SPDX-License-Identifier: Apache-2.0
//
// Passes that narrow what is held in memory to the plan's precision.

#ifndef HADAL_PASSES_QUANTIZE_PASSES_H
#define HADAL_PASSES_QUANTIZE_PASSES_H

#include "dialects/Pipe/Pipe.h"

#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Quantize/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Quantize/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_QUANTIZE_PASSES_H
