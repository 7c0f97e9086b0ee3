// SPDX-License-Identifier: Apache-2.0
//
// Attention components: multi-head latent attention over a window, or over the latent cache, and
// the router.

#include "frontend/BuildLayers.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace hadal {

static constexpr StringLiteral kLayer = "model.layers.{layer}.";

int64_t tablePositions(const ModelSpec &spec) {
  return llvm::alignTo(spec.maxPositionEmbeddings, kCacheBlock);
}

Value BuildLayers::rope(BuildComponent &part, Value input, int64_t heads, Value position) const {
  Type table = part.f32({tablePositions(spec), spec.qkRopeHeadDim / 2});
  Value cos = part.bound(BindingKind::Constant, "rotary_cos", table);
  Value sin = part.bound(BindingKind::Constant, "rotary_sin", table);
  return RopeOp::create(part.builder, part.loc, input, cos, sin, position, heads,
                        spec.qkRopeHeadDim, /*inverse=*/false, RotaryPairs::Interleaved);
}

BuildLayers::Heads BuildLayers::project(BuildComponent &part, Value input, Value position) const {
  const int64_t heads = spec.numAttentionHeads, queryWidth = heads * spec.qkHeadDim();
  std::string path = (kLayer + "self_attn.").str();
  Heads result;
  if (spec.qLoraRank) {
    Value low = part.linear(input, path + "q_a_proj", spec.qLoraRank);
    low = part.norm(low, path + "q_a_layernorm", spec.latentNormEps);
    result.query = part.linear(low, path + "q_b_proj", queryWidth);
  } else {
    result.query = part.linear(input, path + "q_proj", queryWidth);
  }
  result.query = rope(part, result.query, heads, position);
  Value joint =
      part.linear(input, path + "kv_a_proj_with_mqa", spec.kvLoraRank + spec.qkRopeHeadDim);
  auto split = SplitOp::create(part.builder, part.loc, joint, spec.kvLoraRank);
  result.latent = part.norm(split.getFirst(), path + "kv_a_layernorm", spec.latentNormEps);
  result.keyRotary = rope(part, split.getSecond(), 1, position);
  return result;
}

Value BuildLayers::attend(BuildComponent &part, const Heads &heads) const {
  Value keyValue = part.linear(heads.latent, (kLayer + "self_attn.kv_b_proj").str(),
                               spec.numAttentionHeads * (spec.qkNopeHeadDim + spec.vHeadDim));
  return AttentionOp::create(part.builder, part.loc, heads.query, keyValue, heads.keyRotary,
                             part.builder.getI64IntegerAttr(spec.numAttentionHeads),
                             part.builder.getF64FloatAttr(spec.softmaxScale()))
      .getOutput();
}

std::pair<Value, Value> BuildLayers::attendCached(BuildComponent &part, const Heads &heads) const {
  OpBuilder &builder = part.builder;
  int64_t blocks = tablePositions(spec) / kCacheBlock;
  Value cache = part.bound(BindingKind::State, "cache.{layer}",
                           part.f32({blocks, kCacheBlock, spec.kvLoraRank + spec.qkRopeHeadDim}));
  Value table = part.bound(BindingKind::State, "block_table",
                           RankedTensorType::get(blocks, builder.getI32Type()));
  Value position = part.scalar("position"), valid = part.scalar("valid");
  cache = CacheAppendOp::create(builder, part.loc, heads.latent, heads.keyRotary, cache, table,
                                position, valid);
  Value up =
      part.weight((kLayer + "self_attn.kv_b_proj.weight").str(),
                  {spec.numAttentionHeads * (spec.qkNopeHeadDim + spec.vHeadDim), spec.kvLoraRank});
  Value output = CachedAttentionOp::create(
      builder, part.loc, heads.query, up, cache, table, position,
      builder.getI64IntegerAttr(spec.numAttentionHeads),
      builder.getI64IntegerAttr(spec.qkRopeHeadDim), builder.getF64FloatAttr(spec.softmaxScale()));
  return {output, cache};
}

void BuildLayers::route(BuildComponent &part, const TokenForm &form, Value input,
                        SmallVectorImpl<BuildComponent::Result> &results) const {
  OpBuilder &builder = part.builder;
  std::string path = (kLayer + "mlp.gate").str();
  int64_t experts = spec.numRoutedExperts;
  Value logits = part.linear(input, path, experts);
  auto route = RouteOp::create(
      builder, part.loc, logits, part.weight(path + ".e_score_correction_bias", experts),
      builder.getI64IntegerAttr(spec.numGroups), builder.getI64IntegerAttr(spec.topkGroups),
      builder.getI64IntegerAttr(spec.numExpertsPerToken), builder.getBoolAttr(spec.normTopkProb),
      builder.getF64FloatAttr(spec.routedScalingFactor),
      builder.getF64FloatAttr(spec.topkWeightSumEps),
      RouterScoreAttr::get(builder.getContext(), RouterScore::Sigmoid),
      GroupRankAttr::get(builder.getContext(), GroupRank::TopTwoSum),
      MaskKindAttr::get(builder.getContext(), MaskKind::MinusInfinity));
  auto order = SortByExpertOp::create(builder, part.loc, route.getExperts(), experts);
  if (!form.cached)
    results.push_back(route.getExperts());
  results.append({route.getWeights(), order.getOffsets(), order.getSource(), order.getSlot()});
  if (form.cached)
    return;
  Value total = part.bound(BindingKind::State, "counts.{layer}",
                           RankedTensorType::get(experts, builder.getI64Type()));
  results.push_back(
      AccumulateCountsOp::create(builder, part.loc, order.getCounts(), total).getResult());
  if (plan.sequenceBalanceAlpha == 0)
    return;
  auto balance = SequenceBalanceOp::create(builder, part.loc, route.getScores(),
                                           builder.getI64IntegerAttr(spec.numExpertsPerToken),
                                           builder.getF64FloatAttr(plan.sequenceBalanceAlpha));
  results.push_back({balance.getLoss(), "seed.balance"});
}

func::FuncOp BuildLayers::attention(const TokenForm &form, bool experts) {
  std::string name = form.prefix + (experts ? "attn_moe" : "attn_dense") + form.suffix;
  return once(name, phaseOf(form), [&](BuildComponent &part) {
    Value input = part.data(activation(part, form));
    Value normed = part.norm(input, (kLayer + "input_layernorm").str(), spec.rmsNormEps);
    Heads heads = project(part, normed, form.cached ? part.scalar("position") : Value());
    Value attended, cache;
    if (form.cached)
      std::tie(attended, cache) = attendCached(part, heads);
    else
      attended = attend(part, heads);
    Value output = part.linear(attended, (kLayer + "self_attn.o_proj").str(), spec.hiddenSize);
    Value hidden = part.add(input, output);
    normed = part.norm(hidden, (kLayer + "post_attention_layernorm").str(), spec.rmsNormEps);
    SmallVector<BuildComponent::Result> results{hidden, normed};
    if (experts)
      route(part, form, normed, results);
    if (cache)
      results.push_back(cache);
    return part.finish(results);
  });
}

} // namespace hadal
