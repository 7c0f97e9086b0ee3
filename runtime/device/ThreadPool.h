// SPDX-License-Identifier: Apache-2.0
//
// Persistent worker threads that share out the indices of a kernel's grid. Every index writes its
// own outputs, so results do not depend on who takes which index.

#ifndef HADAL_RUNTIME_DEVICE_THREADPOOL_H
#define HADAL_RUNTIME_DEVICE_THREADPOOL_H

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace hadal::rt {

class ThreadPool {
public:
  /// `threads` of 1 or less: everything runs on the calling thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return int(workers.size()) + 1; }

  /// Calls fn(begin, end, thread) for disjoint ranges that cover [0, grid), `chunk` indices at a
  /// time (0: about eight chunks a thread), handed out as threads get free; thread is in [0,
  /// threads()). Returns when all are done; rethrows the first exception. Not to be called from two
  /// threads at once nor from within fn.
  template <typename Fn> void parallel(std::int64_t grid, Fn &&fn, std::int64_t chunk = 0) {
    if (grid <= 0)
      return;
    if (workers.empty() || grid == 1) {
      fn(std::int64_t(0), grid, 0);
      return;
    }
    using Callable = std::remove_reference_t<Fn>;
    run(
        grid, chunk,
        [](void *context, std::int64_t begin, std::int64_t end, int thread) {
          (*static_cast<Callable *>(context))(begin, end, thread);
        },
        const_cast<void *>(static_cast<const void *>(&fn)));
  }

private:
  using Call = void (*)(void *context, std::int64_t begin, std::int64_t end, int thread);
  void run(std::int64_t grid, std::int64_t chunk, Call call, void *context);
  bool join();
  void takeChunks(int thread);
  void work(int thread);

  // The job in flight; written while the gate is 0, read by workers that passed it.
  Call jobCall = nullptr;
  void *jobContext = nullptr;
  std::int64_t jobGrid = 0, jobChunk = 1;

  alignas(64) std::atomic<std::int64_t> next{0};
  alignas(64) std::atomic<std::uint64_t> generation{0};
  /// Workers that take part in the job in flight, and whether more may.
  static constexpr std::uint32_t kOpen = std::uint32_t(1) << 31;
  alignas(64) std::atomic<std::uint32_t> gate{0};
  std::atomic<int> sleeping{0};
  std::atomic<bool> callerSleeps{false}, stopping{false};

  std::mutex mutex;
  std::condition_variable wake, done;
  std::exception_ptr failure; // guarded by mutex
  std::vector<std::thread> workers;
};

} // namespace hadal::rt

#endif
