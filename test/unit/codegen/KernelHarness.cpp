// SPDX-License-Identifier: Apache-2.0
//
// See KernelHarness.h.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"
#include "codegen/Cpu/Passes.h"
#include "runtime/device/ThreadPool.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <sys/mman.h>
#include <time.h>

using namespace mlir;

namespace hadal::test {

int64_t HostTensor::elements() const {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

HostTensor randomTensor(std::vector<int64_t> shape, unsigned seed, double scale) {
  HostTensor tensor{std::move(shape), 4, {}};
  tensor.bytes.resize(size_t(tensor.elements()) * 4);
  std::mt19937 generator(seed);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.f32()[i] = float((double(generator()) / 2147483648.0 - 1.0) * scale);
  return tensor;
}

double largestError(const HostTensor &got, const HostTensor &expected) {
  if (got.shape != expected.shape || got.bytes.size() != expected.bytes.size())
    return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (int64_t i = 0; i < got.elements(); ++i) {
    double error = std::abs(double(got.f32()[i]) - expected.f32()[i]) /
                   (1 + std::abs(double(expected.f32()[i])));
    if (!(error <= largest))
      largest = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return largest;
}

/// Bytes that end right before a page without access rights; for measurements in large pages, as
/// programs have them.
struct KernelHarness::Memory {
  explicit Memory(size_t size, bool large) : size(size) {
    constexpr size_t page = 4096, hugePage = size_t(2) << 20;
    length = (size + page - 1) / page * page + page + (large ? 2 * hugePage : 0);
    map = static_cast<char *>(
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (map == MAP_FAILED)
      throw std::runtime_error("no memory");
    data = map + length - page - size;
    if (large) {
      ::madvise(map, length, MADV_HUGEPAGE);
      data = reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(map) + hugePage - 1) / hugePage *
                                      hugePage);
    } else if (::mprotect(map + length - page, page, PROT_NONE)) {
      throw std::runtime_error("no guard page");
    }
    std::memset(data, 0xff, size); // not a number, as f32 and f64
  }
  ~Memory() { ::munmap(map, length); }
  Memory(const Memory &) = delete;

  size_t size, length = 0;
  char *map = nullptr, *data = nullptr;
};

static size_t elementBytes(Type type) {
  return cast<RankedTensorType>(type).getElementTypeBitWidth() / 8;
}

int64_t KernelHarness::rowsOf(Attribute mark) const {
  auto rows = dyn_cast_or_null<RowClassAttr>(mark);
  if (!rows)
    return -1;
  return rows.getValue() == RowClass::Received ? counts.received : counts.routed;
}

std::vector<int64_t> KernelHarness::shapeOf(Value value) {
  std::vector<int64_t> shape = cast<RankedTensorType>(value.getType()).getShape().vec();
  auto mark = marks.find(value.getAsOpaquePointer());
  if (int64_t rows = mark == marks.end() ? -1 : rowsOf(mark->second); rows >= 0)
    shape[0] = rows;
  return shape;
}

/// Bytes of a tensor of this shape.
static size_t bytesOf(Type type, const std::vector<int64_t> &shape) {
  return size_t(HostTensor{shape, 0, {}}.elements()) * elementBytes(type);
}

KernelHarness::KernelHarness(const std::string &text, std::string cpu, std::string machine) {
  auto start = std::chrono::steady_clock::now();
  if (cpu.empty())
    cpu = cpu::hostCpu();
  if (machine.empty())
    machine = cpu;
  DialectRegistry registry;
  registry.insert<HadalDialect, func::FuncDialect, arith::ArithDialect>();
  context = std::make_unique<MLIRContext>(registry);
  std::string diagnostics;
  ScopedDiagnosticHandler handler(
      context.get(), [&](Diagnostic &diagnostic) { diagnostics += diagnostic.str() + "\n"; });
  owner = parseSourceString<ModuleOp>(text, ParserConfig(context.get()));
  if (!owner)
    throw std::runtime_error("parsing: " + diagnostics);
  (*owner)->setAttr(kCpuAttr, StringAttr::get(context.get(), cpu));
  PassManager manager(context.get());
  manager.addPass(createCpuKernelsPass());
  if (failed(manager.run(*owner)))
    throw std::runtime_error("kernels: " + diagnostics);
  function = *owner->getOps<func::FuncOp>().begin();
  for (BlockArgument argument : function.getArguments())
    marks[argument.getAsOpaquePointer()] = function.getArgAttr(argument.getArgNumber(), kRowsAttr);
  for (OpOperand &result : function.front().getTerminator()->getOpOperands())
    marks[result.get().getAsOpaquePointer()] =
        function.getResultAttr(result.getOperandNumber(), kRowsAttr);
  FailureOr<std::string> built =
      cpu::buildSharedObject(owner->lookupSymbol<ModuleOp>(kKernelsModule), machine);
  if (failed(built))
    throw std::runtime_error("object: " + diagnostics);
  bytes = *built;
  compileSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  SmallVector<std::string> features = cpu::cpuFeatures(machine);
  if (machine == cpu::hostCpu() ||
      rt::missingCpuFeatures({features.begin(), features.end()}).empty())
    library = rt::KernelLibrary(bytes, "test");
}
KernelHarness::~KernelHarness() = default;

std::map<void *, std::shared_ptr<KernelHarness::Memory>>
KernelHarness::bind(const std::vector<HostTensor> &arguments) {
  std::map<void *, std::shared_ptr<Memory>> memories;
  if (arguments.size() != function.getNumArguments())
    throw std::runtime_error("wrong number of arguments");
  for (auto [argument, tensor] : llvm::zip(function.getArguments(), arguments)) {
    auto memory =
        std::make_shared<Memory>(bytesOf(argument.getType(), shapeOf(argument)), measuring);
    if (memory->size != tensor.bytes.size())
      throw std::runtime_error("argument of a wrong size");
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), memory->data); // empty, it may be null
    memories[argument.getAsOpaquePointer()] = memory;
  }
  return memories;
}

/// One thread: the time it ran, without what others took from it.
static double now(int threads) {
  timespec time;
  ::clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + 1e-9 * double(time.tv_nsec);
}

double KernelHarness::execute(std::map<void *, std::shared_ptr<Memory>> &memories, Cut cut) {
  constexpr size_t kGuard = 256;
  rt::ThreadPool pool(cut.threads);
  double seconds = 0;
  for (auto kernel : function.getOps<KernelOp>()) {
    LaunchAttr launch = *kernel.getLaunch();
    std::vector<void *> pointers;
    for (Value operand : kernel.getInputs())
      pointers.push_back(memories.at(operand.getAsOpaquePointer())->data);
    for (OpResult result : kernel->getResults()) {
      int64_t updated = kernel.getUpdatedOperand(result.getResultNumber());
      auto &memory = memories[result.getAsOpaquePointer()];
      if (updated >= 0)
        memory = memories.at(kernel.getInputs()[unsigned(updated)].getAsOpaquePointer());
      else {
        memory = std::make_shared<Memory>(bytesOf(result.getType(), shapeOf(result)), measuring);
        pointers.push_back(memory->data);
      }
    }
    rt::KernelFunction code = library.find(launch.getSymbol().str());
    if (!code)
      throw std::runtime_error("no kernel " + launch.getSymbol().str());
    std::vector<int64_t> sizes(launch.getSizes().begin(), launch.getSizes().end());
    int64_t grid = launch.getGrid();
    if (int64_t rows = rowsOf(kernel->getAttr(kRowsAttr)); rows >= 0) {
      RowGridAttr rule = launch.getRows();
      sizes[size_t(rule.getSize())] = rows;
      grid =
          rule.getFixed() + rule.getPerBlock() * ((rows + rule.getBlock() - 1) / rule.getBlock());
    }
    rt::KernelArguments arguments{pointers.data(), sizes.data()};
    std::vector<rt::Memory> scratch;
    for (int thread = 0; thread < cut.threads; ++thread) {
      scratch.emplace_back(uint64_t(launch.getScratch()) + kGuard);
      std::memset(scratch.back().data(), 0xee, scratch.back().size());
    }
    double start = now(cut.threads);
    pool.parallel(
        grid,
        [&](int64_t begin, int64_t end, int thread) {
          code(&arguments, begin, end, scratch[size_t(thread)].data());
        },
        cut.chunk);
    seconds += now(cut.threads) - start;
    for (const rt::Memory &memory : scratch)
      for (size_t i = 0; i < kGuard; ++i)
        if (memory.data()[size_t(launch.getScratch()) + i] != 0xee)
          throw std::runtime_error(launch.getSymbol().str() + " writes behind its scratch");
  }
  return seconds;
}

std::vector<HostTensor> KernelHarness::run(const std::vector<HostTensor> &arguments, Cut cut,
                                           RowCounts rowCounts) {
  counts = rowCounts;
  auto memories = bind(arguments);
  execute(memories, cut);
  std::vector<HostTensor> results;
  for (Value value : function.front().getTerminator()->getOperands()) {
    auto type = cast<RankedTensorType>(value.getType());
    HostTensor tensor{shapeOf(value), elementBytes(type), {}};
    const Memory &memory = *memories.at(value.getAsOpaquePointer());
    tensor.bytes.assign(memory.data, memory.data + memory.size);
    results.push_back(std::move(tensor));
  }
  return results;
}

std::vector<HostTensor> KernelHarness::runEveryCut(const std::vector<HostTensor> &arguments) {
  std::vector<HostTensor> results = run(arguments);
  for (Cut cut : {Cut{1, 1}, Cut{2, 1}, Cut{2, 3}, Cut{3, 0}, Cut{2, 7}}) {
    std::vector<HostTensor> again = run(arguments, cut);
    for (size_t i = 0; i < results.size(); ++i)
      if (!results[i].sameBits(again[i]))
        throw std::runtime_error("result " + std::to_string(i) + " depends on the cut: threads " +
                                 std::to_string(cut.threads) + ", chunk " +
                                 std::to_string(cut.chunk));
  }
  return results;
}

/// Reads more than a cache holds. (Written lines would be written back while the kernel runs.)
static void evictCaches() {
  static const std::vector<char> other(size_t(64) << 20, 1);
  volatile char sum = 0;
  for (size_t i = 0; i < other.size(); i += 64)
    sum = char(sum + other[i]);
}

double KernelHarness::bestSeconds(const std::vector<HostTensor> &arguments, int repeats,
                                  int threads, bool cold) {
  double best = std::numeric_limits<double>::infinity();
  measuring = true;
  for (int i = 0; i < repeats; ++i) {
    auto memories = bind(arguments);
    if (cold)
      evictCaches();
    best = std::min(best, execute(memories, {threads, 0}));
  }
  measuring = false;
  return best;
}

} // namespace hadal::test
