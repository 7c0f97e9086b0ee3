// SPDX-License-Identifier: Apache-2.0
//
// See SplitExperts.h.

#include "passes/Partition/SplitExperts.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace hadal {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The one op of a kind in a component; null where there is none or more than one.
template <typename OpTy> static OpTy only(func::FuncOp component) {
  auto ops = component.getOps<OpTy>();
  return llvm::hasSingleElement(ops) ? *ops.begin() : OpTy();
}

/// The number of result `value` of a component, or -1.
static int64_t resultNumber(func::FuncOp component, Value value) {
  auto results = component.front().getTerminator()->getOperands();
  auto found = llvm::find(results, value);
  return found == results.end() ? -1 : int64_t(found - results.begin());
}

// --- router ---

FailureOr<SplitRouter> splitRouter(func::FuncOp component, int64_t members) {
  auto sort = only<SortByExpertOp>(component);
  int64_t experts = sort ? resultNumber(component, sort.getExperts()) : -1;
  if (experts < 0)
    return component.emitOpError("expected one hadal.sort_by_expert, of experts that the component "
                                 "gives");
  OpBuilder builder(component.front().getTerminator());
  auto layout = ExchangeLayoutOp::create(builder, sort.getLoc(), sort.getExperts(), members,
                                         sort.getExpertCount());
  SplitRouter split{component, {}, 0, 0};
  SmallVector<Value> results;
  SmallVector<DictionaryAttr> attributes;
  for (auto [i, value] : llvm::enumerate(component.front().getTerminator()->getOperands())) {
    bool isOrder =
        value == sort.getOffsets() || value == sort.getSource() || value == sort.getSlot();
    split.newResult.push_back(isOrder ? -1 : int64_t(results.size()));
    if (isOrder)
      continue;
    results.push_back(value);
    attributes.push_back(component.getResultAttrDict(unsigned(i)));
  }
  split.experts = unsigned(split.newResult[size_t(experts)]);
  split.layout = unsigned(results.size());
  llvm::append_range(results, layout.getResults());
  attributes.resize(results.size(), builder.getDictionaryAttr({}));
  component.front().getTerminator()->setOperands(results);
  component.setType(
      builder.getFunctionType(component.getArgumentTypes(), TypeRange(ValueRange(results))));
  component.setAllResultAttrs(attributes);
  return split;
}

// --- experts ---

namespace {

/// A function under construction: data arguments as they are asked for, bound ones behind them.
class FunctionWriter {
public:
  FunctionWriter(func::FuncOp like, StringRef name) : builder(like.getContext()) {
    builder.setInsertionPoint(like);
    function = func::FuncOp::create(builder, like.getLoc(), name, builder.getFunctionType({}, {}));
    function.setVisibility(like.getVisibility());
    function->setAttr(kPhaseAttr, like->getAttr(kPhaseAttr));
    block = function.addEntryBlock();
    builder.setInsertionPointToEnd(block);
  }

  /// An argument behind those of its kind.
  Value add(Type type, BindingAttr binding = {}) {
    unsigned at = binding ? block->getNumArguments() : data++;
    bindings.insert(bindings.begin() + at, binding);
    return block->insertArgument(at, type, function.getLoc());
  }

  func::FuncOp finish(ArrayRef<Value> results) {
    func::ReturnOp::create(builder, function.getLoc(), results);
    function.setType(
        builder.getFunctionType(block->getArgumentTypes(), TypeRange(ValueRange(results))));
    for (auto [i, binding] : llvm::enumerate(bindings))
      if (binding)
        function.setArgAttr(unsigned(i), kBindingAttr, binding);
    return function;
  }

  /// Copies an op, with the result types that its new operands give.
  LogicalResult clone(Operation *op, IRMapping &mapping) {
    Operation *copy = builder.clone(*op, mapping);
    SmallVector<Type> types;
    if (failed(cast<InferTypeOpInterface>(copy).inferReturnTypes(
            copy->getContext(), copy->getLoc(), copy->getOperands(), copy->getAttrDictionary(),
            copy->getPropertiesStorage(), copy->getRegions(), types)))
      return failure();
    for (auto [result, type] : llvm::zip_equal(copy->getResults(), types))
      result.setType(type);
    return success();
  }

  OpBuilder builder;

private:
  func::FuncOp function;
  Block *block;
  SmallVector<BindingAttr> bindings;
  unsigned data = 0;
};

class Splitter {
public:
  Splitter(func::FuncOp component, int64_t members) : component(component), members(members) {}

  FailureOr<SplitExperts> run() {
    dispatch = only<DispatchOp>(component);
    weigh = only<DispatchWeightsOp>(component);
    combine = only<CombineOp>(component);
    if (!dispatch || !weigh || !combine)
      return component.emitOpError("expected one hadal.dispatch, one hadal.dispatch_weights and "
                                   "one hadal.combine");
    for (Value value :
         {dispatch.getInput(), dispatch.getSource(), dispatch.getSlot(), weigh.getWeights()})
      if (!isData(value))
        return component.emitOpError("expected that rows, weights and their order come from other "
                                     "components");
    classify();
    std::string name = component.getSymName().str();
    if (failed(measure()) || failed(writeExperts()) || failed(writeMerge(name + "_merge")))
      return failure();
    component.erase();
    split.experts.setSymName(name);
    return split;
  }

private:
  bool isData(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && !bindingOf(component, argument.getArgNumber());
  }
  BindingAttr binding(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument ? bindingOf(component, argument.getArgNumber()) : BindingAttr();
  }
  /// The operand of an application that a data argument is.
  unsigned operandOf(Value value) {
    unsigned operand = 0;
    for (unsigned i = 0, e = cast<BlockArgument>(value).getArgNumber(); i < e; ++i)
      operand += !bindingOf(component, i);
    return operand;
  }

  /// What depends on the sum over experts is done at home, behind the exchange.
  void classify() {
    merged.insert(combine.getResult());
    for (Operation &op : component.front().without_terminator())
      if (llvm::any_of(op.getOperands(), [&](Value value) { return merged.contains(value); }))
        merged.insert(op.result_begin(), op.result_end());
  }
  bool isMerge(Operation *op) const {
    return op != combine && op->getNumResults() && merged.contains(op->getResult(0));
  }

  LogicalResult measure() {
    RankedTensorType slot = typeOf(dispatch.getSlot());
    tokens = slot.getDimSize(0) * slot.getDimSize(1);
    chosen = slot.getDimSize(2);
    for (auto product : component.getOps<GroupedLinearOp>()) {
      int64_t count = typeOf(product.getWeight()).getDimSize(0);
      if (!binding(product.getWeight()) || count % members || (experts && count != experts))
        return product.emitOpError("expected a bound weight with experts in a multiple of ")
               << members << ", found " << product.getWeight().getType();
      experts = count;
      slices.insert(product.getWeight());
    }
    if (!experts)
      return component.emitOpError("expected a hadal.grouped_linear");
    split.received = members * tokens;
    split.sent = tokens * std::min(chosen, members);
    split.input = operandOf(dispatch.getInput());
    split.weights = operandOf(weigh.getWeights());
    split.slot = operandOf(dispatch.getSlot());
    return success();
  }

  RankedTensorType resized(RankedTensorType type, ArrayRef<int64_t> shape) {
    return RankedTensorType::get(shape, type.getElementType());
  }

  /// The order of received rows, and what moves by it.
  LogicalResult writeReceived(FunctionWriter &writer, IRMapping &mapping) {
    OpBuilder &builder = writer.builder;
    MLIRContext *context = builder.getContext();
    int64_t width = typeOf(dispatch.getInput()).getDimSize(2);
    Value rows = writer.add(resized(typeOf(dispatch.getInput()), {split.received, width}));
    Value ids = writer.add(resized(typeOf(dispatch.getSlot()), {split.received, chosen}));
    Value weights = writer.add(resized(typeOf(weigh.getWeights()), {split.received, chosen}));
    Value received = writer.add(RankedTensorType::get({2, members + 1}, builder.getI64Type()));
    Value first = writer.add(RankedTensorType::get({}, builder.getI32Type()),
                             BindingAttr::get(context, BindingKind::Scalar, "first_expert"));
    auto sorted =
        SortReceivedOp::create(builder, dispatch.getLoc(), ids, received, first, experts / members);
    mapping.map(dispatch.getSource(), sorted.getSource());
    mapping.map(dispatch.getSlot(), sorted.getSlot());
    mapping.map(dispatch.getResult(), DispatchOp::create(builder, dispatch.getLoc(), rows,
                                                         sorted.getSource(), sorted.getSlot())
                                          .getResult());
    mapping.map(weigh.getWeights(), weights);
    for (auto product : component.getOps<GroupedLinearOp>())
      mapping.map(product.getOffsets(), sorted.getOffsets());
    return success();
  }

  /// Maps an operand that is an argument of the component and not there yet.
  void take(Value value, FunctionWriter &writer, IRMapping &mapping, SmallVector<unsigned> &data) {
    if (!isa<BlockArgument>(value) || mapping.contains(value))
      return;
    if (BindingAttr bound = binding(value)) {
      SmallVector<int64_t> shape(typeOf(value).getShape());
      if (slices.contains(value))
        shape[0] = experts / members;
      mapping.map(value, writer.add(resized(typeOf(value), shape), bound));
      return;
    }
    data.push_back(operandOf(value));
    mapping.map(value, writer.add(value.getType()));
  }

  LogicalResult writeExperts() {
    FunctionWriter writer(component, (component.getSymName() + "_experts").str());
    IRMapping mapping;
    if (failed(writeReceived(writer, mapping)))
      return failure();
    for (Operation &op : component.front().without_terminator()) {
      if (&op == dispatch || isMerge(&op))
        continue;
      for (Value operand : op.getOperands())
        take(operand, writer, mapping, split.expertsData);
      if (failed(writer.clone(&op, mapping)))
        return failure();
    }
    SmallVector<Value> results{mapping.lookup(combine.getResult())};
    for (Operation &op : component.front().without_terminator())
      for (Value operand : op.getOperands())
        if (isMerge(&op) && operand.getDefiningOp() && !merged.contains(operand) &&
            !llvm::is_contained(passed, operand)) {
          passed.push_back(operand);
          results.push_back(mapping.lookup(operand));
        }
    split.experts = writer.finish(results);
    return success();
  }

  LogicalResult writeMerge(const std::string &name) {
    if (Operation *other = SymbolTable::lookupSymbolIn(component->getParentOp(), name))
      return other->emitError() << "the name @" << name << " is that of a part of component @"
                                << component.getSymName();
    FunctionWriter writer(component, name);
    IRMapping mapping;
    RankedTensorType sum = typeOf(combine.getResult());
    Value rows = writer.add(resized(sum, {split.sent, sum.getDimSize(2)}));
    RankedTensorType slot = typeOf(dispatch.getSlot());
    Value sendSlot = writer.add(resized(slot, {slot.getDimSize(0), slot.getDimSize(1), members}));
    for (Value value : passed)
      mapping.map(value, writer.add(value.getType()));
    mapping.map(
        combine.getResult(),
        CombineMembersOp::create(writer.builder, combine.getLoc(), rows, sendSlot).getResult());
    for (Operation &op : component.front().without_terminator()) {
      if (!isMerge(&op))
        continue;
      for (Value operand : op.getOperands())
        take(operand, writer, mapping, split.mergeData);
      if (failed(writer.clone(&op, mapping)))
        return failure();
    }
    SmallVector<Value> results;
    for (Value value : component.front().getTerminator()->getOperands()) {
      if (!merged.contains(value))
        return component.emitOpError("expected results that depend on the experts' rows");
      results.push_back(mapping.lookup(value));
    }
    split.merge = writer.finish(results);
    return success();
  }

  func::FuncOp component;
  int64_t members, tokens = 0, chosen = 0, experts = 0;
  DispatchOp dispatch;
  DispatchWeightsOp weigh;
  CombineOp combine;
  DenseSet<Value> merged, slices;
  SmallVector<Value> passed; ///< from the experts' component to the merge
  SplitExperts split;
};

} // namespace

FailureOr<SplitExperts> splitExperts(func::FuncOp component, int64_t members) {
  return Splitter(component, members).run();
}

} // namespace hadal
