// SPDX-License-Identifier: Apache-2.0
//
// The dialects a Hadal tool reads and writes.

#ifndef HADAL_TOOLS_SUPPORT_DIALECTS_H
#define HADAL_TOOLS_SUPPORT_DIALECTS_H

#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"

namespace hadal::tools {

/// Hadal's own dialects and the upstream ones that its passes produce, with their interfaces.
void registerDialects(mlir::DialectRegistry &registry);

/// A context with all of them loaded.
class ToolContext : public mlir::MLIRContext {
public:
  ToolContext();
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_SUPPORT_DIALECTS_H
