// SPDX-License-Identifier: Apache-2.0
//
// hadal-reduce: shrinks IR while a test script still finds it interesting.

#include "passes/Pipelines/Pipelines.h"
#include "tools/support/Dialects.h"

#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::registerTransformsPasses();
  hadal::registerHadalPasses();
  mlir::DialectRegistry registry;
  hadal::tools::registerDialects(registry);
  mlir::MLIRContext context(registry);
  return mlir::succeeded(mlir::mlirReduceMain(argc, argv, context)) ? 0 : 1;
}
