// SPDX-License-Identifier: Apache-2.0
//
// See MasterWeights.h.

#include "passes/Quantize/MasterWeights.h"

using namespace mlir;
using namespace hadal;

/// Which argument of a component is the weight that its AdamW updates; -1: it has none.
static int64_t weightOf(func::FuncOp component) {
  bool updates = false;
  component.walk([&](AdamwOp) { updates = true; });
  for (unsigned argument = 0; updates && argument < component.getNumArguments(); ++argument)
    if (BindingAttr binding = bindingOf(component, argument))
      if (binding.getKind() == BindingKind::Weight)
        return argument;
  return -1;
}

static void addMaster(pipe::LaunchOp launch, unsigned argument) {
  auto weight = launch.getBuffers()[argument].getDefiningOp<pipe::BufferOp>();
  OpBuilder builder(weight);
  auto master = pipe::BufferOp::create(
      builder, weight.getLoc(), builder.getType<pipe::BufferType>(), /*name=*/StringAttr(),
      pipe::StorageKindAttr::get(builder.getContext(), pipe::StorageKind::Moment1),
      builder.getStringAttr(*weight.getStorage() + kMaster), /*offset=*/IntegerAttr(),
      /*shard=*/pipe::GroupAttr(), /*rows=*/pipe::RowCountAttr(), weight.getTypeAttr());
  launch.getBuffersMutable()[argument].set(master);
  builder.setInsertionPointAfter(launch);
  pipe::CopyOp::create(builder, launch.getLoc(), master, weight, launch.getStream());
}

int64_t hadal::addMasterWeights(ModuleOp module) {
  llvm::StringMap<int64_t> weights;
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isExternal())
      weights[function.getSymName()] = weightOf(function);
  SmallVector<std::pair<pipe::LaunchOp, unsigned>> launches;
  for (auto program : module.getOps<pipe::ProgramOp>())
    for (auto launch : program.getOps<pipe::LaunchOp>())
      if (auto found = weights.find(launch.getComponent());
          found != weights.end() && found->second >= 0)
        launches.push_back({launch, unsigned(found->second)});
  for (auto [launch, argument] : launches)
    addMaster(launch, argument);
  return int64_t(launches.size());
}

bool hadal::isFromMaster(Operation *instruction) {
  auto copy = dyn_cast<pipe::CopyOp>(instruction);
  auto from = copy ? copy.getFrom().getDefiningOp<pipe::BufferOp>() : pipe::BufferOp();
  return from && from.getKind() == pipe::StorageKind::Moment1 &&
         from.getStorage()->ends_with(kMaster);
}
