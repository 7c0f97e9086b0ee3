// SPDX-License-Identifier: Apache-2.0
//
// The format in which ops read their operands.
//
//   op                                    operand               fp8      bf16
//   products and their weight gradients   both factors          e4m3     bf16
//     of a weight that stays wide         both factors          bf16     bf16
//   attention's gradient                  attention's output    e5m6 *   bf16
//   SwiGLU and its gradient               gate, up              e4m3 *   bf16
//   norms, sums, rotation, embedding,     what runs over the    bf16     bf16
//   attention, cross entropy              features
//   AdamW                                 moments               the plan's moments
//   all else (router, statistics,         all                   f32      f32
//   accumulators, master weights)
//
//   * where `cache` is fp8; bf16 otherwise. Which weights stay wide is the model's table of
//     parameters: embedding, head, router and eh_proj.

#ifndef HADAL_PASSES_QUANTIZE_DEMANDS_H
#define HADAL_PASSES_QUANTIZE_DEMANDS_H

#include "dialects/Pipe/Stored.h"
#include "passes/Differentiate/Settings.h"

#include "llvm/ADT/StringSet.h"

namespace hadal {

/// What is asked of a value: nothing yet, or a format at least.
using Demand = std::optional<pipe::Stored>;

/// The wider of two.
inline void widen(Demand &demand, Demand other) {
  if (other && (!demand || *other > *demand))
    demand = other;
}

pipe::Stored storedAs(Precision precision);

class DemandRules {
public:
  explicit DemandRules(const Settings &settings);

  const Plan &plan() const { return settings.plan; }

  /// What the component's kernels ask of a value of its body: an argument or a kernel's result.
  Demand of(mlir::func::FuncOp component, mlir::Value value) const;

private:
  Demand ofUse(mlir::func::FuncOp component, KernelOp kernel, mlir::OpOperand &use) const;
  pipe::Stored ofFactor(mlir::func::FuncOp component, KernelOp kernel, mlir::Value weight) const;

  const Settings &settings;
  llvm::StringSet<> narrow; ///< names of weights whose products are narrow, `{layer}` in them
};

} // namespace hadal

#endif // HADAL_PASSES_QUANTIZE_DEMANDS_H
