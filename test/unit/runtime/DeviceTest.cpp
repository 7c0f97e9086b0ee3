// SPDX-License-Identifier: Apache-2.0
//
// Thread pool, memory, processor features.

#include "runtime/device/CpuDevice.h"
#include "runtime/device/ThreadPool.h"
#include "test/unit/runtime/TestFolder.h"

#include <atomic>
#include <chrono>
#include <thread>

using namespace hadal::rt;

namespace {

TEST(ThreadPool, EveryIndexOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (std::int64_t grid : {0, 1, 2, 7, 1000}) {
      for (std::int64_t chunk : {0, 1, 3, 5000}) {
        std::vector<std::atomic<int>> hits(std::size_t(grid) + 1);
        pool.parallel(
            grid,
            [&](std::int64_t begin, std::int64_t end, int thread) {
              EXPECT_GE(thread, 0);
              EXPECT_LT(thread, threads);
              for (std::int64_t i = begin; i < end; ++i)
                ++hits[std::size_t(i)];
            },
            chunk);
        for (std::int64_t i = 0; i < grid; ++i)
          ASSERT_EQ(hits[std::size_t(i)], 1);
      }
    }
  }
}

TEST(ThreadPool, ManyJobsInARowAndAfterSleeping) {
  ThreadPool pool(3);
  std::atomic<std::int64_t> sum{0};
  for (int job = 0; job < 3000; ++job) {
    if (job % 1000 == 0) // workers fall asleep in between
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    pool.parallel(16, [&](std::int64_t begin, std::int64_t end, int) { sum += end - begin; });
  }
  EXPECT_EQ(sum, 3000 * 16);
}

// Plain memory: the pool alone orders jobs, and the caller behind them.
TEST(ThreadPool, AJobSeesWhatTheOneBeforeWrote) {
  ThreadPool pool(3);
  constexpr std::size_t kGrid = 64;
  std::vector<int> from(kGrid, 0), to(kGrid, 0);
  for (int job = 0; job < 2000; ++job) {
    pool.parallel(std::int64_t(kGrid), [&](std::int64_t begin, std::int64_t end, int) {
      for (auto i = std::size_t(begin); i < std::size_t(end); ++i)
        to[i] = from[(i + 17) % kGrid] + 1;
    });
    from.swap(to);
  }
  EXPECT_EQ(from, std::vector<int>(kGrid, 2000));
}

TEST(ThreadPool, ExceptionsComeBack) {
  ThreadPool pool(2);
  for (int round = 0; round < 10; ++round)
    EXPECT_THROW(pool.parallel(100,
                               [](std::int64_t begin, std::int64_t, int) {
                                 if (begin > 40)
                                   throw RunError("kernel");
                               }),
                 RunError);
  int calls = 0;
  pool.parallel(1, [&](std::int64_t, std::int64_t, int) { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(Memory, ZeroedAlignedLazy) {
  Memory memory(std::uint64_t(1) << 36); // 64 GiB of addresses cost nothing untouched
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0u);
  EXPECT_EQ(memory.data()[memory.size() - 1], 0);
  Memory moved = std::move(memory);
  EXPECT_EQ(memory.data(), nullptr); // NOLINT(bugprone-use-after-move): what is asked
  EXPECT_NE(moved.data(), nullptr);
}

TEST(Cpu, MissingFeatures) {
  EXPECT_TRUE(missingCpuFeatures({"sse2"}).empty());
  EXPECT_EQ(missingCpuFeatures({"sse2", "no-such-feature"}),
            std::vector<std::string>{"no-such-feature"});
  EXPECT_GE(usableThreads(), 1);
}

TEST(KernelLibrary, RefusesGarbage) {
  EXPECT_THAT(refusal([] { KernelLibrary library("not an object", "x.hadal"); }),
              testing::HasSubstr("x.hadal: its kernels cannot be loaded"));
}

} // namespace
