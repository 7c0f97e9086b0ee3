// SPDX-License-Identifier: Apache-2.0
//
// Ranks as threads for tests of what ranks do together; one of them can be made to stop.

#ifndef HADAL_TEST_UNIT_RUNTIME_THREADPEERS_H
#define HADAL_TEST_UNIT_RUNTIME_THREADPEERS_H

#include "runtime/checkpoint/Peers.h"
#include "runtime/support/Error.h"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace hadal::rt {

/// Thrown in the rank that stops, which then does nothing any more.
struct Stopped {};

/// What the threads share.
class ThreadWorld {
public:
  explicit ThreadWorld(int ranks) : texts(std::size_t(ranks)) {}
  /// Rank `rank` stops at its call number `call` (from 0) of a function of Peers.
  void stopAt(int rank, int call) {
    stopRank = rank;
    stopCall = call;
  }

  /// Runs `body` for every rank, each on a thread of its own. What the lowest rank threw that did
  /// not stop is thrown here.
  void run(const std::function<void(Peers &)> &body);

private:
  class Endpoint;
  int size() const { return int(texts.size()); }
  /// Puts this rank's text there and waits until all have; throws RunError when one stopped.
  std::vector<std::string> meet(int rank, const std::string &text);
  void stop();

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> texts, complete;
  int arrived = 0, stopRank = -1, stopCall = -1;
  std::uint64_t meeting = 0;
  bool stopped = false;
};

class ThreadWorld::Endpoint : public Peers {
public:
  Endpoint(ThreadWorld &world, int rank) : world(world), myRank(rank) {}
  int rank() const override { return myRank; }
  int size() const override { return world.size(); }
  std::vector<std::string> gather(const std::string &text) override {
    std::vector<std::string> all = call(text);
    return myRank == 0 ? all : std::vector<std::string>();
  }
  std::string broadcast(const std::string &text) override { return call(text)[0]; }

private:
  std::vector<std::string> call(const std::string &text) {
    if (myRank == world.stopRank && calls++ == world.stopCall) {
      world.stop();
      throw Stopped();
    }
    return world.meet(myRank, text);
  }
  ThreadWorld &world;
  int myRank, calls = 0;
};

inline std::vector<std::string> ThreadWorld::meet(int rank, const std::string &text) {
  std::unique_lock<std::mutex> lock(mutex);
  texts[std::size_t(rank)] = text;
  const std::uint64_t mine = meeting;
  if (++arrived == size()) {
    arrived = 0;
    complete = texts;
    ++meeting;
    changed.notify_all();
    return complete;
  }
  changed.wait(lock, [&] { return meeting != mine || stopped; });
  if (meeting == mine)
    throw RunError("a peer is gone");
  return complete;
}

inline void ThreadWorld::stop() {
  std::lock_guard<std::mutex> lock(mutex);
  stopped = true;
  changed.notify_all();
}

inline void ThreadWorld::run(const std::function<void(Peers &)> &body) {
  std::vector<std::exception_ptr> thrown(texts.size());
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size(); ++rank)
    threads.emplace_back([&, rank] {
      Endpoint endpoint(*this, rank);
      try {
        body(endpoint);
      } catch (const Stopped &) {
      } catch (...) {
        thrown[std::size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::exception_ptr &error : thrown)
    if (error)
      std::rethrow_exception(error);
}

} // namespace hadal::rt

#endif
