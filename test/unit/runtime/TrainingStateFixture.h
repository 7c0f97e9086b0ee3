// SPDX-License-Identifier: Apache-2.0
//
// Ranks of a hand-made bundle with known values in memory, saved and resumed.

#ifndef HADAL_TEST_UNIT_RUNTIME_TRAININGSTATEFIXTURE_H
#define HADAL_TEST_UNIT_RUNTIME_TRAININGSTATEFIXTURE_H

#include "runtime/support/Random.h"
#include "runtime/train/TrainingState.h"
#include "test/unit/runtime/HandMadeBundle.h"
#include "test/unit/runtime/TestFolder.h"
#include "test/unit/runtime/ThreadPeers.h"

#include <atomic>
#include <cstring>

namespace hadal::rt {

/// Bits that only (kind, tensor, element) decide: any finite float.
inline float valueOf(std::uint64_t kindAndName, std::int64_t element) {
  std::uint64_t mixed = (kindAndName + std::uint64_t(element)) * 0x9E3779B97F4A7C15;
  std::uint32_t bits = std::uint32_t(mixed >> 32);
  if ((bits & 0x7F800000u) == 0x7F800000u)
    bits ^= 0x00800000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::uint64_t keyOf(int kind, const std::string &name) {
  return hashName(name) + std::uint64_t(kind) * 0xBF58476D1CE4E5B9;
}

inline void fill(float *out, int kind, const std::string &name, std::int64_t begin,
                 std::int64_t end) {
  const std::uint64_t key = keyOf(kind, name);
  for (std::int64_t i = begin; i < end; ++i)
    out[i - begin] = valueOf(key, i);
}

/// The number of elements that are not what fill() writes.
inline std::int64_t wrong(const float *values, int kind, const std::string &name,
                          std::int64_t begin, std::int64_t end) {
  std::int64_t count = 0;
  const std::uint64_t key = keyOf(kind, name);
  for (std::int64_t i = begin; i < end; ++i) {
    float expected = valueOf(key, i);
    count += std::memcmp(&values[i - begin], &expected, sizeof expected) != 0;
  }
  return count;
}

/// One rank with its memory.
struct StateRank {
  StateRank(const Bundle &bundle, int rank) : layout(bundle, rank), store(bundle), pool(1) {}

  void fillAll(int salt) {
    for (const HeldTensor &tensor : layout.tensors()) {
      fill(tensor.values(store), salt, tensor.name, 0, tensor.elements);
      if (tensor.moment1Storage < 0)
        continue;
      fill(tensor.moment1(store), salt + 1, tensor.name, tensor.begin, tensor.end);
      fill(tensor.moment2(store), salt + 2, tensor.name, tensor.begin, tensor.end);
    }
  }
  std::int64_t wrongElements(int salt) {
    std::int64_t count = 0;
    for (const HeldTensor &tensor : layout.tensors()) {
      count += wrong(tensor.values(store), salt, tensor.name, 0, tensor.elements);
      if (tensor.moment1Storage < 0)
        continue;
      count += wrong(tensor.moment1(store), salt + 1, tensor.name, tensor.begin, tensor.end);
      count += wrong(tensor.moment2(store), salt + 2, tensor.name, tensor.begin, tensor.end);
    }
    return count;
  }

  Layout layout;
  Store store;
  ThreadPool pool;
};

class TrainingStates : public testing::Test {
protected:
  std::unique_ptr<Bundle> make(const TestLayout &layout, bool roles = true) {
    const std::string path = folder / ("b" + std::to_string(made++) + ".hadal");
    writeHandMadeBundle(path, layout, roles);
    return std::make_unique<Bundle>(path, /*execute=*/false);
  }
  Report report() {
    return [this](const std::string &line) { said += line + "\n"; };
  }
  void save(const Bundle &bundle, const TestLayout &layout, int step, ThreadWorld &world,
            std::int64_t keep = 0, std::int64_t shardBytes = std::int64_t(5) << 30) {
    (void)layout;
    world.run([&](Peers &peers) {
      StateRank rank(bundle, peers.rank());
      rank.fillAll(step * 10);
      writeCheckpoint(folder / "run", checkpointContent(rank.store, rank.layout, step, 16 * step),
                      keep, report(), peers, shardBytes);
    });
  }
  void save(const TestLayout &layout, int step, std::int64_t keep = 0,
            std::int64_t shardBytes = std::int64_t(5) << 30) {
    auto bundle = make(layout);
    ThreadWorld world(layout.ranks());
    save(*bundle, layout, step, world, keep, shardBytes);
  }
  /// Resumes under a layout and says how many elements are not those of `step`.
  std::int64_t wrongAfterResume(const TestLayout &layout, int step, bool roles = true) {
    auto bundle = make(layout, roles);
    ThreadWorld world(layout.ranks());
    std::atomic<std::int64_t> count{0};
    world.run([&](Peers &peers) {
      auto found = findLatestCheckpoint(folder / "run", report(), peers);
      if (!found || found->step != step || rowsUsed(*found) != 16 * step)
        throw RunError("the checkpoint of step " + std::to_string(step) + " was not found");
      StateRank rank(*bundle, peers.rank());
      restore(rank.store, rank.pool, rank.layout, *found);
      count += rank.wrongElements(step * 10);
    });
    return count;
  }
  TestFolder folder;
  std::string said;
  int made = 0;
};

} // namespace hadal::rt

#endif
