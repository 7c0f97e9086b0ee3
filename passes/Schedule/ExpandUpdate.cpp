// SPDX-License-Identifier: Apache-2.0
//
// The program of the optimizer on several ranks; see ExpandGradients.h.

#include "passes/Schedule/ExpandGradients.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

namespace {

/// The op of that kind in a component's kernels, or null.
template <typename Op> Op opIn(func::FuncOp component) {
  Op found;
  component.walk([&](Op op) { found = op; });
  return found;
}

class RankUpdate {
public:
  RankUpdate(Expansion &expansion, func::FuncOp source, const HolderTable &holders, int64_t rank)
      : expansion(expansion), components(expansion.components), source(source), holders(holders),
        rank(rank), builder(components, source, expansion.layout,
                            {"update", rank, 0, /*stages=*/false, nullptr, nullptr}) {}

  LogicalResult run() {
    for (auto apply : source.getOps<ApplyOp>())
      if (failed(this->apply(apply)))
        return failure();
    for (auto output : source.getOps<OutputOp>())
      if (failed(builder.output(output, -1)))
        return failure();
    builder.finish();
    expansion.made.add(builder);
    return success();
  }

private:
  LogicalResult apply(ApplyOp apply) {
    FailureOr<const Component *> component = components.of(apply);
    if (failed(component))
      return failure();
    func::FuncOp function = (*component)->function;
    if (opIn<SquareSumOp>(function))
      return squares(apply);
    if (opIn<ClipFactorOp>(function))
      return clip(apply);
    if (opIn<AdamwOp>(function))
      return adamw(apply, **component);
    if (opIn<BiasUpdateOp>(function))
      return bias(apply);
    return apply.emitOpError("is no part of the optimizer that ranks could share");
  }

  /// The parameter's holders: null in success for one of other ranks.
  FailureOr<const Holders *> holdersOf(ApplyOp apply) {
    const Holders *found = holders.find(apply.getParameter().value_or(""));
    if (!found)
      return apply.emitOpError("updates a parameter that no rank adds to the gradient of");
    return found->has(rank) ? found : nullptr;
  }

  /// This rank's part of a tensor that all holders have: whole where it is the only one.
  BufferOp part(StorageKind kind, StringRef name, const Holders &holder) {
    return builder.stored(kind, name, holder.windowType(),
                          holder.sharded() ? holder.group : GroupAttr());
  }

  LogicalResult squares(ApplyOp apply) {
    FailureOr<const Holders *> holder = holdersOf(apply);
    if (failed(holder) || !*holder)
      return holder;
    BufferOp gradient = part(StorageKind::Gradient, *apply.getParameter(), **holder);
    func::FuncOp component =
        components.make("square_blocks", gradient.getType(), PhaseKind::Update,
                        [&](OpBuilder &at, ValueRange values) -> Operation * {
                          return SquareSumOp::create(at, apply.getLoc(), values[0]);
                        });
    BufferOp sums = builder.arenaBuffer(component.getResultTypes()[0]);
    builder.launch(component, {gradient, sums}, PhaseKind::Update, *apply.getParameter());
    blocks.push_back(sums);
    parameters.push_back(*apply.getParameter());
    groups.push_back((*holder)->group);
    return success();
  }

  LogicalResult clip(ApplyOp apply) {
    OpBuilder &at = builder.end();
    auto total = RankedTensorType::get({}, at.getF64Type());
    TotalSquaresOp::create(at, apply.getLoc(), blocks,
                           builder.stored(StorageKind::State, kSquaresState, total),
                           at.getStrArrayAttr(parameters), at.getArrayAttr(groups), /*stream=*/0);
    return builder.step(apply, PhaseKind::Update, -1);
  }

  LogicalResult adamw(ApplyOp apply, const Component &component) {
    FailureOr<const Holders *> found = holdersOf(apply);
    if (failed(found) || !*found)
      return found;
    const Holders &holder = **found;
    StringRef name = *apply.getParameter();
    func::FuncOp function = component.function;
    auto whole = cast<RankedTensorType>(opIn<AdamwOp>(function).getParameter().getType());
    func::FuncOp local = components.reshaped(function, whole, holder.windowType());
    SmallVector<Value> buffers;
    unsigned input = 0;
    for (auto [argument, binding] : llvm::enumerate(component.bindings)) {
      Type type = local.getArgumentTypes()[argument];
      if (!binding)
        buffers.push_back(builder.dataOf(apply.getInputs()[input++], -1));
      else if (binding.getKind() == BindingKind::Weight)
        buffers.push_back(part(StorageKind::Parameter, name, holder));
      else if (binding.getKind() == BindingKind::Gradient)
        buffers.push_back(part(StorageKind::Gradient, name, holder));
      else if (binding.getKind() == BindingKind::Moment1)
        buffers.push_back(builder.stored(StorageKind::Moment1, name, type));
      else if (binding.getKind() == BindingKind::Moment2)
        buffers.push_back(builder.stored(StorageKind::Moment2, name, type));
      else
        buffers.push_back(builder.stored(StorageKind::Scalar, boundName(binding, apply), type));
    }
    builder.launch(local, buffers, PhaseKind::Update, name);
    if (holder.sharded())
      AllGatherOp::create(builder.end(), apply.getLoc(),
                          builder.stored(StorageKind::Parameter, name, holder.type), holder.group,
                          name, /*stream=*/0);
    return success();
  }

  LogicalResult bias(ApplyOp apply) {
    for (const std::string &state : components.bound(apply, BindingKind::State)) {
      auto group = holders.counts().find(state);
      if (group == holders.counts().end())
        return apply.emitOpError("takes \"") << state << "\", which no rank counts";
      if (!llvm::is_contained(group->second.getRanks(), rank))
        return success();
    }
    return builder.step(apply, PhaseKind::Update, -1);
  }

  Expansion &expansion;
  Components &components;
  func::FuncOp source;
  const HolderTable &holders;
  int64_t rank;
  ProgramBuilder builder;
  SmallVector<Value> blocks;
  SmallVector<StringRef> parameters;
  SmallVector<Attribute> groups;
};

} // namespace

LogicalResult pipe::expandUpdate(Expansion &expansion, func::FuncOp source,
                                 const HolderTable &holders) {
  for (int64_t rank = 0; rank < expansion.layout.ranks; ++rank)
    if (failed(RankUpdate(expansion, source, holders, rank).run()))
      return failure();
  return success();
}
