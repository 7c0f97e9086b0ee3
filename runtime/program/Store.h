// SPDX-License-Identifier: Apache-2.0
//
// The storages of a bundle in memory, shared by all programs of a rank, and memory for what only
// routing sizes. All of it is counted.

#ifndef HADAL_RUNTIME_PROGRAM_STORE_H
#define HADAL_RUNTIME_PROGRAM_STORE_H

#include "runtime/program/Bundle.h"

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace hadal::rt {

/// What memory is for, as reports split it. Stash: what waits from B to W.
enum class MemoryUse { Weights, Gradients, Optimizer, Activations, Stash, Communication, Other };
inline constexpr int kMemoryUses = 7;
const char *nameOf(MemoryUse use);

/// Bytes by use.
using MemoryBytes = std::array<std::uint64_t, kMemoryUses>;
std::uint64_t totalOf(const MemoryBytes &bytes);

/// Counts a rank's allocations. Any thread.
class MemoryCounter {
public:
  void add(MemoryUse use, std::uint64_t bytes);
  void remove(MemoryUse use, std::uint64_t bytes);
  MemoryBytes current() const;
  /// The largest total so far: what it consisted of.
  MemoryBytes peak() const;

private:
  mutable std::mutex mutex;
  MemoryBytes now{}, highest{};
  std::uint64_t total = 0, most = 0;
};

/// Memory that comes and goes while programs run: first fit in large regions that stay. Any thread.
class RowPool {
public:
  explicit RowPool(MemoryCounter &counter) : counter(counter) {}
  /// At least 64 bytes, aligned to 64; not zeroed. Throws RunError when the system refuses.
  unsigned char *allocate(std::uint64_t bytes, MemoryUse use);
  void free(unsigned char *memory);

private:
  struct Used {
    std::uint64_t bytes;
    MemoryUse use;
  };
  unsigned char *take(std::uint64_t bytes);

  MemoryCounter &counter;
  std::mutex mutex;
  std::vector<Memory> regions;
  std::map<unsigned char *, std::uint64_t> gaps; // by address; neighbours are joined
  std::map<unsigned char *, Used> used;
};

/// A piece of pooled memory that grows when more is asked for.
class Staging {
public:
  explicit Staging(MemoryCounter &counter) : counter(counter) {}
  ~Staging();
  Staging(const Staging &) = delete;
  Staging &operator=(const Staging &) = delete;
  /// Its content is lost when it grows.
  unsigned char *room(std::uint64_t bytes);

private:
  MemoryCounter &counter;
  Memory memory;
};

/// The storages of a bundle in memory: zeroed, allocated when first asked for.
class Store {
public:
  explicit Store(const Bundle &bundle);
  Store(const Store &) = delete;
  Store &operator=(const Store &) = delete;

  const Bundle &bundle() const { return owner; }
  /// The memory of storage `index`. Constants (rotary tables) are filled in when first asked for.
  /// One thread at a time.
  unsigned char *at(std::uint32_t index);
  bool allocated(std::uint32_t index) const { return memories[index].data() != nullptr; }
  /// Bytes allocated so far (touched or not).
  std::uint64_t bytes() const { return total; }

  MemoryCounter &memory() { return counter; }
  RowPool &rows() { return pool; }

private:
  void count(const bundle::Storage &storage, std::uint64_t bytes);

  const Bundle &owner;
  std::vector<Memory> memories;
  std::uint64_t total = 0;
  MemoryCounter counter;
  RowPool pool{counter};
};

} // namespace hadal::rt

#endif
