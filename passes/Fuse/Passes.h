// SPDX-License-Identifier: Apache-2.0
//
// Passes that shape components into kernels.

#ifndef HADAL_PASSES_FUSE_PASSES_H
#define HADAL_PASSES_FUSE_PASSES_H

#include "dialects/Hadal/Hadal.h"

#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Fuse/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Fuse/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_FUSE_PASSES_H
