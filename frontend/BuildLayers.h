// SPDX-License-Identifier: Apache-2.0
//
// The components of a model: one function per layer kind and shape.

#ifndef HADAL_FRONTEND_BUILDLAYERS_H
#define HADAL_FRONTEND_BUILDLAYERS_H

#include "frontend/BuildComponent.h"
#include "frontend/Plan.h"

namespace hadal {

/// Over which tokens a component works, and how its name says so: `PREFIXattn_moeSUFFIX`.
struct TokenForm {
  std::string prefix, suffix;
  int64_t sequences = 1, tokens = 1;
  bool cached = false; ///< generation: attention over the latent cache
  int64_t depth = 0;   ///< of MTP; 0: the main model
};

/// Results of an attention component beside h and n: what the experts take, then what a program
/// names.
struct AttentionResults {
  static constexpr unsigned hidden = 0, normed = 1;
  /// Of a layer with experts, training form.
  static constexpr unsigned experts = 2, weights = 3, offsets = 4, source = 5, slot = 6, counts = 7,
                            balance = 8;
};

/// Makes components, each once.
class BuildLayers {
public:
  using FuncOp = mlir::func::FuncOp;

  BuildLayers(mlir::ModuleOp module, const ModelSpec &spec, const Plan &plan)
      : module(module), spec(spec), plan(plan) {}

  FuncOp embed(const TokenForm &form, int64_t idColumns);
  /// Norm, attention with its projections, residual, norm; with experts the router too.
  FuncOp attention(const TokenForm &form, bool experts);
  /// The MLP with its residual.
  FuncOp mlp(const TokenForm &form, bool experts);
  FuncOp finalNorm(const TokenForm &form);
  FuncOp headLoss(const TokenForm &form);
  /// The start of an MTP depth; its hidden state has `hiddenTokens` positions.
  FuncOp join(const TokenForm &form, int64_t hiddenTokens);
  /// Final norm and head of the last valid token.
  FuncOp head(const TokenForm &form);

private:
  struct Heads {
    mlir::Value query, latent, keyRotary;
  };
  /// The function of this name, made by `make` where it is not there yet.
  FuncOp once(const std::string &name, PhaseKind phase,
              llvm::function_ref<FuncOp(BuildComponent &)> make);
  static PhaseKind phaseOf(const TokenForm &form);
  mlir::RankedTensorType activation(BuildComponent &part, const TokenForm &form) const;
  mlir::RankedTensorType ids(BuildComponent &part, int64_t sequences, int64_t columns) const;

  /// Queries, the normed latent and the rotated key of all heads.
  Heads project(BuildComponent &part, mlir::Value input, mlir::Value position) const;
  mlir::Value rope(BuildComponent &part, mlir::Value input, int64_t heads,
                   mlir::Value position) const;
  mlir::Value attend(BuildComponent &part, const Heads &heads) const;
  /// The same over the cache; gives the cache too.
  std::pair<mlir::Value, mlir::Value> attendCached(BuildComponent &part, const Heads &heads) const;
  void route(BuildComponent &part, const TokenForm &form, mlir::Value input,
             llvm::SmallVectorImpl<BuildComponent::Result> &results) const;
  mlir::Value routed(BuildComponent &part, mlir::Value input, mlir::ValueRange routing) const;

  mlir::ModuleOp module;
  const ModelSpec &spec;
  const Plan &plan;
  llvm::StringMap<FuncOp> made;
};

/// Positions the rotary tables and the latent cache hold: max_position_embeddings, in whole cache
/// blocks.
int64_t tablePositions(const ModelSpec &spec);

} // namespace hadal

#endif // HADAL_FRONTEND_BUILDLAYERS_H
