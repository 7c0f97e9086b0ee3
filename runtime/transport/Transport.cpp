// SPDX-License-Identifier: Apache-2.0
//
// See Transport.h. Waiting is alike for all transports.

#include "runtime/transport/Transport.h"

#include "runtime/transport/RankProgress.h"
#include "runtime/transport/Watch.h"

#include <chrono>
#include <thread>

#include <sched.h>
#include <sys/prctl.h>

namespace hadal::rt {

using Clock = std::chrono::steady_clock;

Transport::~Transport() = default;

void Transport::check(int peer, int channel) const {
  if (peer < 0 || peer >= ranks)
    throw RunError("rank " + std::to_string(myRank) + ": there is no rank " + std::to_string(peer) +
                   "; ranks are 0 to " + std::to_string(ranks - 1));
  if (channel < 0 || channel >= kChannels)
    throw RunError("rank " + std::to_string(myRank) + ": there is no channel " +
                   std::to_string(channel) + "; channels are 0 to " +
                   std::to_string(kChannels - 1));
}

namespace {

/// Tells the stream's progress what it waits for, and puts back what it did before.
class Shown {
public:
  Shown() : stream(StreamProgress::current()) {
    if (stream)
      before = stream->state();
  }
  ~Shown() {
    if (stream && request)
      stream->become(before);
  }
  /// The first of the requests that are not done is `pending`.
  void waitsFor(const Transport::Request::State *pending) {
    if (!stream || pending == request)
      return;
    request = pending;
    stream->waitsForPeer(pending->peer, pending->channel);
  }

private:
  StreamProgress *stream;
  StreamSnapshot::State before = StreamSnapshot::State::Idle;
  const Transport::Request::State *request = nullptr;
};

} // namespace

static double microseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::micro>(Clock::now() - since).count();
}

void Transport::wait(Request *requests, std::size_t count) {
  auto firstPending = [&]() -> Request * {
    Request *first = nullptr;
    for (Request *r = requests; r != requests + count; ++r)
      if (!r->finished() && !done(*r) && !first)
        first = r;
    return first;
  };
  if (!firstPending())
    return;
  constexpr double kSpin = 5;
  const Clock::time_point start = Clock::now();
  Shown shown;
  for (;;) {
    const std::uint64_t since = moment();
    if (watch)
      watch->check();
    const Request *pending = firstPending();
    if (!pending)
      return;
    shown.waitsFor(pending->get());
    double waited = microseconds(start);
    if (waited > kSpin)
      pause(since, waited);
  }
}

void Transport::pause(std::uint64_t, double waited) {
  if (waited < 50) {
    ::sched_yield();
    return;
  }
  // The kernel rounds sleeps up by 50 us unless told otherwise.
  thread_local bool sharp = ::prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL) == 0;
  (void)sharp;
  std::this_thread::sleep_for(
      std::chrono::microseconds(waited < 1000 ? 20 : (waited < 20000 ? 50 : 200)));
}

} // namespace hadal::rt
