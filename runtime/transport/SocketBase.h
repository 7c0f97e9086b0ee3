// SPDX-License-Identifier: Apache-2.0
//
// What the hub and the other ranks of a SocketControl share: the thread, its clock, the end.

#ifndef HADAL_RUNTIME_TRANSPORT_SOCKETBASE_H
#define HADAL_RUNTIME_TRANSPORT_SOCKETBASE_H

#include "runtime/transport/Session.h"
#include "runtime/transport/SocketControl.h"

#include <nlohmann/json.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace hadal::rt {

/// Of the messages; hub and members must have the same.
inline constexpr int kControlProtocol = 1;

class SocketBase : public ControlPlane {
public:
  SocketBase(int rank, int size, const ControlOptions &options);

  void fail(int exitCode, const std::string &message) override;
  void vanish() override;
  void settle() override;

protected:
  /// Derived classes call these at the end of their constructors and the start of their
  /// destructors: the thread calls the functions below.
  void startThread();
  void stopThread();

  /// Several times a second.
  virtual void tick() = 0;
  /// Every heartbeat.
  virtual void beat() = 0;
  /// A signal asked to stop; called once.
  virtual void hurry() = 0;
  /// Tells all others of a failure.
  virtual void tell(const Failure &failure) = 0;
  /// Nothing is left to tell anyone.
  virtual bool settled() const = 0;
  virtual void closeAll() = 0;

  /// On the thread: the run has failed. Tells the others, reports, lets the process end in a while.
  void decide(const Failure &failure);
  double now() const;
  /// This process was stopped for so long that others have given it up.
  bool wasStopped() const { return lastTick >= 0 && now() - lastTick > options.silent; }
  /// Then: the failure is this rank's.
  void gaveUp();
  /// Waits until `ready`, which the thread changes under `mutex` and notifies; or until the watch
  /// is raised: throws PeerError.
  template <typename Fn> void waitFor(Fn ready) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [&] { return ready() || watch().failed(); });
    if (!ready())
      watch().check();
  }
  /// Takes the lock, so that nobody who waits misses it.
  template <typename Fn> void change(Fn to) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      to();
    }
    changed.notify_all();
  }
  static Failure ownFailure(int rank, int exitCode, const std::string &message);

  asio::io_context io;

private:
  void schedule();
  void armEnd(const Failure &failure);

  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer ticks, lastResort, ending;
  std::mutex mutex;
  std::condition_variable changed;
  const std::chrono::steady_clock::time_point start;
  double lastTick = -1, lastBeat = -1, signalSeen = -1;
  bool vanished = false;
  std::atomic<bool> peerStopped{false}; // the failure is of that kind
  std::thread thread;
};

} // namespace hadal::rt

#endif
