// SPDX-License-Identifier: Apache-2.0
//
// Kernels and components of a bundle.

#include "codegen/Bundle/Tables.h"
#include "dialects/Pipe/Stored.h"
#include "passes/Memory/ComponentSlots.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace hadal;

namespace {

class Components {
public:
  Components(bundle::BundleT &table) : table(table) {}

  LogicalResult add(func::FuncOp function) {
    FailureOr<ComponentSlots> slots = ComponentSlots::compute(function);
    if (failed(slots))
      return failure();
    auto frame = function->getAttrOfType<pipe::FrameAttr>(pipe::kFrameAttr);
    if (!frame || frame.getOffsets().size() != slots->temporaries().size())
      return function.emitOpError("expects ")
             << pipe::kFrameAttr << " with " << slots->temporaries().size()
             << " offsets (--pipe-plan-frames writes it)";
    auto component = std::make_unique<bundle::ComponentT>();
    component->name = function.getSymName().str();
    component->operands = slots->operands();
    for (unsigned operand = 0; operand < slots->operands(); ++operand)
      component->access.push_back(bundle::Access(slots->accessOf(operand)));
    component->frame_bytes = uint64_t(frame.getBytes());
    component->temporary_offsets.assign(frame.getOffsets().begin(), frame.getOffsets().end());
    component->received_row_bytes = uint64_t(frame.getReceived());
    component->routed_row_bytes = uint64_t(frame.getRouted());
    for (int64_t rows : frame.getRows())
      component->temporary_rows.push_back(bundle::RowCount(rows));
    for (const Interval &temporary : slots->temporaries())
      component->temporary_bytes.push_back(uint64_t(temporary.bytes));
    component->row_flops.resize(2);
    for (auto kernel : function.getOps<KernelOp>()) {
      count(kernel, *component);
      if (table.dry)
        continue;
      LaunchAttr launch = kernel.getLaunchAttr();
      if (!launch)
        return kernel.emitOpError("expects a launch (--hadal-cpu-kernels writes it)");
      auto call = std::make_unique<bundle::KernelCallT>();
      call->kernel = kernelIndex(kernel, launch);
      for (ComponentSlot slot : slots->pointersOf(kernel))
        call->slots.emplace_back(slot.temporary, slot.index);
      call->sizes.assign(launch.getSizes().begin(), launch.getSizes().end());
      call->grid = launch.getGrid();
      if (launch.getRows())
        addRows(kernel, launch, *call);
      component->calls.push_back(std::move(call));
    }
    table.components.push_back(std::move(component));
    return success();
  }

private:
  /// What a kernel computes, and the memory it reads and writes.
  static void count(KernelOp kernel, bundle::ComponentT &component) {
    double flops = 0;
    for (Operation &op : kernel.getBody().front().without_terminator())
      flops += flopsOf(&op);
    component.flops += flops;
    if (auto rows = kernel->getAttrOfType<RowClassAttr>(kRowsAttr))
      component.row_flops[rows.getValue() == RowClass::Routed ? 1 : 0] += flops;
    for (ValueRange values : {ValueRange(kernel.getInputs()), ValueRange(kernel.getOutputs())})
      for (Value value : values)
        component.bytes += double(
            pipe::storedBytes(cast<RankedTensorType>(value.getType()), pipe::storedOf(value)));
  }

  /// How a call follows the number of rows that routing decides.
  static void addRows(KernelOp kernel, LaunchAttr launch, bundle::KernelCallT &call) {
    RowGridAttr rule = launch.getRows();
    bool routed = kernel->getAttrOfType<RowClassAttr>(kRowsAttr).getValue() == RowClass::Routed;
    call.rows = routed ? bundle::RowCount::routed : bundle::RowCount::received;
    call.rows_size = int32_t(rule.getSize());
    call.rows_block = rule.getBlock();
    call.grid_fixed = rule.getFixed();
    call.grid_per_block = rule.getPerBlock();
  }

  uint32_t kernelIndex(KernelOp kernel, LaunchAttr launch) {
    auto [entry, added] = indices.try_emplace(launch.getSymbol(), uint32_t(table.kernels.size()));
    if (added) {
      auto made = std::make_unique<bundle::KernelT>();
      made->symbol = launch.getSymbol().str();
      for (Operation &op : kernel.getBody().front().without_terminator())
        made->kind += (made->kind.empty() ? "" : "+") + op.getName().stripDialect().str();
      table.kernels.push_back(std::move(made));
    }
    uint64_t &scratch = table.kernels[entry->second]->scratch_bytes;
    scratch = std::max(scratch, uint64_t(launch.getScratch()));
    return entry->second;
  }

  bundle::BundleT &table;
  llvm::StringMap<uint32_t> indices;
};

} // namespace

LogicalResult hadal::fillComponents(Export &out) {
  ModuleOp module = out.module;
  bundle::BundleT &table = out.table;
  llvm::StringSet<> launched;
  for (auto program : module.getOps<pipe::ProgramOp>())
    for (auto launch : program.getOps<pipe::LaunchOp>())
      launched.insert(launch.getComponent());
  Components components(table);
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function->hasAttr(kProgramAttr))
      return function.emitOpError("is a program that has no schedule yet (--pipe-expand-programs)");
    if (!isComponent(function) || !launched.contains(function.getSymName()))
      continue;
    out.components[function.getSymName()] = uint32_t(table.components.size());
    if (failed(components.add(function)))
      return failure();
  }
  return success();
}
