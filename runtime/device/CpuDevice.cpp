// SPDX-License-Identifier: Apache-2.0
//
// See CpuDevice.h.

#include "runtime/device/CpuDevice.h"

#include "runtime/device/RedZones.h"
#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <sched.h>
#include <set>
#include <sstream>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utility>

namespace hadal::rt {

/// Bytes on either side of a memory that nothing may touch.
static std::uint64_t guardBytes() {
  return kRedZones ? std::uint64_t(::sysconf(_SC_PAGE_SIZE)) : 0;
}

Memory::Memory(std::uint64_t size) : length(size) {
  if (!size)
    return;
  const std::uint64_t guard = guardBytes();
  void *map = ::mmap(nullptr, size + 2 * guard, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED)
    throw RunError("cannot allocate " + std::to_string(size) + " bytes: " + std::strerror(errno));
  bytes = static_cast<unsigned char *>(map) + guard;
  // Fewer address translations in the products; a refusal does not matter.
  if (size >= (std::uint64_t(4) << 20))
    ::madvise(map, size, MADV_HUGEPAGE);
  forbid(map, std::size_t(guard));
  forbid(bytes + size, std::size_t(guard));
}

Memory::~Memory() {
  if (!bytes)
    return;
  const std::uint64_t guard = guardBytes();
  allow(bytes - guard, std::size_t(length + 2 * guard));
  ::munmap(bytes - guard, std::size_t(length + 2 * guard));
}

void Memory::swap(Memory &other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(length, other.length);
}

KernelLibrary::KernelLibrary(std::string_view object, const std::string &file) {
  // Stays open as long as the library: the loader knows libraries by their path, so another one
  // must not get it.
  descriptor = ::memfd_create("hadal-kernels", MFD_CLOEXEC);
  if (descriptor < 0)
    throw RunError(std::string("memfd_create: ") + std::strerror(errno));
  std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  while (!object.empty()) {
    ssize_t done = ::write(descriptor, object.data(), object.size());
    if (done <= 0) {
      int error = errno;
      ::close(descriptor);
      throw RunError(std::string("the kernels cannot be copied: ") + std::strerror(error));
    }
    object.remove_prefix(std::size_t(done));
  }
  handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle)
    return;
  const char *reason = ::dlerror();
  ::close(descriptor);
  throw InputError(file, std::string("its kernels cannot be loaded: ") + (reason ? reason : "?"));
}

KernelLibrary &KernelLibrary::operator=(KernelLibrary &&other) noexcept {
  std::swap(handle, other.handle);
  std::swap(descriptor, other.descriptor);
  return *this;
}

KernelLibrary::~KernelLibrary() {
  if (!handle)
    return;
  ::dlclose(handle);
  ::close(descriptor);
}

KernelFunction KernelLibrary::find(const std::string &symbol) const {
  return handle ? reinterpret_cast<KernelFunction>(::dlsym(handle, symbol.c_str())) : nullptr;
}

/// The value of the first line "key : value" of /proc/cpuinfo.
static std::string cpuinfo(const std::string &key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind(key, 0) == 0)
      if (auto colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return {};
}

/// LLVM's name of a feature as Linux spells it.
static std::string linuxFeature(std::string name) {
  static const std::pair<const char *, const char *> kRenamed[] = {
      {"sse3", "pni"},
      {"sse4.1", "sse4_1"},
      {"sse4.2", "sse4_2"},
      {"lzcnt", "abm"},
      {"bmi", "bmi1"},
      {"avx512vnni", "avx512_vnni"},
      {"avx512bf16", "avx512_bf16"},
      {"avx512vbmi2", "avx512_vbmi2"},
      {"avx512bitalg", "avx512_bitalg"},
      {"avx512vpopcntdq", "avx512_vpopcntdq"},
      {"avx512fp16", "avx512_fp16"},
      {"avx512vp2intersect", "avx512_vp2intersect"},
      {"avxvnni", "avx_vnni"},
      {"sha", "sha_ni"},
      {"rdrnd", "rdrand"},
      {"pclmul", "pclmulqdq"},
      {"sahf", "lahf_lm"},
      {"prfchw", "3dnowprefetch"},
      {"crc32", "sse4_2"},
  };
  for (const auto &[llvm, system] : kRenamed)
    if (name == llvm)
      return system;
  return name;
}

std::vector<std::string> missingCpuFeatures(const std::vector<std::string> &features) {
  std::istringstream flags(cpuinfo("flags"));
  std::set<std::string> present;
  for (std::string flag; flags >> flag;)
    present.insert(flag);
  std::vector<std::string> missing;
  for (const std::string &feature : features)
    if (!present.count(linuxFeature(feature)))
      missing.push_back(feature);
  return missing;
}

std::string cpuModelName() {
  std::string name = cpuinfo("model name");
  return name.empty() ? "unknown processor" : name;
}

int usableThreads() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  return 1;
}

std::uint64_t machineMemory() {
  return std::uint64_t(::sysconf(_SC_PHYS_PAGES)) * std::uint64_t(::sysconf(_SC_PAGE_SIZE));
}

std::uint64_t peakResident() {
  struct rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return std::uint64_t(usage.ru_maxrss) * 1024;
}

} // namespace hadal::rt
