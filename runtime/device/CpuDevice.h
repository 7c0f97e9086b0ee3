// SPDX-License-Identifier: Apache-2.0
//
// The CPU as a device: zeroed memory that costs nothing until it is touched, kernels out of a
// shared object in memory, and what this machine's processor can do.

#ifndef HADAL_RUNTIME_DEVICE_CPUDEVICE_H
#define HADAL_RUNTIME_DEVICE_CPUDEVICE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hadal::rt {

/// Zeroed memory, aligned to 64 bytes at least (pages), mapped lazily. Movable.
class Memory {
public:
  Memory() = default;
  /// Throws RunError when the system refuses.
  explicit Memory(std::uint64_t bytes);
  Memory(Memory &&other) noexcept { swap(other); }
  Memory &operator=(Memory &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Memory();

  unsigned char *data() const { return bytes; }
  std::uint64_t size() const { return length; }

private:
  void swap(Memory &other) noexcept;
  unsigned char *bytes = nullptr;
  std::uint64_t length = 0;
};

/// What a kernel gets: `pointers` to operands and results, `sizes` of their dynamic dimensions.
struct KernelArguments {
  void *const *pointers;
  const std::int64_t *sizes;
};
using KernelFunction = void (*)(const KernelArguments *, std::int64_t begin, std::int64_t end,
                                void *scratch);

/// A shared object loaded from memory; its functions live as long as it does.
class KernelLibrary {
public:
  KernelLibrary() = default;
  /// Throws InputError naming `file` when the system's loader refuses the object.
  KernelLibrary(std::string_view object, const std::string &file);
  KernelLibrary(KernelLibrary &&other) noexcept { *this = std::move(other); }
  KernelLibrary &operator=(KernelLibrary &&other) noexcept;
  ~KernelLibrary();

  /// Null when there is no such function.
  KernelFunction find(const std::string &symbol) const;

private:
  void *handle = nullptr;
  int descriptor = -1;
};

/// Those of `features` (LLVM names, "avx512f") that this machine's processor lacks or that we
/// cannot check for.
std::vector<std::string> missingCpuFeatures(const std::vector<std::string> &features);

/// The processor's name as the system tells it, and the number of threads this process may use.
std::string cpuModelName();
int usableThreads();
/// The memory this machine has, and the most this process has had resident so far, in bytes.
std::uint64_t machineMemory();
std::uint64_t peakResident();

} // namespace hadal::rt

#endif
