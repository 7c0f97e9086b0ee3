// SPDX-License-Identifier: Apache-2.0
//
// From the import flags to a module.

#include "tools/support/Import.h"

#include "dialects/Hadal/Hadal.h"
#include "frontend/BuildModel.h"
#include "frontend/Costs.h"
#include "tools/support/CommandLine.h"

#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace hadal::tools {

#if __has_feature(address_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

ImportFlags::ImportFlags()
    : plan("plan", llvm::cl::desc("training plan; defaults without it"),
           llvm::cl::value_desc("plan.json"), llvm::cl::cat(options())),
      costs("costs",
            llvm::cl::desc("times of components (hadal-run bench --profile makes such a file), for "
                           "the overlap `searched`"),
            llvm::cl::value_desc("costs.json"), llvm::cl::cat(options())),
      target("target", llvm::cl::desc("what the kernels are for: cpu"), llvm::cl::init("cpu"),
             llvm::cl::value_desc("name"), llvm::cl::cat(options())),
      cpu("cpu", llvm::cl::desc("CPU the code is for: native, or a name that LLVM knows"),
          llvm::cl::init("native"), llvm::cl::value_desc("name"), llvm::cl::cat(options())),
      checkMemory("check-memory",
                  llvm::cl::desc("kernels check their memory accesses; for the sanitizer build"),
                  llvm::cl::init(kSanitized), llvm::cl::cat(options())) {}

/// Keeps the text of a file of costs in the module.
static LogicalResult addCosts(ModuleOp module, const std::string &file) {
  Checked<std::string> text = readTextFile(file);
  std::optional<InputError> error;
  if (!text)
    error = text.error();
  else if (Checked<ComponentCosts> costs = parseCosts(*text, file); !costs)
    error = costs.error();
  if (error) {
    refuse(error->message());
    return failure();
  }
  module->setAttr(kCostsAttr, StringAttr::get(module.getContext(), *text));
  return success();
}

OwningOpRef<ModuleOp> ImportFlags::import(MLIRContext &context, llvm::StringRef configFile,
                                          bool dryRun) const {
  if (target != "cpu") {
    refuse("--target: found '" + target + "'; supported: cpu");
    return {};
  }
  std::string name = cpu == "native" ? llvm::sys::getHostCPUName().str() : cpu.getValue();
  FailureOr<OwningOpRef<ModuleOp>> module = importModel(
      context, configFile, plan, target, name, dryRun ? Purpose::DryRun : Purpose::Compile);
  if (failed(module))
    return {};
  if (!costs.empty() && failed(addCosts(**module, costs)))
    return {};
  if (checkMemory)
    (*module)->getOperation()->setAttr(kCheckMemoryAttr, UnitAttr::get(&context));
  return std::move(*module);
}

} // namespace hadal::tools
