// SPDX-License-Identifier: Apache-2.0
//
// See ComponentGradient.h.

#include "passes/Differentiate/ComponentGradient.h"

using namespace mlir;

namespace hadal {

StringRef lossSeed(func::FuncOp component, unsigned result) {
  auto seed = component.getResultAttrOfType<StringAttr>(result, kSeedAttr);
  return seed ? seed.getValue() : StringRef();
}

bool isDifferentiable(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && tensor.getElementType().isF32();
}

std::string accumulatorName(func::FuncOp component, StringRef name) {
  bool ofMtp = name == "model.embed_tokens.weight" && !component.getOps<MtpJoinOp>().empty();
  return ofMtp ? (name + "#mtp").str() : name.str();
}

namespace {

class ReverseMode {
public:
  ReverseMode(func::FuncOp component, const BitVector &wantedInputs)
      : wantedInputs(wantedInputs), builder(component.getContext()) {
    gradient.component = component;
    gradient.scratch = component.clone();
  }

  FailureOr<ComponentGradient> run(const BitVector &resultGradients) {
    prepare();
    if (failed(seed(resultGradients)))
      return failure();
    for (Operation *op : llvm::reverse(forwardOps))
      if (failed(differentiateOp(op)))
        return failure();
    finish();
    return std::move(gradient);
  }

private:
  using Kind = ScratchArgument::Kind;

  void prepare() {
    Block &body = gradient.body();
    for (unsigned i = 0, e = body.getNumArguments(); i < e; ++i) {
      BindingAttr binding = bindingOf(gradient.component, i);
      gradient.arguments.push_back({binding ? Kind::Bound : Kind::Input, i, binding});
      bool isWeight = binding && binding.getKind() == BindingKind::Weight;
      if (isWeight ? isDifferentiable(body.getArgument(i).getType()) : wantedInputs.test(i))
        active.insert(body.getArgument(i));
    }
    for (Operation &op : body.without_terminator()) {
      forwardOps.push_back(&op);
      if (llvm::any_of(op.getOperands(), [&](Value operand) { return active.contains(operand); }))
        for (Value result : op.getResults())
          active.insert(result);
    }
    llvm::append_range(gradient.results, body.getTerminator()->getOperands());
    builder.setInsertionPoint(body.getTerminator());
  }

  Value addArgument(Type type, Kind kind, unsigned index, BindingAttr binding) {
    gradient.arguments.push_back({kind, index, binding});
    return gradient.body().addArgument(type, gradient.component.getLoc());
  }

  LogicalResult seed(const BitVector &resultGradients) {
    for (auto [i, result] : llvm::enumerate(gradient.results)) {
      if (resultGradients.test(i))
        contribute(result, addArgument(result.getType(), Kind::ResultGradient, i, {}));
      StringRef name = lossSeed(gradient.component, i);
      if (name.empty())
        continue;
      if (name != "seed.main" && name != "seed.mtp" && name != "seed.balance")
        return gradient.component.emitOpError()
               << "result #" << i
               << ": expected a loss seeded by seed.main, seed.mtp or seed.balance, found '" << name
               << "'";
      if (result.getType() != RankedTensorType::get({}, builder.getF64Type()))
        return gradient.component.emitOpError()
               << "result #" << i << ": expected a loss of type tensor<f64>, found "
               << result.getType();
      BindingAttr binding = BindingAttr::get(builder.getContext(), BindingKind::Scalar, name);
      contribute(result, addArgument(RankedTensorType::get({}, builder.getF32Type()), Kind::Seed, i,
                                     binding));
    }
    return success();
  }

  void contribute(Value value, Value part) { contributions[value].push_back(part); }

  /// The gradient of `value`: its contributions added in the order they came, last user first.
  Value gradientOf(Value value) {
    auto found = contributions.find(value);
    if (found == contributions.end())
      return {};
    Value sum;
    for (Value part : found->second)
      sum = sum ? AddOp::create(builder, value.getLoc(), sum, part).getResult() : part;
    found->second.assign({sum});
    return sum;
  }

  /// The weight that operand `number` of `op` is; null where it is none.
  BlockArgument weightOf(Operation *op, unsigned number) {
    auto argument = dyn_cast<BlockArgument>(op->getOperand(number));
    if (!argument)
      return {};
    BindingAttr binding = gradient.arguments[argument.getArgNumber()].binding;
    return binding && binding.getKind() == BindingKind::Weight ? argument : BlockArgument();
  }

  /// The running value of a weight's accumulator.
  Value &accumulatorOf(BlockArgument weight) {
    Value &value = accumulators[weight.getArgNumber()];
    if (!value) {
      BindingAttr binding = gradient.arguments[weight.getArgNumber()].binding;
      std::string name = accumulatorName(gradient.component, binding.getName());
      value = addArgument(weight.getType(), Kind::Accumulator, weight.getArgNumber(),
                          BindingAttr::get(builder.getContext(), BindingKind::Gradient, name));
    }
    return value;
  }

  LogicalResult differentiateOp(Operation *op) {
    SmallVector<Value> resultGradients;
    for (Value result : op->getResults())
      resultGradients.push_back(active.contains(result) ? gradientOf(result) : Value());
    if (llvm::none_of(resultGradients, [](Value value) { return bool(value); }))
      return success();
    auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
    if (!differentiable)
      return op->emitOpError()
             << "has no gradient, and a weight or an input before it in component @"
             << gradient.component.getSymName() << " needs one";
    BitVector added(op->getNumOperands()), refused(op->getNumOperands());
    auto accumulator = [&](unsigned number) -> Value {
      BlockArgument weight = weightOf(op, number);
      if (!weight) {
        refused.set(number);
        return {};
      }
      added.set(number);
      return accumulatorOf(weight);
    };
    SmallVector<Value> gradients =
        differentiable.buildGradient(builder, resultGradients, accumulator);
    if (gradients.size() != op->getNumOperands())
      return op->emitOpError() << "expected " << op->getNumOperands()
                               << " operand gradients, found " << gradients.size();
    for (unsigned number : refused.set_bits())
      if (!gradients[number] && active.contains(op->getOperand(number)))
        return op->emitOpError() << "has a gradient for operand #" << number
                                 << " only where that is a weight of component @"
                                 << gradient.component.getSymName() << ", found a computed value";
    for (auto [number, value] : llvm::enumerate(gradients))
      if (value && failed(addOperandGradient(op, number, value, added.test(number))))
        return failure();
    return success();
  }

  /// The type of the gradient of an operand: its own, but by token for rows that are the same for
  /// all members.
  static Type gradientType(Operation *op, unsigned number) {
    return isa<CombineMembersOp>(op) ? op->getResult(0).getType()
                                     : op->getOperand(number).getType();
  }

  LogicalResult addOperandGradient(Operation *op, unsigned number, Value value, bool added) {
    Value operand = op->getOperand(number);
    if (value.getType() != gradientType(op, number))
      return op->emitOpError() << "gradient of operand #" << number << ": expected "
                               << gradientType(op, number) << ", found " << value.getType();
    if (BlockArgument weight = weightOf(op, number)) {
      Value &sum = accumulatorOf(weight);
      sum = added ? value : AccumulateOp::create(builder, op->getLoc(), value, sum).getResult();
    } else if (active.contains(operand)) {
      contribute(operand, value);
    }
    return success();
  }

  void finish() {
    unsigned count = gradient.component.getNumArguments();
    for (unsigned i = 0; i < count; ++i) {
      bool wanted = !bindingOf(gradient.component, i) && wantedInputs.test(i);
      gradient.inputGradients.push_back(wanted ? gradientOf(gradient.body().getArgument(i))
                                               : Value());
    }
    for (auto &[weight, value] : accumulators)
      if (!isa<BlockArgument>(value))
        gradient.accumulators.push_back(value);
    SmallPtrSet<Operation *, 32> forward(forwardOps.begin(), forwardOps.end());
    for (Operation &op : gradient.body().without_terminator())
      if (!forward.contains(&op))
        gradient.gradientOps.insert(&op);
  }

  const BitVector &wantedInputs;
  OpBuilder builder;
  ComponentGradient gradient;
  SmallVector<Operation *> forwardOps;
  DenseSet<Value> active; ///< depends on a weight or a wanted input
  DenseMap<Value, SmallVector<Value, 2>> contributions;
  std::map<unsigned, Value> accumulators; ///< by the weight's argument
};

} // namespace

FailureOr<ComponentGradient> differentiate(func::FuncOp component, const BitVector &resultGradients,
                                           const BitVector &wantedInputs) {
  return ReverseMode(component, wantedInputs).run(resultGradients);
}

} // namespace hadal
