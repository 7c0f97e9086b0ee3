// SPDX-License-Identifier: Apache-2.0
//
// See Components.h.

#include "passes/Schedule/Components.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

static bool isUsable(func::FuncOp function) {
  if (function.isExternal() || !llvm::hasSingleElement(function.getBody()) ||
      !isa<func::ReturnOp>(function.front().back()))
    return false;
  return llvm::all_of(function.getArgumentTypes(), isBufferType) &&
         llvm::all_of(function.getResultTypes(), isBufferType);
}

static std::optional<RowCount> rowsOf(Attribute attribute) {
  auto rows = dyn_cast_or_null<RowClassAttr>(attribute);
  if (!rows)
    return std::nullopt;
  return rows.getValue() == RowClass::Received ? RowCount::Received : RowCount::Routed;
}

static void describe(Component &made) {
  func::FuncOp function = made.function;
  made.written.resize(function.getNumArguments());
  for (unsigned argument = 0; argument < function.getNumArguments(); ++argument) {
    made.bindings.push_back(bindingOf(function, argument));
    made.counted |= rowsOf(function.getArgAttr(argument, kRowsAttr)).has_value();
  }
  Operation *terminator = function.front().getTerminator();
  for (unsigned result = 0; result < function.getNumResults(); ++result) {
    int64_t argument = updatedArgument(function, result), same = -1;
    if (argument >= 0)
      made.written.set(unsigned(argument));
    for (unsigned earlier = 0; same < 0 && earlier < result; ++earlier)
      if (terminator->getOperand(earlier) == terminator->getOperand(result))
        same = earlier;
    made.updates.push_back(argument);
    made.rows.push_back(rowsOf(function.getResultAttr(result, kRowsAttr)));
    made.counted |= made.rows.back().has_value();
    made.sameAs.push_back(same);
  }
}

/// What a launch computes, and the memory that its kernels read and write.
static void measure(Component &made) {
  for (Operation &op : made.function.front().without_terminator()) {
    op.walk([&](Operation *inner) { made.flops += flopsOf(inner); });
    for (ValueRange values : {ValueRange(op.getOperands()), ValueRange(op.getResults())})
      for (Value value : values)
        if (auto type = dyn_cast<RankedTensorType>(value.getType()); type && isBufferType(type))
          made.bytes += double(bytesOf(type));
  }
}

const Component *Components::find(StringRef symbol) {
  std::unique_ptr<Component> &entry = known[symbol];
  if (entry)
    return entry.get();
  auto function = symbols.lookup<func::FuncOp>(symbol);
  if (!function)
    return nullptr;
  entry = std::make_unique<Component>();
  entry->function = function;
  if (auto phase = function->getAttrOfType<PhaseKindAttr>(kPhaseAttr))
    entry->phase = phase.getValue();
  entry->usable = isUsable(function);
  if (entry->usable) {
    describe(*entry);
    measure(*entry);
  }
  return entry.get();
}

FailureOr<const Component *> Components::of(ApplyOp apply) {
  const Component *component = find(apply.getComponent());
  if (component && component->usable)
    return component;
  func::FuncOp function = component ? component->function : func::FuncOp();
  if (!function || function.isExternal() || !llvm::hasSingleElement(function.getBody()) ||
      !isa<func::ReturnOp>(function.front().back()))
    return apply.emitOpError("expects component ")
           << apply.getComponentAttr() << " to have a body of one block";
  for (TypeRange types : {function.getArgumentTypes(), function.getResultTypes()})
    for (Type type : types)
      if (!isBufferType(type))
        return apply.emitOpError("expects tensors of static shape; found ") << type;
  return failure();
}

PhaseKind Components::phaseOf(Operation *step) {
  if (auto exchange = dyn_cast<ExchangeOp>(step))
    return exchange.getPhase();
  const Component *component = find(cast<ApplyOp>(step).getComponent());
  return component ? component->phase : PhaseKind::Forward;
}

SmallVector<std::string> Components::bound(ApplyOp apply, BindingKind kind) {
  SmallVector<std::string> names;
  if (const Component *component = find(apply.getComponent()))
    for (BindingAttr binding : component->bindings)
      if (binding && binding.getKind() == kind)
        names.push_back(boundName(binding, apply));
  return names;
}

static std::string shapeName(Type type) {
  std::string name;
  llvm::raw_string_ostream stream(name);
  llvm::interleave(cast<RankedTensorType>(type).getShape(), stream, "x");
  return name.empty() ? "scalar" : name;
}

/// In front of the programs, where the other components are.
void Components::insert(func::FuncOp function) {
  Block::iterator position = module.getBody()->end();
  for (Operation &op : *module.getBody())
    if (isa<ProgramOp, ScheduleOp>(op) || op.hasAttr(kProgramAttr)) {
      position = op.getIterator();
      break;
    }
  symbols.insert(function, position);
}

func::FuncOp Components::make(StringRef prefix, TypeRange arguments, PhaseKind phase,
                              llvm::function_ref<Operation *(OpBuilder &, ValueRange)> body) {
  std::string name = (prefix + "_" + shapeName(arguments.front())).str();
  if (const Component *made = find(name))
    return made->function;
  Location loc = module.getLoc();
  OpBuilder at(module.getContext());
  auto function = func::FuncOp::create(at, loc, name, at.getFunctionType(arguments, {}));
  function.setPrivate();
  function->setAttr(kPhaseAttr, PhaseKindAttr::get(module.getContext(), phase));
  Block *outer = function.addEntryBlock();
  // The kernel's results are those of the op inside.
  Block inner;
  inner.addArguments(arguments, SmallVector<Location>(arguments.size(), loc));
  at.setInsertionPointToStart(&inner);
  Operation *op = body(at, inner.getArguments());
  YieldOp::create(at, loc, op->getResults());
  at.setInsertionPointToStart(outer);
  auto kernel = KernelOp::create(at, loc, op->getResultTypes(), outer->getArguments(),
                                 /*launch=*/nullptr);
  Block &moved = kernel.getBody().emplaceBlock();
  moved.addArguments(arguments, SmallVector<Location>(arguments.size(), loc));
  for (auto [old, fresh] : llvm::zip_equal(inner.getArguments(), moved.getArguments()))
    old.replaceAllUsesWith(fresh);
  moved.getOperations().splice(moved.end(), inner.getOperations());
  func::ReturnOp::create(at, loc, kernel.getResults());
  function.setType(at.getFunctionType(arguments, kernel.getResultTypes()));
  insert(function);
  return function;
}

func::FuncOp Components::reshaped(func::FuncOp component, Type from, Type to) {
  if (from == to)
    return component;
  std::string name = (component.getName().rsplit('_').first + "_" + shapeName(to)).str();
  if (const Component *made = find(name))
    return made->function;
  func::FuncOp copy = component.clone();
  copy.setSymName(name);
  auto change = [&](Value value) {
    if (value.getType() == from)
      value.setType(to);
  };
  copy.walk([&](Operation *op) {
    llvm::for_each(op->getResults(), change);
    for (Region &region : op->getRegions())
      for (Block &block : region)
        llvm::for_each(block.getArguments(), change);
  });
  copy.setType(FunctionType::get(copy.getContext(), copy.front().getArgumentTypes(),
                                 copy.front().getTerminator()->getOperandTypes()));
  insert(copy);
  return copy;
}
