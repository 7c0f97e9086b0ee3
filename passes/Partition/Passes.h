// SPDX-License-Identifier: Apache-2.0
//
// Passes that cut a model apart for several ranks.

#ifndef HADAL_PASSES_PARTITION_PASSES_H
#define HADAL_PASSES_PARTITION_PASSES_H

#include "dialects/Hadal/Hadal.h"

#include "mlir/Pass/Pass.h"

namespace hadal {

#define GEN_PASS_DECL
#include "passes/Partition/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Partition/Passes.h.inc"

} // namespace hadal

#endif // HADAL_PASSES_PARTITION_PASSES_H
