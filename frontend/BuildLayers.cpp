// SPDX-License-Identifier: Apache-2.0
//
// Components around attention: embedding, MLPs, MTP's join, heads.

#include "frontend/BuildLayers.h"

using namespace mlir;

namespace hadal {

static constexpr StringLiteral kLayer = "model.layers.{layer}.",
                               kEmbedding = "model.embed_tokens.weight";

func::FuncOp BuildLayers::once(const std::string &name, PhaseKind phase,
                               llvm::function_ref<FuncOp(BuildComponent &)> make) {
  FuncOp &function = made[name];
  if (!function) {
    BuildComponent part(module, spec, name, phase);
    function = make(part);
  }
  return function;
}

PhaseKind BuildLayers::phaseOf(const TokenForm &form) {
  return form.cached ? PhaseKind::Generate : PhaseKind::Forward;
}

RankedTensorType BuildLayers::activation(BuildComponent &part, const TokenForm &form) const {
  return part.f32({form.sequences, form.tokens, spec.hiddenSize});
}

RankedTensorType BuildLayers::ids(BuildComponent &part, int64_t sequences, int64_t columns) const {
  return RankedTensorType::get({sequences, columns}, part.builder.getI32Type());
}

func::FuncOp BuildLayers::embed(const TokenForm &form, int64_t idColumns) {
  return once(form.prefix + "embed" + form.suffix, phaseOf(form), [&](BuildComponent &part) {
    Value tokens = part.data(ids(part, form.sequences, idColumns));
    Value table = part.weight(kEmbedding, {spec.vocabSize, spec.hiddenSize});
    Value rows =
        EmbeddingOp::create(part.builder, part.loc, tokens, table, /*offset=*/0, form.tokens);
    return part.finish({rows});
  });
}

Value BuildLayers::routed(BuildComponent &part, Value input, ValueRange routing) const {
  OpBuilder &builder = part.builder;
  Value weights = routing[0], offsets = routing[1], source = routing[2], slot = routing[3];
  const int64_t experts = spec.numRoutedExperts, width = spec.moeIntermediateSize;
  auto product = [&](Value rows, StringRef name, int64_t out) -> Value {
    Value stack = part.weight((kLayer + "mlp.experts.{expert}." + name + ".weight").str(),
                              {experts, out, BuildComponent::features(rows)});
    return GroupedLinearOp::create(builder, part.loc, rows, stack, offsets,
                                   /*transpose_weight=*/false);
  };
  Value rows = DispatchOp::create(builder, part.loc, input, source, slot);
  Value rowWeights = DispatchWeightsOp::create(builder, part.loc, weights, source, slot);
  Value gate = product(rows, "gate_proj", width), up = product(rows, "up_proj", width);
  Value scaled = SwigluOp::create(builder, part.loc, gate, up, rowWeights);
  Value down = product(scaled, "down_proj", spec.hiddenSize);
  return CombineOp::create(builder, part.loc, down, source, slot);
}

func::FuncOp BuildLayers::mlp(const TokenForm &form, bool experts) {
  std::string name = form.prefix + (experts ? "mlp_moe" : "mlp_dense") + form.suffix;
  return once(name, phaseOf(form), [&](BuildComponent &part) {
    Value hidden = part.data(activation(part, form)), normed = part.data(hidden);
    std::string path = (kLayer + "mlp.").str();
    if (!experts)
      return part.finish({part.add(hidden, part.swiglu(normed, path, spec.intermediateSize))});
    OpBuilder &builder = part.builder;
    const int64_t chosen = spec.numExpertsPerToken, rows = form.sequences * form.tokens * chosen;
    Value weights = part.data(part.f32({form.sequences, form.tokens, chosen}));
    Value offsets =
        part.data(RankedTensorType::get(spec.numRoutedExperts + 1, builder.getI64Type()));
    Value source = part.data(RankedTensorType::get(rows, builder.getI32Type()));
    Value slot = part.data(
        RankedTensorType::get({form.sequences, form.tokens, chosen}, builder.getI32Type()));
    // DESIGN's order of sums: the routed experts ascending, the shared one, the residual.
    Value sum = routed(part, normed, {weights, offsets, source, slot});
    if (spec.numSharedExperts)
      sum = part.add(sum, part.swiglu(normed, path + "shared_experts.",
                                      spec.numSharedExperts * spec.moeIntermediateSize));
    return part.finish({part.add(sum, hidden)});
  });
}

func::FuncOp BuildLayers::finalNorm(const TokenForm &form) {
  std::string name = form.depth ? form.prefix + "norm" : "final_norm";
  std::string weight = form.depth ? (kLayer + "shared_head.norm").str() : "model.norm";
  return once(name, phaseOf(form), [&](BuildComponent &part) {
    return part.finish({part.norm(part.data(activation(part, form)), weight, spec.rmsNormEps)});
  });
}

func::FuncOp BuildLayers::headLoss(const TokenForm &form) {
  return once(form.prefix + "head_loss", phaseOf(form), [&](BuildComponent &part) {
    Value normed = part.data(activation(part, form));
    Value tokens = part.data(ids(part, form.sequences, plan.windowTokens() + 1));
    Value logits = part.linear(normed, "lm_head", spec.vocabSize);
    bool window = spec.mtpLossNormalisation == MtpLossNormalisation::Window;
    int64_t positions = window ? plan.windowTokens() : form.tokens;
    auto loss = CrossEntropyOp::create(part.builder, part.loc, logits, tokens, form.depth + 1,
                                       form.sequences * positions);
    return part.finish({{loss.getLoss(), form.depth ? "seed.mtp" : "seed.main"}, logits});
  });
}

func::FuncOp BuildLayers::join(const TokenForm &form, int64_t hiddenTokens) {
  return once(form.prefix + "join", phaseOf(form), [&](BuildComponent &part) {
    OpBuilder &builder = part.builder;
    Value tokens = part.data(ids(part, form.sequences, plan.windowTokens() + 1));
    Value hidden = part.data(part.f32({form.sequences, hiddenTokens, spec.hiddenSize}));
    Value table = part.weight(kEmbedding, {spec.vocabSize, spec.hiddenSize});
    Value embedding =
        EmbeddingOp::create(builder, part.loc, tokens, table, form.depth, form.tokens);
    embedding = part.norm(embedding, (kLayer + "enorm").str(), spec.rmsNormEps);
    hidden = part.norm(hidden, (kLayer + "hnorm").str(), spec.rmsNormEps);
    HalfOrder order = spec.mtpHalfOrder == MtpHalfOrder::EmbeddingFirst ? HalfOrder::EmbeddingFirst
                                                                        : HalfOrder::HiddenFirst;
    Value joined = MtpJoinOp::create(builder, part.loc, embedding, hidden, order);
    return part.finish({part.linear(joined, (kLayer + "eh_proj").str(), spec.hiddenSize)});
  });
}

func::FuncOp BuildLayers::head(const TokenForm &form) {
  return once("head" + form.suffix, phaseOf(form), [&](BuildComponent &part) {
    Value hidden = part.data(activation(part, form));
    Value last = LastTokenOp::create(part.builder, part.loc, hidden, part.scalar("valid"));
    Value normed = part.norm(last, "model.norm", spec.rmsNormEps);
    return part.finish({part.linear(normed, "lm_head", spec.vocabSize)});
  });
}

} // namespace hadal
