// SPDX-License-Identifier: Apache-2.0
//
// The pass --hadal-quantize.

#include "passes/Memory/ComponentSlots.h"
#include "passes/Quantize/Demands.h"
#include "passes/Quantize/MasterWeights.h"
#include "passes/Quantize/Passes.h"

using namespace mlir;
using namespace hadal::pipe;

namespace hadal {

#define GEN_PASS_DEF_QUANTIZEPASS
#include "passes/Quantize/Passes.h.inc"

namespace {

/// Values that are held in one place, or are handed on as they are: sets that have one format.
class Sets {
public:
  unsigned add() {
    parents.push_back(unsigned(parents.size()));
    demands.emplace_back();
    phases.push_back(0);
    return parents.back();
  }
  unsigned find(unsigned node) {
    while (parents[node] != node)
      node = parents[node] = parents[parents[node]];
    return node;
  }
  void join(unsigned a, unsigned b) {
    a = find(a), b = find(b);
    if (a == b)
      return;
    parents[b] = a;
    widen(demands[a], demands[b]);
    phases[a] |= phases[b];
  }
  void ask(unsigned node, Demand demand) { widen(demands[find(node)], demand); }
  /// The node is used in this phase.
  void use(unsigned node, PhaseKind phase) { phases[find(node)] |= 1u << unsigned(phase); }

  /// Whether it waits from the forward pass to what comes behind.
  bool isCached(unsigned node) {
    constexpr unsigned forward = 1u << unsigned(PhaseKind::Forward),
                       behind = 1u << unsigned(PhaseKind::Backward) |
                                1u << unsigned(PhaseKind::WeightGradient);
    unsigned of = phases[find(node)];
    return (of & forward) && (of & behind);
  }
  /// Nobody reads it: as most are.
  Stored formatOf(unsigned node) { return demands[find(node)].value_or(Stored::BF16); }

private:
  std::vector<unsigned> parents, phases;
  std::vector<Demand> demands;
};

class Quantizer {
public:
  Quantizer(ModuleOp module, const Settings &settings)
      : module(module), rules(settings), plan(settings.plan) {}

  LogicalResult run() {
    for (auto function : module.getOps<func::FuncOp>())
      if (isComponent(function) && failed(addComponent(function)))
        return failure();
    for (auto program : module.getOps<ProgramOp>())
      addProgram(program);
    askForCaches();
    for (Component &component : components)
      write(component);
    for (auto &[buffer, node] : buffers)
      write(buffer, node);
    return success();
  }

  int64_t narrowed = 0;

private:
  struct Component {
    func::FuncOp function;
    unsigned first; ///< node of its first operand; the others follow
    ComponentSlots slots;
  };

  LogicalResult addComponent(func::FuncOp function) {
    FailureOr<ComponentSlots> slots = ComponentSlots::compute(function);
    if (failed(slots))
      return failure();
    Component made{function, 0, std::move(*slots)};
    for (unsigned operand = 0; operand < made.slots.operands(); ++operand) {
      unsigned node = sets.add();
      made.first = operand ? made.first : node;
    }
    auto ask = [&](Value value) {
      if (ComponentSlot slot = made.slots.slotOf(value); !slot.temporary)
        sets.ask(made.first + slot.index, rules.of(function, value));
    };
    for (BlockArgument argument : function.getArguments())
      ask(argument);
    for (auto kernel : function.getOps<KernelOp>())
      for (Value result : kernel->getResults())
        ask(result);
    byName[function.getSymName()] = unsigned(components.size());
    components.push_back(std::move(made));
    return success();
  }

  void addProgram(ProgramOp program) {
    for (auto buffer : program.getOps<BufferOp>())
      addBuffer(buffer);
    for (Operation &op : program.getBody().front()) {
      if (auto launch = dyn_cast<LaunchOp>(op))
        addLaunch(launch);
      else if (isa<SendOp, ReceiveOp>(op))
        sets.ask(nodeOf(op.getOperand(0)), Stored::BF16);
      else if (auto exchange = dyn_cast<ExchangeRowsOp>(op))
        addExchange(exchange);
      else if (auto copy = dyn_cast<CopyOp>(op); copy && !isFromMaster(copy))
        sets.join(nodeOf(copy.getFrom()), nodeOf(copy.getTo()));
    }
  }

  unsigned nodeOf(Value buffer) { return buffers.lookup(buffer.getDefiningOp<BufferOp>()); }

  void addBuffer(BufferOp buffer) {
    unsigned node = sets.add();
    buffers[buffer] = node;
    if (buffer.getKind() == StorageKind::Parameter) {
      auto [entry, added] = parameters.try_emplace(*buffer.getStorage(), node);
      if (!added)
        sets.join(entry->second, node);
      return;
    }
    const bool moment =
        buffer.getKind() == StorageKind::Moment1 || buffer.getKind() == StorageKind::Moment2;
    const bool temporary =
        buffer.getKind() == StorageKind::Arena ? !buffer.getName() : buffer.getRows().has_value();
    if (!moment && !temporary) // the runtime, too, reads and writes it
      sets.ask(node, Stored::F32);
  }

  void addLaunch(LaunchOp launch) {
    auto found = byName.find(launch.getComponent());
    if (found == byName.end())
      return;
    Component &component = components[found->second];
    for (auto [operand, buffer] : llvm::enumerate(launch.getBuffers())) {
      unsigned node = nodeOf(buffer);
      if (operand < component.slots.operands())
        sets.join(component.first + unsigned(operand), node);
      if (!buffer.getDefiningOp<BufferOp>().getStorage())
        sets.use(node, launch.getPhase());
    }
  }

  /// Rows go to experts in the format they are read in there, and no narrower than the plan has it:
  /// they are narrowed as they are packed. What experts give comes back as it was made.
  void addExchange(ExchangeRowsOp exchange) {
    for (auto [from, to] : llvm::zip_equal(exchange.getFrom(), exchange.getTo())) {
      if (exchange.getDirection() == Direction::Gather)
        sets.join(nodeOf(from), nodeOf(to));
      else if (plan.dispatch != Precision::FP8)
        sets.ask(nodeOf(to), storedAs(plan.dispatch));
    }
  }

  void askForCaches() {
    if (plan.cache == Precision::FP8)
      return;
    for (auto &[buffer, node] : buffers)
      if (!buffer.getStorage() && sets.isCached(node))
        sets.ask(node, storedAs(plan.cache));
  }

  static bool isF32(Type type) { return cast<RankedTensorType>(type).getElementType().isF32(); }

  StringAttr attribute(Stored stored) {
    return StringAttr::get(module.getContext(), stringifyStored(stored));
  }

  /// Formats of the arguments, results and kernels' results of a component.
  void write(Component &component) {
    func::FuncOp function = component.function;
    auto formatOf = [&](Value value) {
      ComponentSlot slot = component.slots.slotOf(value);
      if (slot.temporary)
        return rules.of(function, value).value_or(Stored::BF16);
      Stored stored = sets.formatOf(component.first + slot.index);
      BindingAttr binding =
          slot.index < function.getNumArguments() ? bindingOf(function, slot.index) : BindingAttr();
      bool weight = binding && binding.getKind() == BindingKind::Weight;
      return stored == Stored::E4M3 && weight ? Stored::E4M3Blocks : stored;
    };
    auto returned = function.front().getTerminator()->getOperands();
    for (BlockArgument argument : function.getArguments())
      if (Stored stored = formatOf(argument); isF32(argument.getType()) && stored != Stored::F32)
        function.setArgAttr(argument.getArgNumber(), kStoredAttr, attribute(stored));
    for (auto [index, value] : llvm::enumerate(returned))
      if (Stored stored = formatOf(value); isF32(value.getType()) && stored != Stored::F32)
        function.setResultAttr(unsigned(index), kStoredAttr, attribute(stored));
    for (auto kernel : function.getOps<KernelOp>()) {
      SmallVector<Attribute> formats;
      for (Value result : kernel->getResults())
        formats.push_back(attribute(isF32(result.getType()) ? formatOf(result) : Stored::F32));
      kernel->setAttr(kStoredAttr, ArrayAttr::get(module.getContext(), formats));
    }
  }

  void write(BufferOp buffer, unsigned node) {
    Stored stored = sets.formatOf(node);
    if (!isF32(buffer.tensorType()) || stored == Stored::F32)
      return;
    if (stored == Stored::E4M3 && buffer.getKind() == StorageKind::Parameter)
      stored = Stored::E4M3Blocks;
    buffer->setAttr(kStoredAttr, attribute(stored));
    ++narrowed;
  }

  ModuleOp module;
  DemandRules rules;
  const Plan &plan;
  Sets sets;
  std::vector<Component> components;
  llvm::StringMap<unsigned> byName, parameters; ///< components; nodes
  llvm::MapVector<BufferOp, unsigned> buffers;
};

struct QuantizePass : impl::QuantizePassBase<QuantizePass> {
  using QuantizePassBase::QuantizePassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!module->hasAttr(kPlanAttr))
      return;
    FailureOr<Settings> settings = readSettings(module);
    if (failed(settings))
      return signalPassFailure();
    if (settings->plan.precision == Precision::F32)
      return;
    masters += addMasterWeights(module);
    Quantizer quantizer(module, *settings);
    if (failed(quantizer.run()))
      return signalPassFailure();
    narrowed += quantizer.narrowed;
  }
};

} // namespace

} // namespace hadal
