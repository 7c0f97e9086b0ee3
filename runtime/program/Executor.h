// SPDX-License-Identifier: Apache-2.0
//
// Execution of a bundle's programs: storages in memory (shared by all programs of a bundle), and a
// program prepared to run (every address resolved beforehand).

#ifndef HADAL_RUNTIME_PROGRAM_EXECUTOR_H
#define HADAL_RUNTIME_PROGRAM_EXECUTOR_H

#include "runtime/device/ThreadPool.h"
#include "runtime/program/Bundle.h"

#include <map>
#include <string>
#include <vector>

namespace hadal::rt {

/// The storages of a bundle in memory: zeroed, allocated when first asked for.
class Store {
public:
  explicit Store(const Bundle &bundle);
  Store(const Store &) = delete;
  Store &operator=(const Store &) = delete;

  const Bundle &bundle() const { return owner; }
  /// The memory of storage `index`. Constants (rotary tables) are filled in when first asked for.
  unsigned char *at(std::uint32_t index);
  bool allocated(std::uint32_t index) const { return memories[index].data() != nullptr; }
  /// Bytes allocated so far (touched or not).
  std::uint64_t bytes() const { return total; }

private:
  const Bundle &owner;
  std::vector<Memory> memories;
  std::uint64_t total = 0;
};

/// A typed window of memory.
struct View {
  unsigned char *data = nullptr;
  bundle::DType dtype = bundle::DType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 0;

  std::int64_t bytes() const { return elements * elementBytes(dtype); }
  template <typename T> T *as() const { return reinterpret_cast<T *>(data); }
};

/// What one kernel cost so far.
struct KernelCost {
  std::string symbol;
  std::int64_t calls = 0;
  double seconds = 0;
};

class Executor {
public:
  /// Prepares program `name` of the store's bundle. Throws InputError when there is none.
  Executor(Store &store, ThreadPool &pool, const std::string &name);
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  void run();

  bool has(const std::string &name) const { return views.count(name) != 0; }
  /// The buffer of that name; throws RunError when the program has none.
  const View &view(const std::string &name) const;
  /// All buffers whose name starts with `prefix`, with the rest of the name.
  std::vector<std::pair<std::string, View>> viewsWithPrefix(const std::string &prefix) const;
  /// Sets a scalar buffer, converted to its type; does nothing when the program has none of that
  /// name.
  void setScalar(const std::string &name, double value);
  /// Reads a scalar buffer as f64.
  double scalar(const std::string &name) const;

  /// Floating-point operations of one run as the compiler counted them.
  double flops() const { return totalFlops; }
  /// Switches time keeping per kernel on (it costs a little) and reads it.
  void keepTimes(bool on) { timing = on; }
  std::vector<KernelCost> costs() const;

private:
  struct Call {
    std::uint32_t kernel;
    std::int64_t grid;
    std::size_t pointers, sizes; // where they start in the vectors below
  };
  struct Step {
    enum Kind { Calls, Zero, Copy } kind;
    std::size_t first = 0, count = 0; // Calls
    unsigned char *from = nullptr, *to = nullptr;
    std::int64_t bytes = 0;
    std::uint32_t instruction = 0;
  };
  void prepareLaunch(const bundle::Instruction &instruction, std::uint32_t index);
  void launch(const Call &call);
  void forbidGaps();
  void forbidGaps(const bundle::Component &component);
  std::string describe(std::uint32_t instruction) const;

  Store &store;
  const Bundle &bundle;
  ThreadPool &pool;
  const bundle::Program &program;
  std::vector<View> buffers;
  std::map<std::string, View> views;
  std::vector<Step> steps;
  std::vector<Call> calls;
  std::vector<void *> pointers;
  std::vector<std::int64_t> sizes;
  Memory frame;
  std::vector<Memory> scratch; // one a thread
  double totalFlops = 0;
  bool timing = false;
  std::vector<KernelCost> times; // by kernel
};

} // namespace hadal::rt

#endif
