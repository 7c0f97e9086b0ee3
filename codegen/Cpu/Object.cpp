// SPDX-License-Identifier: Apache-2.0
//
// See Object.h. Each kernel is compiled for itself, in a context of its own, by any thread; LLD
// joins the objects in the kernels' order.

#include "codegen/Cpu/Object.h"

#include "codegen/Cpu/ObjectCache.h"

#include "lld/Common/Driver.h"
#include "mlir/IR/Threading.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/Instrumentation/AddressSanitizer.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace mlir;

namespace hadal::cpu {

constexpr StringLiteral kTriple = "x86_64-unknown-linux-gnu";

// --- what a CPU has ---

/// Features that code of ours can profit from and that the runtime can check for.
constexpr StringLiteral kUsedFeatures[] = {
    "adx",      "avx",  "avx2",   "avx512bw", "avx512cd", "avx512dq", "avx512f",
    "avx512vl", "bmi",  "bmi2",   "f16c",     "fma",      "lzcnt",    "movbe",
    "popcnt",   "sse3", "sse4.1", "sse4.2",   "ssse3"};

static const llvm::Target *x86() {
  static const llvm::Target *target = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    std::string error;
    return llvm::TargetRegistry::lookupTarget(llvm::Triple(kTriple), error);
  }();
  return target;
}

static std::unique_ptr<llvm::MCSubtargetInfo> describeCpu(StringRef cpu) {
  return std::unique_ptr<llvm::MCSubtargetInfo>(
      x86()->createMCSubtargetInfo(llvm::Triple(kTriple), cpu, ""));
}

bool isKnownCpu(StringRef cpu) {
  if (cpu.empty() || !x86())
    return false;
  // Not through a subtarget for `cpu`: making one complains on standard error.
  std::unique_ptr<llvm::MCSubtargetInfo> any = describeCpu("");
  return any->isCPUStringValid(cpu);
}

std::string hostCpu() { return llvm::sys::getHostCPUName().str(); }

SmallVector<std::string> cpuFeatures(StringRef cpu) {
  SmallVector<std::string> features;
  std::unique_ptr<llvm::MCSubtargetInfo> info = describeCpu(cpu);
  for (StringRef feature : kUsedFeatures)
    if (info->checkFeatures(("+" + feature).str()))
      features.push_back(feature.str());
  return features;
}

Target targetOf(StringRef cpu) {
  Target target;
  target.cpu = cpu.str();
  SmallVector<std::string> features = cpuFeatures(cpu);
  if (llvm::is_contained(features, "avx512f") && llvm::is_contained(features, "avx512vl")) {
    target.lanes = 16;
    target.registers = 32;
  }
  return target;
}

// --- machine code of one part ---

static std::unique_ptr<llvm::TargetMachine> machineFor(StringRef cpu) {
  SmallVector<std::string> has = cpuFeatures(cpu);
  std::string features;
  std::unique_ptr<llvm::MCSubtargetInfo> info = describeCpu(cpu);
  for (const llvm::SubtargetFeatureKV &feature : info->getAllProcessorFeatures())
    if (StringRef name(feature.Key);
        (name.starts_with("avx") || name == "gfni" || name == "fma4" || name == "xop") &&
        !llvm::is_contained(has, name))
      features += (features.empty() ? "-" : ",-") + std::string(feature.Key);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict; // a multiply and an add stay two roundings
  return std::unique_ptr<llvm::TargetMachine>(
      x86()->createTargetMachine(llvm::Triple(kTriple), cpu, features, options, llvm::Reloc::PIC_,
                                 llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
}

static void optimize(llvm::Module &module, llvm::TargetMachine &machine, bool checkMemory) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder passes(&machine);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(calls);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, calls, modules);
  if (checkMemory)
    passes.registerOptimizerLastEPCallback(
        [](llvm::ModulePassManager &manager, llvm::OptimizationLevel, llvm::ThinOrFullLTOPhase) {
          llvm::AddressSanitizerOptions options;
          options.InstrumentationWithCallsThreshold = 0; // inline, a tile's checks are huge
          // Constants are registered by code: the tables that a linker would collect have bounds
          // that only it knows.
          manager.addPass(llvm::AddressSanitizerPass(options, /*UseGlobalGC=*/false));
        });
  passes.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

using Bytes = ObjectBytes;

/// The object file of `module`, or what is wrong with it.
static std::string compile(llvm::Module &module, const Target &target, bool checkMemory,
                           Bytes &object) {
  std::string problem;
  llvm::raw_string_ostream problems(problem);
  if (llvm::verifyModule(module, &problems))
    return problem;
  std::unique_ptr<llvm::TargetMachine> machine = machineFor(target.cpu);
  module.setTargetTriple(llvm::Triple(kTriple));
  module.setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : module) {
    if (!function.isDeclaration() && target.lanes == 16)
      function.addFnAttr("prefer-vector-width", "512");
    if (!function.isDeclaration() && checkMemory)
      function.addFnAttr(llvm::Attribute::SanitizeAddress);
  }
  optimize(module, *machine, checkMemory);
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager emission;
  if (machine->addPassesToEmitFile(emission, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return "LLVM cannot emit an object file";
  emission.run(module);
  return {};
}

/// The name of a symbol that the C library of a machine without our compiler may not give us; empty
/// when there is none.
static std::string foreignSymbol(const Bytes &object) {
  auto file = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(StringRef(object.data(), object.size()), "kernels"));
  if (!file) {
    llvm::consumeError(file.takeError());
    return "?";
  }
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    llvm::Expected<StringRef> name = symbol.getName();
    if (!flags || !name) {
      llvm::consumeError(flags.takeError());
      llvm::consumeError(name.takeError());
      return "?";
    }
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty() && *name != "memcpy" &&
        *name != "memset" && *name != "memmove" && !name->starts_with("__asan_"))
      return name->str();
  }
  return {};
}

// --- parts and linking ---

/// A module for each kernel: its entry and the body it calls.
static SmallVector<OwningOpRef<ModuleOp>> cut(ModuleOp kernels) {
  SmallVector<OwningOpRef<ModuleOp>> parts;
  for (Operation &op : *kernels.getBody()) {
    // A body comes first and its entry follows.
    auto function = dyn_cast<LLVM::LLVMFuncOp>(op);
    if (parts.empty() || !function || function.getLinkage() == LLVM::Linkage::Internal)
      parts.push_back(ModuleOp::create(kernels.getLoc()));
    OpBuilder::atBlockEnd(parts.back()->getBody()).clone(op);
  }
  return parts;
}

/// The object of one part, made or found.
static std::string build(ModuleOp part, const Target &target, bool checkMemory,
                         const ObjectCache &cache, Bytes &object) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module =
      translateModuleToLLVMIR(part, context, "kernels", /*disableVerification=*/true);
  if (!module)
    return "cannot be translated to LLVM IR";
  std::string key;
  if (cache.isOn()) {
    key = cache.keyOf(*module, target.cpu + (checkMemory ? " checked" : ""));
    if (cache.find(key, object))
      return {};
  }
  if (std::string problem = compile(*module, target, checkMemory, object); !problem.empty())
    return problem;
  if (std::string name = foreignSymbol(object); !name.empty())
    return "code calls " + name + ", which no library gives it";
  cache.keep(key, object);
  return {};
}

namespace {
/// A folder of this process, removed with everything in it.
struct TemporaryFolder {
  SmallString<64> path;
  std::error_code error = llvm::sys::fs::createUniqueDirectory("hadal-kernels", path);
  ~TemporaryFolder() {
    if (!error)
      error = llvm::sys::fs::remove_directories(path); // what stays is the system's to clear
  }
  std::string file(const Twine &name) const { return (path + "/" + name).str(); }
};
} // namespace

static std::error_code writeFile(StringRef path, const Bytes &bytes) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (error)
    return error;
  stream.write(bytes.data(), bytes.size());
  stream.close();
  return stream.error();
}

static std::string link(ArrayRef<Bytes> objects, std::string &shared) {
  TemporaryFolder folder;
  if (folder.error)
    return "cannot make a temporary folder: " + folder.error.message();
  std::vector<std::string> words = {"ld.lld",
                                    "-shared",
                                    "--build-id=none",
                                    "--hash-style=gnu",
                                    "--strip-all",
                                    "--threads=1",
                                    "-znow",
                                    "-zrelro",
                                    "-o",
                                    folder.file("kernels.so")};
  for (auto [i, object] : llvm::enumerate(objects)) {
    if (object.empty())
      continue;
    words.push_back(folder.file(Twine(i) + ".o"));
    if (std::error_code error = writeFile(words.back(), object))
      return "cannot write " + words.back() + ": " + error.message();
  }
  SmallVector<const char *> arguments;
  for (const std::string &word : words)
    arguments.push_back(word.c_str());

  static std::mutex onlyOne; // LLD keeps state of its own
  std::lock_guard<std::mutex> lock(onlyOne);
  static bool broken = false;
  if (broken)
    return "LLD crashed before and cannot run again in this process";
  std::string output;
  llvm::raw_string_ostream stream(output);
  lld::Result result = lld::lldMain(arguments, stream, stream, {{lld::Gnu, &lld::elf::link}});
  broken = !result.canRunAgain;
  if (result.retCode)
    return "LLD: " + output;
  auto file = llvm::MemoryBuffer::getFile(folder.file("kernels.so"), false, false);
  if (!file)
    return "cannot read LLD's output: " + file.getError().message();
  shared = (*file)->getBuffer().str();
  return {};
}

FailureOr<std::string> buildSharedObject(ModuleOp kernels, StringRef cpu, bool checkMemory) {
  if (!isKnownCpu(cpu))
    return kernels.emitError("expected the name of an x86-64 CPU that LLVM knows; found ") << cpu;
  MLIRContext *context = kernels.getContext();
  registerBuiltinDialectTranslation(*context);
  registerLLVMDialectTranslation(*context);

  SmallVector<OwningOpRef<ModuleOp>> parts = cut(kernels);
  if (parts.empty()) // a shared object without kernels is one too
    parts.push_back(ModuleOp::create(kernels.getLoc()));
  std::vector<std::string> problems(parts.size());
  std::vector<Bytes> objects(parts.size());
  Target target = targetOf(cpu);
  ObjectCache cache;
  parallelFor(context, 0, parts.size(), [&](size_t i) {
    problems[i] = build(*parts[i], target, checkMemory, cache, objects[i]);
  });
  for (const std::string &problem : problems)
    if (!problem.empty())
      return kernels.emitError("kernels: ") << problem;
  std::string shared;
  if (std::string problem = link(objects, shared); !problem.empty())
    return kernels.emitError("kernels: ") << problem;
  return shared;
}

} // namespace hadal::cpu
