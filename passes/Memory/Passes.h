// SPDX-License-Identifier: Apache-2.0
//
// Passes that give buffers their places.

#ifndef HADAL_PASSES_MEMORY_PASSES_H
#define HADAL_PASSES_MEMORY_PASSES_H

#include "dialects/Pipe/Pipe.h"

#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Memory/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Memory/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_MEMORY_PASSES_H
