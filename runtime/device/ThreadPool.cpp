// SPDX-License-Identifier: Apache-2.0
//
// See ThreadPool.h. Threads spin for some microseconds, because kernels follow each other closely,
// and then sleep, because somebody else may want the core.

#include "runtime/device/ThreadPool.h"

#include <algorithm>
#include <utility>

namespace hadal::rt {

// About 30 microseconds with a pause of 40 cycles.
static constexpr int kSpins = 2000;

static void pauseCpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

ThreadPool::ThreadPool(int threads) {
  for (int thread = 1; thread < threads; ++thread)
    workers.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::takeChunks(int thread) {
  try {
    for (;;) {
      std::int64_t begin = next.fetch_add(jobChunk, std::memory_order_relaxed);
      if (begin >= jobGrid)
        return;
      jobCall(jobContext, begin, std::min(begin + jobChunk, jobGrid), thread);
    }
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!failure)
      failure = std::current_exception();
    next.store(jobGrid, std::memory_order_relaxed); // nobody takes more
  }
}

void ThreadPool::run(std::int64_t grid, std::int64_t chunk, Call call, void *context) {
  jobCall = call;
  jobContext = context;
  jobGrid = grid;
  jobChunk = chunk > 0 ? chunk : std::max<std::int64_t>(1, grid / (8 * threads()));
  next.store(0, std::memory_order_relaxed);
  gate.store(kOpen, std::memory_order_release);
  generation.fetch_add(1); // sequentially consistent with `sleeping` below
  if (sleeping.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex);
    wake.notify_all();
  }
  takeChunks(0);
  // Nothing is left to take: who has not come by now (the cores may have other work) need not.
  gate.fetch_and(~kOpen);
  for (int spin = 0; spin < kSpins && gate.load(std::memory_order_acquire); ++spin)
    pauseCpu();
  if (gate.load(std::memory_order_acquire)) {
    std::unique_lock<std::mutex> lock(mutex);
    callerSleeps = true;
    done.wait(lock, [this] { return gate.load() == 0; });
    callerSleeps = false;
  }
  std::lock_guard<std::mutex> lock(mutex);
  if (failure)
    std::rethrow_exception(std::exchange(failure, nullptr));
}

/// Takes part in the job in flight, unless there is none any more.
bool ThreadPool::join() {
  std::uint32_t now = gate.load(std::memory_order_relaxed);
  while (now & kOpen)
    if (gate.compare_exchange_weak(now, now + 1, std::memory_order_acquire))
      return true;
  return false;
}

void ThreadPool::work(int thread) {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation.load(std::memory_order_acquire) == seen; ++spin)
      pauseCpu();
    if (generation.load() == seen) {
      std::unique_lock<std::mutex> lock(mutex);
      ++sleeping;
      wake.wait(lock, [&] { return stopping || generation.load() != seen; });
      --sleeping;
    }
    if (generation.load() == seen) // only stopping wakes without work
      return;
    seen = generation.load();
    if (!join())
      continue;
    takeChunks(thread);
    if (gate.fetch_sub(1) == 1 && callerSleeps.load()) {
      std::lock_guard<std::mutex> lock(mutex);
      done.notify_all();
    }
  }
}

} // namespace hadal::rt
