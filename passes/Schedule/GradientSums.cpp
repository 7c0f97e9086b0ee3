// SPDX-License-Identifier: Apache-2.0
//
// See GradientSums.h.

#include "passes/Schedule/GradientSums.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

namespace {

class GradientSums {
public:
  GradientSums(ModuleOp module, ProgramBuilder &builder)
      : module(module), symbols(module), builder(builder) {}

  LogicalResult run() {
    SmallVector<BufferOp> all = builder.gradients();
    for (BufferOp buffer : all) {
      StringRef name = *buffer.getStorage();
      if (name.consume_back(kSecondHalf) && failed(add(buffer, name)))
        return failure();
    }
    for (BufferOp buffer : all) {
      StringRef name = *buffer.getStorage();
      if (!name.ends_with(kSecondHalf) && name.contains('#') &&
          failed(add(buffer, name.split('#').first)))
        return failure();
    }
    return success();
  }

private:
  LogicalResult add(BufferOp value, StringRef into) {
    BufferOp sum = builder.gradient(into);
    if (!sum || sum.getType() != value.getType())
      return value.emitOpError("expects an accumulator \"")
             << into << "\" of the same type to be added to";
    builder.launch(component(value.tensorType()), {value, sum}, PhaseKind::WeightGradient);
    return success();
  }

  /// One kernel: behind Fuse nothing forms it any more.
  func::FuncOp component(RankedTensorType type) {
    func::FuncOp &found = components[type];
    if (found)
      return found;
    Location loc = module.getLoc();
    OpBuilder at(module.getContext());
    std::string name = "accumulate_";
    llvm::raw_string_ostream stream(name);
    llvm::interleave(type.getShape(), stream, "x");
    found = func::FuncOp::create(at, loc, name, at.getFunctionType({type, type}, {type}));
    found.setPrivate();
    found->setAttr(kPhaseAttr, PhaseKindAttr::get(module.getContext(), PhaseKind::WeightGradient));
    Block *body = found.addEntryBlock();
    at.setInsertionPointToStart(body);
    auto kernel = KernelOp::create(at, loc, type, body->getArguments(), /*launch=*/nullptr);
    func::ReturnOp::create(at, loc, kernel.getResults());
    Block &inner = kernel.getBody().emplaceBlock();
    inner.addArguments({type, type}, {loc, loc});
    at.setInsertionPointToStart(&inner);
    auto sum = AccumulateOp::create(at, loc, type, inner.getArgument(0), inner.getArgument(1));
    YieldOp::create(at, loc, sum->getResults());
    // In front of the programs, where the other components are.
    symbols.insert(found, firstProgram());
    return found;
  }

  Block::iterator firstProgram() {
    for (Operation &op : *module.getBody())
      if (isa<ProgramOp, ScheduleOp>(op) || op.hasAttr(kProgramAttr))
        return op.getIterator();
    return module.getBody()->end();
  }

  ModuleOp module;
  SymbolTable symbols;
  ProgramBuilder &builder;
  llvm::DenseMap<Type, func::FuncOp> components;
};

} // namespace

LogicalResult pipe::addGradientSums(ModuleOp module, ProgramBuilder &builder) {
  return GradientSums(module, builder).run();
}
