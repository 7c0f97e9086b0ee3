// SPDX-License-Identifier: Apache-2.0
//
// hadal-lsp-server: completion, hover and diagnostics for Hadal's dialects in an editor.

#include "tools/support/Dialects.h"

#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  hadal::tools::registerDialects(registry);
  return mlir::succeeded(mlir::MlirLspServerMain(argc, argv, registry)) ? 0 : 1;
}
