// SPDX-License-Identifier: Apache-2.0
//
// hadal-opt: runs passes and pipelines over IR, with MLIR's own flags and exit codes.

#include "passes/Pipelines/Pipelines.h"
#include "tools/support/Dialects.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::registerTransformsPasses();
  hadal::registerHadalPasses();
  mlir::DialectRegistry registry;
  hadal::tools::registerDialects(registry);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Hadal's modular optimizer driver\n", registry));
}
