// SPDX-License-Identifier: Apache-2.0
//
// See Store.h.

#include "runtime/program/Store.h"

#include "runtime/device/RedZones.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace hadal::rt {

const char *nameOf(MemoryUse use) {
  static const char *const names[] = {"weights", "gradients",     "optimizer", "activations",
                                      "stash",   "communication", "other"};
  return names[int(use)];
}

std::uint64_t totalOf(const MemoryBytes &bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t(0));
}

void MemoryCounter::add(MemoryUse use, std::uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  now[std::size_t(use)] += bytes;
  total += bytes;
  if (total <= most)
    return;
  most = total;
  highest = now;
}

void MemoryCounter::remove(MemoryUse use, std::uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  now[std::size_t(use)] -= bytes;
  total -= bytes;
}

MemoryBytes MemoryCounter::current() const {
  std::lock_guard<std::mutex> lock(mutex);
  return now;
}

MemoryBytes MemoryCounter::peak() const {
  std::lock_guard<std::mutex> lock(mutex);
  return highest;
}

static std::uint64_t rounded(std::uint64_t bytes) {
  return std::max<std::uint64_t>(64, (bytes + 63) / 64 * 64);
}

unsigned char *RowPool::take(std::uint64_t bytes) {
  for (auto gap = gaps.begin(); gap != gaps.end(); ++gap) {
    auto [start, size] = *gap;
    if (size < bytes)
      continue;
    gaps.erase(gap);
    if (size > bytes)
      gaps.emplace(start + bytes, size - bytes);
    return start;
  }
  return nullptr;
}

unsigned char *RowPool::allocate(std::uint64_t bytes, MemoryUse use) {
  constexpr std::uint64_t kRegion = std::uint64_t(64) << 20; // costs nothing until it is touched
  bytes = rounded(bytes);
  std::lock_guard<std::mutex> lock(mutex);
  unsigned char *memory = take(bytes);
  if (!memory) {
    regions.emplace_back(std::max(bytes, kRegion));
    gaps.emplace(regions.back().data(), regions.back().size());
    forbid(regions.back().data(), regions.back().size());
    memory = take(bytes);
  }
  used.emplace(memory, Used{bytes, use});
  counter.add(use, bytes);
  allow(memory, bytes);
  return memory;
}

void RowPool::free(unsigned char *memory) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = used.find(memory);
  if (found == used.end())
    throw RunError("memory is given back that was not allocated");
  std::uint64_t bytes = found->second.bytes;
  counter.remove(found->second.use, bytes);
  used.erase(found);
  forbid(memory, bytes);
  auto next = gaps.lower_bound(memory);
  if (next != gaps.end() && next->first == memory + bytes) {
    bytes += next->second;
    next = gaps.erase(next);
  }
  if (next != gaps.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == memory) {
      before->second += bytes;
      return;
    }
  }
  gaps.emplace(memory, bytes);
}

Staging::~Staging() {
  if (memory.size())
    counter.remove(MemoryUse::Communication, memory.size());
}

unsigned char *Staging::room(std::uint64_t bytes) {
  bytes = rounded(bytes);
  if (bytes > memory.size()) {
    if (memory.size())
      counter.remove(MemoryUse::Communication, memory.size());
    memory = Memory();
    memory = Memory(bytes);
    counter.add(MemoryUse::Communication, bytes);
  }
  return memory.data();
}

Store::Store(const Bundle &bundle) : owner(bundle), memories(countOf(bundle.table().storages())) {}

/// cos or sin of position * frequency, times the amplitude: computed in f64, rounded once.
static void fillRotary(const bundle::Rotary &rotary, bool cosine, float *out, std::uint64_t room) {
  const std::uint32_t pairs = countOf(rotary.frequencies());
  for (std::int64_t position = 0; position < rotary.positions(); ++position)
    for (std::uint32_t j = 0; j < pairs; ++j) {
      if (!room--)
        return;
      double angle = double(position) * rotary.frequencies()->Get(j);
      *out++ = float((cosine ? std::cos(angle) : std::sin(angle)) * rotary.amplitude());
    }
}

void Store::count(const bundle::Storage &storage, std::uint64_t bytes) {
  switch (storage.kind()) {
  case bundle::StorageKind::parameter:
    return counter.add(MemoryUse::Weights, bytes);
  case bundle::StorageKind::gradient:
    return counter.add(MemoryUse::Gradients, bytes);
  case bundle::StorageKind::optimizer:
    return counter.add(MemoryUse::Optimizer, bytes);
  case bundle::StorageKind::arena: {
    const std::uint64_t stash = std::min<std::uint64_t>(storage.stash(), bytes);
    const std::uint64_t sent = std::min<std::uint64_t>(storage.communication(), bytes - stash);
    counter.add(MemoryUse::Stash, stash);
    counter.add(MemoryUse::Communication, sent);
    return counter.add(MemoryUse::Activations, bytes - stash - sent);
  }
  default:
    return counter.add(MemoryUse::Other, bytes);
  }
}

unsigned char *Store::at(std::uint32_t index) {
  Memory &memory = memories[index];
  if (memory.data())
    return memory.data();
  const bundle::Storage &storage = *owner.table().storages()->Get(index);
  // An empty storage has an address too.
  memory = Memory(std::max<std::uint64_t>(storage.bytes(), 64));
  total += memory.size();
  count(storage, memory.size());
  if (storage.kind() == bundle::StorageKind::constant) {
    std::string name = storage.name()->str();
    if ((name != "rotary_cos" && name != "rotary_sin") || !owner.table().rotary())
      throw InputError(owner.path(), "storage " + name +
                                         ": is a constant this program does not know; "
                                         "it knows rotary_cos and rotary_sin");
    fillRotary(*owner.table().rotary(), name == "rotary_cos",
               reinterpret_cast<float *>(memory.data()), storage.bytes() / 4);
  }
  return memory.data();
}

} // namespace hadal::rt
