// SPDX-License-Identifier: Apache-2.0
//
// See Partition.h. W is decided first: what it takes is held longest. A value that it needs is
// either taken as it is (data of the program, saved by F, stashed by B) or computed again, where
// the plan says so or where that is a mere copy, from values that cost fewer bytes. B then takes
// what W has saved anyway, and decides the rest in the same way.

#include "passes/Differentiate/Partition.h"

using namespace mlir;

namespace hadal {

int64_t bytesOf(Value value) {
  auto tensor = cast<RankedTensorType>(value.getType());
  return tensor.getNumElements() * (tensor.getElementTypeBitWidth() / 8);
}

/// Whether an op does little more than move its operands' elements.
static bool isCopy(Operation *op) {
  return isa<AddOp, CombineWeightsOp, ConcatOp, DispatchOp, DispatchWeightsOp, EmbeddingOp,
             MtpJoinOp, RopeOp, SplitOp>(op);
}

namespace {

using OpSet = SmallPtrSet<Operation *, 32>;

class Partitioner {
public:
  Partitioner(const ComponentGradient &gradient, const RecomputePolicy &policy)
      : gradient(gradient), policy(policy) {}

  Partition run() {
    for (Value value : gradient.inputGradients)
      addSlice(value, backward.ops, [](Operation *) { return true; });
    const OpSet sliceOfBackward = backward.ops;
    hasBackward = !backward.ops.empty();
    for (Value value : gradient.accumulators)
      addSlice(value, weights.ops, [&](Operation *op) { return !sliceOfBackward.contains(op); });
    decide(weights, /*isWeights=*/true);
    for (Value value : weights.data)
      (isStashed(value) ? stash : saved).insert(value);
    // What W takes from F is there for B too; what B has to stash it must compute.
    backward.present.insert(saved.begin(), saved.end());
    decide(backward, /*isWeights=*/false);
    return assemble();
  }

private:
  /// One of the two functions while it is being decided.
  struct Side {
    OpSet ops;
    SetVector<Value> data;
    DenseSet<Value> present; ///< values that are there for other reasons
    DenseSet<Value> direct;  ///< what its gradient ops read, so that it will be there
  };

  /// Adds the gradient ops that `value` depends on, as far as `belongs` lets it go.
  void addSlice(Value value, OpSet &ops, function_ref<bool(Operation *)> belongs) {
    Operation *op = value ? value.getDefiningOp() : nullptr;
    if (!op || !gradient.gradientOps.contains(op) || !belongs(op) || !ops.insert(op).second)
      return;
    for (Value operand : op->getOperands())
      addSlice(operand, ops, belongs);
  }

  bool isResult(Value value) const { return llvm::is_contained(gradient.results, value); }
  bool isOfForward(Value value) const {
    Operation *op = value.getDefiningOp();
    return op && !gradient.gradientOps.contains(op);
  }

  /// Whether the plan has this value of the forward pass recomputed.
  bool isForced(Value value) const {
    auto result = dyn_cast<OpResult>(value);
    if (!result || !isOfForward(value) || isResult(value) || result.getResultNumber() != 0)
      return false;
    Operation *op = result.getOwner();
    if (isa<RmsNormOp>(op))
      return policy.norms;
    if (isa<SwigluOp>(op))
      return policy.swiglu;
    if (auto linear = dyn_cast<LinearOp>(op); linear && policy.mlaUp) {
      const ScratchArgument *weight = gradient.argument(linear.getWeight());
      return weight && weight->isBound() &&
             (weight->binding.getName().ends_with(".q_b_proj.weight") ||
              weight->binding.getName().ends_with(".kv_b_proj.weight"));
    }
    return false;
  }

  /// Whether W gets `value` from B.
  bool isStashed(Value value) const {
    if (!value.getDefiningOp())
      return false;
    return !isOfForward(value) || isForced(value);
  }

  /// Whether `value` may be computed in a function instead of being handed to it.
  bool mayCompute(Value value) const {
    Operation *op = value.getDefiningOp();
    return op && !isResult(value) && (isForced(value) || isCopy(op));
  }

  bool isFree(Value value, const Side &side) const {
    const ScratchArgument *argument = gradient.argument(value);
    Operation *op = value.getDefiningOp();
    return (argument && argument->isBound()) || (op && side.ops.contains(op)) ||
           side.data.contains(value) || side.present.contains(value);
  }

  /// Bytes it takes to have `value` on a side, over what is there.
  int64_t cost(Value value, const Side &side, bool isWeights) const {
    if (isFree(value, side))
      return 0;
    if (!mayCompute(value))
      return bytesOf(value);
    int64_t computed = costOfOperands(value, side, isWeights);
    return mustCompute(value, isWeights) ? computed : std::min(computed, bytesOf(value));
  }
  int64_t costOfOperands(Value value, const Side &side, bool isWeights) const {
    int64_t sum = 0;
    SmallPtrSet<Value, 4> seen;
    for (Value operand : value.getDefiningOp()->getOperands())
      if (seen.insert(operand).second && !side.direct.contains(operand))
        sum += cost(operand, side, isWeights);
    return sum;
  }
  /// A forced value has no other source than B, which then has none but its own computation.
  bool mustCompute(Value value, bool isWeights) const {
    return isForced(value) && !(isWeights && hasBackward);
  }

  void take(Value value, Side &side, bool isWeights) {
    if (isFree(value, side)) {
      if (side.present.contains(value))
        side.data.insert(value);
      return;
    }
    if (!mayCompute(value) || (!mustCompute(value, isWeights) &&
                               costOfOperands(value, side, isWeights) >= bytesOf(value))) {
      side.data.insert(value);
      return;
    }
    Operation *op = value.getDefiningOp();
    side.ops.insert(op);
    for (Value operand : op->getOperands())
      take(operand, side, isWeights);
  }

  /// Takes all that the ops of a side need: first what has no alternative, then what the plan
  /// recomputes, then copies.
  void decide(Side &side, bool isWeights) {
    SmallVector<Value> needed[3];
    auto need = [&](Value value) {
      side.direct.insert(value);
      needed[!mayCompute(value) ? 0 : isForced(value) ? 1 : 2].push_back(value);
    };
    if (!isWeights)
      for (Value value : stash)
        if (isForced(value))
          need(value);
    for (Operation &op : gradient.body())
      if (side.ops.contains(&op))
        for (Value operand : op.getOperands())
          need(operand);
    for (const SmallVector<Value> &values : needed)
      for (Value value : values)
        take(value, side, isWeights);
    // Other results of what is computed anyway.
    side.data.remove_if([&](Value value) {
      Operation *op = value.getDefiningOp();
      return op && side.ops.contains(op);
    });
  }

  SmallVector<Operation *> inOrder(const OpSet &ops) const {
    SmallVector<Operation *> sorted;
    for (Operation &op : gradient.body())
      if (ops.contains(&op))
        sorted.push_back(&op);
    return sorted;
  }

  /// Sorts gradients of results first, then the component's data, then what ops define, each in
  /// order.
  template <typename Range> SmallVector<Value> inOrder(const Range &values) const {
    SmallVector<Value> sorted;
    auto addIf = [&](Value value) {
      if (llvm::is_contained(values, value))
        sorted.push_back(value);
    };
    for (bool ofResults : {true, false})
      for (BlockArgument argument : gradient.body().getArguments())
        if (ofResults ==
            (gradient.argument(argument)->kind == ScratchArgument::Kind::ResultGradient))
          addIf(argument);
    for (Operation &op : gradient.body())
      for (Value result : op.getResults())
        addIf(result);
    return sorted;
  }

  Partition assemble() {
    Partition partition;
    partition.backwardOps = inOrder(backward.ops);
    partition.weightOps = inOrder(weights.ops);
    partition.backwardData = inOrder(backward.data);
    partition.weightData = inOrder(weights.data);
    for (Value value : backward.data)
      saved.insert(value);
    for (Value value : inOrder(saved))
      if (isOfForward(value) && !isResult(value))
        partition.saved.push_back(value);
    partition.stash = inOrder(stash);
    for (const OpSet *ops : {&backward.ops, &weights.ops})
      partition.recomputed +=
          llvm::count_if(*ops, [&](Operation *op) { return !gradient.gradientOps.contains(op); });
    return partition;
  }

  const ComponentGradient &gradient;
  const RecomputePolicy &policy;
  bool hasBackward = false;
  Side backward, weights;
  SetVector<Value> saved, stash; ///< `saved`: all that W or B take from before B
};

} // namespace

Partition partition(const ComponentGradient &gradient, const RecomputePolicy &policy) {
  return Partitioner(gradient, policy).run();
}

} // namespace hadal
