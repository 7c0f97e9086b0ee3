// SPDX-License-Identifier: Apache-2.0
//
// How long the parts of an overlapped pair take: the costs that the module carries (hadal.costs),
// or FLOPs and bytes over rates.

#ifndef HADAL_PASSES_SCHEDULE_PAIRCOSTS_H
#define HADAL_PASSES_SCHEDULE_PAIRCOSTS_H

#include "frontend/Costs.h"
#include "passes/Schedule/Overlap.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace hadal::pipe {

/// What a search for the order of a pair reckons with where it is told nothing, a second.
struct Rates {
  double flops = 1e11, memoryBytes = 1e10, exchangeBytes = 2e9;
};

class PairCosts {
public:
  /// `tokens`: of a micro-batch. Reports a text that does not hold costs.
  static llvm::FailureOr<PairCosts> of(mlir::ModuleOp module, const Rates &rates, int64_t tokens);

  /// Microseconds of a launch that computes `flops` and moves `bytes`.
  double launch(llvm::StringRef component, ComponentKind kind, ComponentPhase phase, double flops,
                double bytes) const;
  /// Of an exchange of `bytes` within an expert group of `members` ranks.
  double exchange(ComponentKind kind, ComponentPhase phase, double bytes, int64_t members) const;

private:
  std::optional<double> ofKind(ComponentKind kind, ComponentPhase phase) const;

  std::optional<ComponentCosts> given;
  Rates rates;
  double tokens = 1;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_PAIRCOSTS_H
