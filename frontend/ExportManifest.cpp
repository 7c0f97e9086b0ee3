// SPDX-License-Identifier: Apache-2.0
//
// Writes the weight manifest of a module from the config.json it carries.

#include "frontend/ExportManifest.h"
#include "frontend/WeightNames.h"

#include "mlir/IR/Diagnostics.h"

namespace hadal {

llvm::LogicalResult exportManifest(mlir::ModuleOp module, llvm::raw_ostream &out) {
  auto text = module->getAttrOfType<mlir::StringAttr>("hadal.spec");
  if (!text)
    return module.emitError("found no attribute 'hadal.spec'; allowed: a module that "
                            "hadal-translate --import-model made");
  Checked<ModelSpec> spec = parseModelSpec(text.str(), "hadal.spec");
  if (!spec)
    return module.emitError(spec.error().message());
  out << manifestJson(manifest(*spec));
  return llvm::success();
}

} // namespace hadal
