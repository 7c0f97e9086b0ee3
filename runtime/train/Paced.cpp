// SPDX-License-Identifier: Apache-2.0
//
// See Paced.h.

#include "runtime/train/Paced.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace hadal::rt {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

/// As exactly as the system can. Never spins: who sleeps is preferred when it wakes.
static void sleepUntil(Clock::time_point end) {
#if defined(__linux__)
  static thread_local const int exact = prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
  (void)exact;
#endif
  std::this_thread::sleep_until(end);
}

namespace {

/// The clock of a program's streams, each used by its own thread. An instruction that follows
/// another begins when that should have ended, so that lateness does not add up; only one that
/// waited begins when it is reached.
class Pacer {
public:
  Pacer(std::unordered_map<const bundle::Instruction *, double> durations, std::size_t streams)
      : durations(std::move(durations)), marks(streams) {}

  void operator()(const bundle::Instruction &instruction) {
    auto found = durations.find(&instruction);
    if (found == durations.end())
      return;
    constexpr microseconds kWaited(300);
    const Clock::time_point now = Clock::now();
    auto &[end, woke] = marks[instruction.stream()];
    end = (now - woke < kWaited ? end : now) +
          std::chrono::nanoseconds(std::int64_t(found->second * 1e3));
    sleepUntil(end);
    woke = Clock::now();
  }

private:
  const std::unordered_map<const bundle::Instruction *, double> durations; // us
  struct Mark {
    Clock::time_point end, woke; // of the last one: when it should have ended, and did
  };
  std::vector<Mark> marks; // by stream
};

} // namespace

void setPace(TrainingStep &training, const ProgramRun &simulated, std::uint32_t role) {
  const std::size_t streams = std::max<std::size_t>(1, simulated.streamsOf(role).size());
  auto pacer = std::make_shared<Pacer>(simulated.durations(role), streams);
  training.setPace([pacer](const bundle::Instruction &instruction) { (*pacer)(instruction); });
}

} // namespace hadal::rt
