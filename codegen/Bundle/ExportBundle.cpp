// SPDX-License-Identifier: Apache-2.0
//
// See ExportBundle.h.

#include "codegen/Bundle/ExportBundle.h"

#include "codegen/Bundle/Tables.h"
#include "codegen/Cpu/Object.h"
#include "codegen/Cpu/Passes.h"
#include "frontend/BuildModel.h"
#include "runtime/program/Header.h"
#include "runtime/program/Validate.h"

using namespace mlir;
using namespace hadal;

namespace {

constexpr llvm::StringLiteral kProducer = "Hadal 0.1";

class BundleExport {
public:
  explicit BundleExport(ModuleOp module) : module(module) {}

  FailureOr<std::string> run() {
    if (failed(readAttributes()))
      return failure();
    table.dry = module->hasAttr(kDryRunAttr);
    fillModel(table, *spec, *plan);
    Export out(table, module, *spec, *plan);
    if (failed(fillComponents(out)) || failed(fillPrograms(out)) || failed(fillParameters(out)) ||
        failed(fillRoles(out)))
      return failure();
    FailureOr<std::string> object = buildObject();
    if (failed(object))
      return failure();
    flatbuffers::FlatBufferBuilder builder(1 << 20);
    builder.Finish(bundle::Bundle::Pack(builder, &table));
    rt::Validation proof =
        rt::validate(*flatbuffers::GetRoot<bundle::Bundle>(builder.GetBufferPointer()));
    if (!proof.error.empty())
      return emitError(module.getLoc(), "cannot be executed: ") << proof.error;
    std::string_view bytes(reinterpret_cast<const char *>(builder.GetBufferPointer()),
                           builder.GetSize());
    return rt::sealBundle(bytes, *object);
  }

private:
  LogicalResult readAttributes() {
    StringAttr specText, planText, target, cpu;
    for (auto [attribute, name] : {std::pair(&specText, kSpecAttr), std::pair(&planText, kPlanAttr),
                                   std::pair(&target, kTargetAttr), std::pair(&cpu, kCpuAttr)}) {
      *attribute = module->getAttrOfType<StringAttr>(name);
      if (!*attribute)
        return module.emitError("expects the attribute ")
               << name << " (hadal-translate --import-model writes it)";
    }
    if (target != "cpu")
      return module.emitError("is for the target ")
             << target << "; a bundle can be made for \"cpu\"";
    Checked<ModelSpec> parsedSpec = parseModelSpec(specText.str(), kSpecAttr.str());
    if (!parsedSpec)
      return module.emitError(parsedSpec.error().message());
    spec = std::move(*parsedSpec);
    Checked<Plan> parsedPlan =
        usablePlan(planText.str(), kPlanAttr.str(), *spec, purposeOf(module));
    if (!parsedPlan)
      return module.emitError(parsedPlan.error().message());
    plan = std::move(*parsedPlan);
    table.producer = kProducer.str();
    table.target = target.str();
    table.cpu = cpu.str();
    table.memory_checked = module->hasAttr(kCheckMemoryAttr);
    return success();
  }

  FailureOr<std::string> buildObject() {
    if (table.kernels.empty())
      return std::string();
    if (!cpu::isKnownCpu(table.cpu))
      return module.emitError("is for the CPU \"") << table.cpu << "\", which LLVM does not know";
    for (const std::string &feature : cpu::cpuFeatures(table.cpu))
      table.cpu_features.push_back(feature);
    auto kernels = module.lookupSymbol<ModuleOp>(kKernelsModule);
    if (!kernels)
      return module.emitError("expects a module @")
             << kKernelsModule << " of kernels (--hadal-cpu-kernels makes it)";
    for (const auto &kernel : table.kernels)
      if (!kernels.lookupSymbol(kernel->symbol))
        return kernels.emitError("has no function @")
               << kernel->symbol << ", which a component calls";
    return cpu::buildSharedObject(kernels, table.cpu, table.memory_checked);
  }

  ModuleOp module;
  std::optional<ModelSpec> spec;
  std::optional<Plan> plan;
  bundle::BundleT table;
};

} // namespace

LogicalResult hadal::exportBundle(ModuleOp module, llvm::raw_ostream &os) {
  FailureOr<std::string> bundle = BundleExport(module).run();
  if (succeeded(bundle))
    os << *bundle;
  return bundle;
}
