// SPDX-License-Identifier: Apache-2.0
//
// hadal-translate: from a spec to IR, and from IR to what leaves the compiler.

#include "codegen/Bundle/ExportBundle.h"
#include "frontend/ExportManifest.h"
#include "passes/Schedule/ExportOrder.h"
#include "tools/support/CommandLine.h"
#include "tools/support/Dialects.h"
#include "tools/support/Import.h"

#include "mlir/IR/AsmState.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::tools;
namespace cl = llvm::cl;

namespace {

enum class Action { ImportModel, ExportBundle, ExportManifest, ExportSchedule, ExportPtx };

struct Flags {
  cl::opt<Action> action{
      cl::desc("One of:"), cl::Required,
      cl::values(clEnumValN(Action::ImportModel, "import-model", "config.json to a module"),
                 clEnumValN(Action::ExportBundle, "export-bundle", "lowered module to a bundle"),
                 clEnumValN(Action::ExportManifest, "export-manifest", "module to its weights"),
                 clEnumValN(Action::ExportSchedule, "export-schedule",
                            "module to the order of its ranks' chunks and transfers"),
                 clEnumValN(Action::ExportPtx, "export-ptx", "not supported yet")),
      cl::cat(options())};
  cl::opt<std::string> input{cl::Positional, cl::desc("<input file>"), cl::Required,
                             cl::cat(options())};
  cl::opt<std::string> output{"o", cl::desc("output file, - for stdout"), cl::value_desc("file"),
                              cl::init("-"), cl::cat(options())};
  cl::opt<bool> dryRun{"dry-run", cl::desc("import a plan that no kernels can follow yet"),
                       cl::cat(options())};
  ImportFlags import;
};

int translate(const Flags &flags, MLIRContext &context) {
  OneLineDiagnostics diagnostics(context);
  if (flags.action == Action::ExportPtx)
    return refuse("--export-ptx: not supported yet; supported: --import-model, --export-bundle, "
                  "--export-manifest, --export-schedule");
  bool import = flags.action == Action::ImportModel;
  OwningOpRef<ModuleOp> module = import ? flags.import.import(context, flags.input, flags.dryRun)
                                        : loadModule(flags.input, context);
  if (!module)
    return Refused;
  return writeOutput(flags.output, [&](llvm::raw_ostream &os) -> LogicalResult {
    if (flags.action == Action::ExportManifest)
      return exportManifest(*module, os);
    if (flags.action == Action::ExportBundle)
      return exportBundle(*module, os);
    if (flags.action == Action::ExportSchedule)
      return pipe::exportOrder(*module, os);
    module->print(os);
    return success();
  });
}

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  Flags flags;
  if (!parseFlags(argc, argv,
                  "Hadal's translator between specs, IR and bundles\n\n"
                  "  hadal-translate --import-model config.json --plan plan.json -o model.mlir\n"
                  "  hadal-opt model.mlir --hadal-pipeline -o lowered.mlir\n"
                  "  hadal-translate --export-bundle lowered.mlir -o model.hadal\n"))
    return Refused;
  ToolContext context;
  return translate(flags, context);
}
