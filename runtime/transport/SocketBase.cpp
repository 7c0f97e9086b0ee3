// SPDX-License-Identifier: Apache-2.0
//
// See SocketBase.h.

#include "runtime/transport/SocketBase.h"

#include <asio/post.hpp>

#include <csignal>
#include <cstdio>
#include <future>
#include <memory>

#include <unistd.h>

namespace hadal::rt {

using Clock = std::chrono::steady_clock;

static Clock::duration inSeconds(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

SocketBase::SocketBase(int rank, int size, const ControlOptions &options)
    : ControlPlane(rank, size, options), work(io.get_executor()), ticks(io), lastResort(io),
      ending(io), start(Clock::now()) {}

void SocketBase::startThread() {
  // Signals are for the other threads.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread = std::thread([this] {
    schedule();
    io.run();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void SocketBase::stopThread() {
  asio::post(io, [this] {
    closeAll();
    io.stop();
  });
  if (thread.joinable())
    thread.join();
}

double SocketBase::now() const {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void SocketBase::schedule() {
  ticks.expires_after(inSeconds(std::min(0.05, options.heartbeat / 5)));
  ticks.async_wait([this](asio::error_code error) {
    if (error || vanished)
      return;
    const double time = now();
    if (!concluded() && wasStopped())
      gaveUp();
    lastTick = time;
    if (!concluded() && options.signal && options.signal()) {
      if (signalSeen < 0) {
        signalSeen = time;
        hurry();
      } else if (options.signalEnds && time - signalSeen > 1) {
        std::signal(options.signal(), SIG_DFL);
        ::kill(::getpid(), options.signal());
      }
    }
    if (!concluded())
      tick();
    if (time - lastBeat >= options.heartbeat) {
      lastBeat = time;
      beat();
    }
    schedule();
  });
}

Failure SocketBase::ownFailure(int rank, int exitCode, const std::string &message) {
  Failure failure;
  failure.kind = exitCode == 2 ? Failure::Kind::Refused : Failure::Kind::Failed;
  failure.rank = rank;
  failure.what = message;
  return failure;
}

void SocketBase::fail(int exitCode, const std::string &message) {
  Failure failure = ownFailure(rank(), exitCode, message);
  // The hub speaks for all when an input is refused.
  if (!conclude(failure, exitCode != 2 || rank() == 0))
    return;
  change([] {});
  asio::post(io, [this, failure] {
    tell(failure);
    armEnd(failure);
  });
}

void SocketBase::decide(const Failure &failure) {
  if (concluded())
    return;
  tell(failure);
  if (conclude(failure, failure.kind != Failure::Kind::Refused || rank() == 0))
    change([] {});
  armEnd(failure);
}

void SocketBase::gaveUp() {
  char text[96];
  std::snprintf(text, sizeof text, "rank %d did not run for %.1f s (stopped by a signal?)", rank(),
                now() - lastTick);
  Failure failure = ownFailure(rank(), 1, text);
  failure.kind = Failure::Kind::Silent;
  decide(failure);
}

void SocketBase::armEnd(const Failure &failure) {
  lastResort.expires_after(inSeconds(options.grace));
  lastResort.async_wait([this](asio::error_code error) {
    if (!error)
      end(exitCode());
  });
  if (failure.kind != Failure::Kind::Silent)
    return;
  peerStopped = true;
  // A process that was stopped would stay behind. Not at once: its launcher then ends the others.
  ending.expires_after(inSeconds(options.grace / 3));
  ending.async_wait([failure](asio::error_code error) {
    if (!error)
      failure.process.kill();
  });
}

void SocketBase::vanish() {
  asio::post(io, [this] {
    vanished = true;
    closeAll();
  });
}

// A launcher ends all others (and wakes who was stopped) as soon as one has ended: where each rank
// finds a failure by itself, each gets the time to.
void SocketBase::settle() {
  const auto limit = Clock::now() + inSeconds(options.grace / 2);
  if (peerStopped)
    std::this_thread::sleep_until(limit);
  for (bool done = false; !done && Clock::now() < limit;) {
    auto answer = std::make_shared<std::promise<bool>>();
    std::future<bool> future = answer->get_future();
    asio::post(io, [this, answer] { answer->set_value(settled()); });
    done = future.wait_until(limit) == std::future_status::ready && future.get();
    if (!done)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

} // namespace hadal::rt
