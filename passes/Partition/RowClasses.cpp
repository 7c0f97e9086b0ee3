// SPDX-License-Identifier: Apache-2.0
//
// --hadal-row-classes: which values have as many rows as routing gives.

#include "passes/Fuse/FusionRules.h"
#include "passes/Partition/Passes.h"

#include "llvm/ADT/StringMap.h"

namespace hadal {
#define GEN_PASS_DEF_ROWCLASSESPASS
#include "passes/Partition/Passes.h.inc"
} // namespace hadal

using namespace mlir;
using namespace hadal;

namespace {

using Class = std::optional<RowClass>;

/// The classes of the values of one function.
class Classes {
public:
  Class of(Value value) const {
    auto found = classes.find(value);
    return found == classes.end() ? Class() : Class(found->second);
  }
  void set(Value value, Class rows) {
    if (rows)
      classes[value] = *rows;
  }

  /// Classes of an op's results, and of the op (the rows it runs over).
  LogicalResult visit(Operation *op) {
    if (auto sort = dyn_cast<SortReceivedOp>(op)) {
      set(sort.getSource(), RowClass::Routed);
      set(sort.getSlot(), RowClass::Received);
      return success();
    }
    if (auto gradient = dyn_cast<GroupedWeightGradientOp>(op))
      return mark(op, of(gradient.getRows()));
    Class rows;
    if (isa<DispatchOp, DispatchWeightsOp>(op)) {
      rows = of(op->getOperand(1)); // source
    } else if (isa<CombineOp, CombineWeightsOp>(op)) {
      rows = of(op->getOperand(2)); // slot
    } else {
      for (Value operand : op->getOperands())
        if (Class found = of(operand)) {
          if (rows && rows != found)
            return op->emitOpError("reads received and routed rows together");
          rows = found;
        }
    }
    if (!rows)
      return success();
    if (!rowDomain(op) && !isProduct(op))
      return op->emitOpError("reads all rows of a value whose number of rows routing decides");
    for (Value result : op->getResults())
      set(result, rows);
    return mark(op, rows);
  }

private:
  static LogicalResult mark(Operation *op, Class rows) {
    if (rows)
      op->setAttr(kRowsAttr, RowClassAttr::get(op->getContext(), *rows));
    return success();
  }

  DenseMap<Value, RowClass> classes;
};

struct RowClasses : hadal::impl::RowClassesPassBase<RowClasses> {
  using RowClassesPassBase::RowClassesPassBase;

  /// The classes of a component's results, given those of its data arguments.
  FailureOr<SmallVector<Class>> visitComponent(ApplyOp apply, ArrayRef<Class> inputs) {
    auto [entry, isNew] = known.try_emplace(apply.getComponent());
    Component &component = entry->second;
    if (!isNew && component.inputs != inputs) {
      apply.emitOpError("expected operands of @")
          << apply.getComponent() << " to have received and routed rows at the same places "
          << "wherever it is applied";
      return failure();
    }
    if (!isNew)
      return component.results;
    component.inputs.assign(inputs.begin(), inputs.end());
    auto function = symbols->lookup<func::FuncOp>(apply.getComponent());
    if (!function || function.isExternal()) {
      apply.emitOpError("expected a component with a body, found @") << apply.getComponent();
      return failure();
    }
    Classes classes;
    const Class *next = inputs.begin();
    for (BlockArgument argument : function.getArguments())
      if (!bindingOf(function, argument.getArgNumber())) {
        classes.set(argument, *next);
        if (Class rows = *next++)
          function.setArgAttr(argument.getArgNumber(), kRowsAttr,
                              RowClassAttr::get(&getContext(), *rows));
      }
    for (Operation &op : function.front().without_terminator())
      if (failed(classes.visit(&op)))
        return failure();
    for (OpOperand &result : function.front().getTerminator()->getOpOperands()) {
      component.results.push_back(classes.of(result.get()));
      if (Class rows = component.results.back())
        function.setResultAttr(result.getOperandNumber(), kRowsAttr,
                               RowClassAttr::get(&getContext(), *rows));
    }
    return component.results;
  }

  LogicalResult visitProgram(func::FuncOp program) {
    Classes classes;
    for (Operation &op : program.front()) {
      if (auto exchange = dyn_cast<ExchangeOp>(op)) {
        if (exchange.getKind() == ExchangeKind::Scatter)
          for (Value moved : exchange.getMoved())
            classes.set(moved, RowClass::Received);
        continue;
      }
      auto apply = dyn_cast<ApplyOp>(op);
      if (!apply)
        continue;
      SmallVector<Class> inputs;
      for (Value input : apply.getInputs())
        inputs.push_back(classes.of(input));
      FailureOr<SmallVector<Class>> results = visitComponent(apply, inputs);
      if (failed(results))
        return failure();
      for (auto [value, rows] : llvm::zip_equal(apply.getOutputs(), *results))
        classes.set(value, rows);
    }
    return success();
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable table(module);
    symbols = &table;
    known.clear();
    bool any = false;
    module.walk([&](ExchangeOp) { any = true; });
    if (!any)
      return;
    for (auto program : module.getOps<func::FuncOp>())
      if (program->hasAttr(kProgramAttr) && failed(visitProgram(program)))
        return signalPassFailure();
    module.walk([&](Operation *op) { ops += op->hasAttr(kRowsAttr); });
  }

private:
  struct Component {
    SmallVector<Class> inputs, results;
  };
  SymbolTable *symbols = nullptr;
  llvm::StringMap<Component> known;
};

} // namespace
