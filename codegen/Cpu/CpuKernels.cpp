// SPDX-License-Identifier: Apache-2.0
//
// hadal-cpu-kernels: chooses the family of each kernel and writes one function for all kernels with
// one key.

#include "codegen/Cpu/KernelBuilder.h"
#include "codegen/Cpu/Object.h"
#include "codegen/Cpu/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Dominance.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace hadal {
#define GEN_PASS_DEF_CPUKERNELSPASS
#include "codegen/Cpu/Passes.h.inc"

namespace {

using cpu::KernelBuilder;
using cpu::KernelConfig;
using cpu::KernelEmitter;

const KernelEmitter *familyOf(KernelOp kernel) {
  for (const KernelEmitter *family :
       {&cpu::attentionEmitter(), &cpu::productEmitter(), &cpu::rowEmitter(), &cpu::tileEmitter(),
        &cpu::singleEmitter()})
    if (family->accepts(kernel))
      return family;
  return nullptr;
}

/// Names of the region's ops without the dialect's, joined by `separator`.
std::string opNames(KernelOp kernel, StringRef separator, unsigned most) {
  SmallVector<StringRef> names;
  for (Operation &op : kernel.getBody().front().without_terminator()) {
    if (names.size() == most) {
      names.push_back("etc");
      break;
    }
    names.push_back(op.getName().stripDialect());
  }
  return llvm::join(names, separator);
}

/// Which operands share memory: a kernel whose operands are all different may assume that its
/// pointers are too.
std::string sharedOperands(KernelOp kernel) {
  std::string shared;
  for (auto [i, operand] : llvm::enumerate(kernel.getInputs()))
    for (unsigned j = 0; j < i; ++j)
      if (kernel.getInputs()[j] == operand)
        shared += llvm::formatv("{0}={1};", i, j);
  return shared;
}

struct CpuKernels : impl::CpuKernelsPassBase<CpuKernels> {
  using CpuKernelsPassBase::CpuKernelsPassBase;

  void runOnOperation() override;

private:
  LogicalResult runOnKernel(KernelOp kernel);
  /// Null after an error.
  StringAttr functionOf(KernelOp kernel, const KernelEmitter &family, const KernelConfig &config,
                        bool distinct);

  cpu::Target target;
  ModuleOp kernels;
  llvm::StringMap<StringAttr> functions;
};

/// Keeps LLVM from unrolling loops whose length is only known at run time: their bodies do whole
/// vectors or tiles, so that it gains nothing, and it costs a third of the compile time.
void keepRolled(ModuleOp kernels) {
  MLIRContext *context = kernels.getContext();
  auto unroll =
      LLVM::LoopUnrollAttr::get(context, {}, {}, BoolAttr::get(context, true), {}, {}, {}, {});
  auto annotation = LLVM::LoopAnnotationAttr::get(context, {}, {}, {}, unroll, {}, {}, {}, {}, {},
                                                  {}, {}, {}, {}, {}, {});
  for (auto function : kernels.getOps<LLVM::LLVMFuncOp>()) {
    DominanceInfo dominance(function);
    function.walk([&](LLVM::BrOp branch) {
      if (dominance.dominates(branch.getDest(), branch->getBlock()))
        branch.setLoopAnnotationAttr(annotation);
    });
  }
}

void CpuKernels::runOnOperation() {
  ModuleOp module = getOperation();
  if (module->hasAttr(kDryRunAttr)) // everything but this
    return;
  auto name = module->getAttrOfType<StringAttr>(kCpuAttr);
  std::string cpuName = name ? name.str() : cpu::hostCpu();
  if (!cpu::isKnownCpu(cpuName)) {
    module.emitError("expected the name of an x86-64 CPU that LLVM knows in hadal.cpu; found ")
        << cpuName;
    return signalPassFailure();
  }
  SmallVector<std::string> features = cpu::cpuFeatures(cpuName);
  for (const char *needed : {"avx2", "fma"})
    if (!llvm::is_contained(features, needed)) {
      module.emitError("expected a CPU with ") << needed << " in hadal.cpu; found " << cpuName;
      return signalPassFailure();
    }
  target = cpu::targetOf(cpuName);
  functions.clear();
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  kernels = ModuleOp::create(builder, module.getLoc(), kKernelsModule);

  bool failed = false;
  for (auto component : module.getOps<func::FuncOp>())
    component.walk([&](KernelOp kernel) { failed |= mlir::failed(runOnKernel(kernel)); });
  if (failed)
    return signalPassFailure();
  if (lower) {
    OpPassManager manager(ModuleOp::getOperationName());
    cpu::buildLowering(manager);
    if (mlir::failed(runPipeline(manager, kernels)))
      return signalPassFailure();
    keepRolled(kernels);
  }
}

LogicalResult CpuKernels::runOnKernel(KernelOp kernel) {
  const KernelEmitter *family = familyOf(kernel);
  if (!family)
    return kernel.emitOpError("no family of CPU kernels takes this region (")
           << opNames(kernel, ", ", 8) << ") on target cpu";
  KernelConfig config = family->configure(kernel, target);
  std::string shared = sharedOperands(kernel);
  config.key = llvm::formatv("{0};{1};{2}", family->name(), shared, config.key);
  StringAttr function = functionOf(kernel, *family, config, shared.empty());
  if (!function)
    return failure();
  RowGridAttr rows;
  if (kernel->hasAttr(kRowsAttr)) {
    if (config.rowsSize < 0)
      return kernel.emitOpError("has no CPU kernel for a number of rows that routing decides (")
             << opNames(kernel, ", ", 8) << ")";
    rows = RowGridAttr::get(&getContext(), config.rowsSize, config.rowsBlock, config.gridFixed,
                            config.gridPerBlock);
  }
  kernel.setLaunchAttr(LaunchAttr::get(&getContext(), function, config.sizes, config.grid,
                                       config.scratch, config.flops, rows));
  ++numLaunches;
  return success();
}

/// A function `name` with entry block in front of `before`.
LLVM::LLVMFuncOp addFunction(OpBuilder &builder, Location loc, StringRef name, ArrayRef<Type> types,
                             LLVM::Linkage linkage) {
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(builder.getContext()), types);
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name, type, linkage);
  function.setNoUnwind(true);
  function.addEntryBlock(builder);
  return function;
}

/// Writes the kernel's entry: the C signature, which unpacks its arguments and calls `body`.
void writeEntry(OpBuilder &builder, StringRef name, LLVM::LLVMFuncOp body, size_t pointers,
                size_t sizes) {
  OpBuilder::InsertionGuard guard(builder);
  Location loc = body.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i64 = builder.getI64Type();
  auto entry =
      addFunction(builder, loc, name, {pointer, i64, i64, pointer}, LLVM::Linkage::External);
  builder.setInsertionPointToStart(&entry.front());
  Value arguments = entry.getArgument(0);
  auto fieldAt = [&](Type type, Value base, int32_t at) -> Value {
    Value address =
        LLVM::GEPOp::create(builder, loc, pointer, type, base, ArrayRef<LLVM::GEPArg>{at});
    return LLVM::LoadOp::create(builder, loc, type, address);
  };
  SmallVector<Value> unpacked;
  Value pointerTable = fieldAt(pointer, arguments, 0);
  for (size_t i = 0; i < pointers; ++i)
    unpacked.push_back(fieldAt(pointer, pointerTable, int32_t(i)));
  if (sizes) {
    Value sizeTable = fieldAt(pointer, arguments, 1);
    for (size_t i = 0; i < sizes; ++i)
      unpacked.push_back(fieldAt(i64, sizeTable, int32_t(i)));
  }
  unpacked.append({entry.getArgument(1), entry.getArgument(2), entry.getArgument(3)});
  LLVM::CallOp::create(builder, loc, body, unpacked);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
}

StringAttr CpuKernels::functionOf(KernelOp kernel, const KernelEmitter &family,
                                  const KernelConfig &config, bool distinct) {
  auto [entry, added] = functions.try_emplace(config.key);
  if (!added)
    return entry->second;
  ++numFunctions;
  // Named by what it is, not by its place: another model with the same kernel has the same code,
  // which the cache of objects finds again.
  std::string name = llvm::formatv("k_{0}_{1:x-8}", opNames(kernel, "_", 3),
                                   uint32_t(llvm::xxh3_64bits(config.key)));
  while (kernels.lookupSymbol(name))
    name += "x";
  entry->second = StringAttr::get(&getContext(), name);

  size_t pointers = kernel.getNumOperands();
  for (unsigned result = 0; result < kernel.getNumResults(); ++result)
    pointers += kernel.getUpdatedOperand(result) < 0;
  OpBuilder builder = OpBuilder::atBlockEnd(kernels.getBody());
  auto pointer = LLVM::LLVMPointerType::get(&getContext());
  SmallVector<Type> types(pointers, pointer);
  types.append(config.sizes.size() + 2, builder.getI64Type());
  types.push_back(pointer);
  // Not the entry itself: only arguments can be told apart, not pointers that are loaded.
  auto body = addFunction(builder, kernel.getLoc(), name + "_body", types, LLVM::Linkage::Internal);
  body.setAlwaysInline(true);
  for (unsigned i = 0; i < types.size(); ++i)
    if (types[i] == pointer && (distinct || i + 1 == types.size()))
      body.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
  body.setArgAttr(types.size() - 1, LLVM::LLVMDialect::getAlignAttrName(),
                  builder.getI64IntegerAttr(64));
  writeEntry(builder, name, body, pointers, config.sizes.size());

  OpBuilder inside = OpBuilder::atBlockEnd(&body.front());
  KernelBuilder writer(kernel.getLoc(), inside, target);
  writer.pointers.append(body.getArguments().begin(), body.getArguments().begin() + pointers);
  for (size_t i = 0; i < config.sizes.size(); ++i)
    writer.sizes.push_back(writer.toIndex(body.getArgument(pointers + i)));
  writer.begin = writer.toIndex(body.getArgument(types.size() - 3));
  writer.end = writer.toIndex(body.getArgument(types.size() - 2));
  writer.scratch = body.getArgument(types.size() - 1);
  if (failed(family.emit(kernel, config, writer)))
    return {};
  LLVM::ReturnOp::create(writer, ValueRange());
  return entry->second;
}

} // namespace

} // namespace hadal
