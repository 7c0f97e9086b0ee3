// SPDX-License-Identifier: Apache-2.0
//
// See Events.h.

#include "runtime/program/Events.h"

#include <chrono>
#include <thread>

namespace hadal::rt {

Events::Events(std::uint32_t count) : count(count), flags(new std::atomic<bool>[count]) { reset(); }

void Events::reset() {
  for (std::uint32_t i = 0; i < count; ++i)
    flags[i].store(false, std::memory_order_relaxed);
  stopped.store(false);
}

void Events::record(std::uint32_t event) {
  flags[event].store(true); // sequentially consistent with `sleepers`
  if (!sleepers.load())
    return;
  {
    std::lock_guard<std::mutex> lock(mutex);
  }
  bell.notify_all();
}

void Events::stop() {
  stopped.store(true);
  {
    std::lock_guard<std::mutex> lock(mutex);
  }
  bell.notify_all();
}

bool Events::ready(std::uint32_t event, const Watch *watch) const {
  if (flags[event].load())
    return true;
  if (stopped.load())
    throw StreamStopped();
  if (watch)
    watch->check();
  return false;
}

void Events::wait(std::uint32_t event, const Watch *watch) {
  if (recorded(event))
    return;
  // Streams outnumber cores: only a short look before the core goes to somebody else.
  for (int spin = 0; spin < 20; ++spin) {
    if (ready(event, watch))
      return;
    std::this_thread::yield();
  }
  std::unique_lock<std::mutex> lock(mutex);
  sleepers.fetch_add(1);
  struct Awake {
    std::atomic<int> &sleepers;
    ~Awake() { sleepers.fetch_sub(1); }
  } awake{sleepers};
  // The watch rings no bell.
  while (!ready(event, watch))
    bell.wait_for(lock, std::chrono::milliseconds(5));
}

} // namespace hadal::rt
