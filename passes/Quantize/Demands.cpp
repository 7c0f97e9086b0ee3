// SPDX-License-Identifier: Apache-2.0
//
// See Demands.h.

#include "passes/Quantize/Demands.h"

#include "frontend/WeightNames.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal;
using pipe::Stored;

Stored hadal::storedAs(Precision precision) {
  switch (precision) {
  case Precision::F32:
    return Stored::F32;
  case Precision::BF16:
    return Stored::BF16;
  case Precision::FP8:
    return Stored::E4M3;
  }
  llvm_unreachable("unknown precision");
}

DemandRules::DemandRules(const Settings &settings) : settings(settings) {
  for (const ParameterInfo &info : parameters(settings.spec)) {
    if (!info.quantised)
      continue;
    std::string name = info.name, layer = ".layers." + std::to_string(info.layer) + ".";
    if (size_t at = name.find(layer); at != std::string::npos)
      name.replace(at, layer.size(), ".layers.{layer}.");
    narrow.insert(name);
  }
}

/// What both factors of a product with this weight (or its accumulator) are read in.
Stored DemandRules::ofFactor(func::FuncOp component, KernelOp kernel, Value weight) const {
  auto inner = dyn_cast<BlockArgument>(weight);
  auto outer =
      inner ? dyn_cast<BlockArgument>(kernel.getInputs()[inner.getArgNumber()]) : BlockArgument();
  BindingAttr binding = outer ? bindingOf(component, outer.getArgNumber()) : BindingAttr();
  StringRef name = binding ? binding.getName().split('#').first : StringRef();
  return narrow.contains(name) ? storedAs(plan().precision) : Stored::BF16;
}

Demand DemandRules::ofUse(func::FuncOp component, KernelOp kernel, OpOperand &use) const {
  const unsigned operand = use.getOperandNumber();
  const bool cached = plan().cache == Precision::FP8 && plan().precision == Precision::FP8;
  auto upTo = [&](unsigned count, Stored stored) { return operand < count ? stored : Stored::F32; };
  return llvm::TypeSwitch<Operation *, Demand>(use.getOwner())
      .Case<LinearOp, GroupedLinearOp>(
          [&](auto op) { return ofFactor(component, kernel, op.getWeight()); })
      .Case<WeightGradientOp, GroupedWeightGradientOp>(
          [&](auto op) { return upTo(2, ofFactor(component, kernel, op.getAccumulator())); })
      .Case([&](DispatchOp op) {
        // Moves rows only.
        Demand demand;
        for (OpOperand &next : op.getRows().getUses())
          widen(demand, ofUse(component, kernel, next));
        return demand;
      })
      .Case<AttentionGradientOp, AttentionGradientHeadsOp>([&](Operation *) {
        return operand == 4 ? cached ? Stored::E5M6 : Stored::BF16 : upTo(4, Stored::BF16);
      })
      .Case([&](SwigluOp) { return upTo(2, cached ? Stored::E4M3 : Stored::BF16); })
      .Case([&](SwigluGradientOp) {
        return operand && cached ? upTo(3, Stored::E4M3) : upTo(3, Stored::BF16);
      })
      .Case<AttentionOp, AddOp, SumHeadsOp, SplitOp, ConcatOp, MtpJoinOp, MtpJoinGradientOp,
            CombineMembersOp, EmbeddingOp>([&](Operation *) { return Stored::BF16; })
      .Case<CombineOp, EmbeddingGradientOp, RopeOp, CrossEntropyRowsOp>(
          [&](Operation *) { return upTo(1, Stored::BF16); })
      .Case([&](RmsNormOp) { return Stored::BF16; })
      .Case([&](RmsNormGradientOp) {
        return operand == 2 ? Stored::F32 : Stored::BF16; // the inverse of the root mean square
      })
      .Case([&](RmsNormWeightGradientOp) { return upTo(2, Stored::BF16); })
      .Case([&](CrossEntropyGradientOp) { return operand == 1 ? Stored::BF16 : Stored::F32; })
      .Case([&](AdamwOp) {
        return operand == 2 || operand == 3 ? storedAs(plan().moments) : Stored::F32;
      })
      .Case([&](YieldOp) { return Demand(); }) // a value handed on asks for nothing by itself
      .Default([&](Operation *) { return Stored::F32; });
}

Demand DemandRules::of(func::FuncOp component, Value value) const {
  Demand demand;
  for (OpOperand &use : value.getUses())
    if (auto kernel = dyn_cast<KernelOp>(use.getOwner())) {
      BlockArgument inner = kernel.getBody().front().getArgument(use.getOperandNumber());
      for (OpOperand &read : inner.getUses())
        widen(demand, ofUse(component, kernel, read));
    }
  return demand;
}
