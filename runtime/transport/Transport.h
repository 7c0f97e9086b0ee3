// SPDX-License-Identifier: Apache-2.0
//
// Messages between the ranks of a run. A Transport is one rank's endpoint; its streams call it from
// threads of their own. Both ends state a message's size, and a difference is an error.

#ifndef HADAL_RUNTIME_TRANSPORT_TRANSPORT_H
#define HADAL_RUNTIME_TRANSPORT_TRANSPORT_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hadal::rt {

class Watch;

/// Channels are numbers in [0, kChannels).
inline constexpr int kChannels = 1 << 20;
/// The channel of a main loop's own collectives; those below are free for a program's streams.
inline constexpr int kMainChannel = kChannels - 1;

class Transport {
public:
  class Request;
  virtual ~Transport();
  Transport(const Transport &) = delete;
  Transport &operator=(const Transport &) = delete;

  int rank() const { return myRank; }
  int size() const { return ranks; }

  /// Begins to send. Messages from one rank to another on one channel match in the order in which
  /// they were posted; channels are independent, and each is used by one thread at a time. The
  /// memory stays as it is, and stays alive, until the request is done. A message may be empty, and
  /// may go to oneself (whose send is done only when the receive is posted and tested: post both,
  /// then wait for both).
  virtual Request send(int peer, int channel, const void *data, std::uint64_t bytes) = 0;
  /// Begins to receive a message of exactly `bytes` bytes.
  virtual Request receive(int peer, int channel, void *data, std::uint64_t bytes) = 0;
  /// Moves the request on and says whether it is done. Throws RunError that names both ranks, the
  /// channel and both sizes when the other side's message has another size.
  virtual bool done(Request &request) = 0;

  /// Returns when all requests are done. Polls: shortly without a break, then with pauses, because
  /// ranks may outnumber cores. Keeps StreamProgress::current() up to date (the peer it waits for),
  /// and throws PeerError once the watch reports a failure.
  void wait(Request *requests, std::size_t count);
  void wait(std::vector<Request> &requests) { wait(requests.data(), requests.size()); }
  void wait(Request &request) { wait(&request, 1); }

  /// What wait() looks at; lives as long as the transport is used. None: it waits for ever.
  void attach(const Watch *watch) { this->watch = watch; }
  const Watch *attachedWatch() const { return watch; }

protected:
  Transport(int rank, int size) : myRank(rank), ranks(size) {}
  /// Throws RunError unless `peer` and `channel` exist.
  void check(int peer, int channel) const;
  /// A number that changes when a request of this rank may have moved on (see pause).
  virtual std::uint64_t moment() const { return 0; }
  /// Sleeps a little, or until moment() is another than `since`. `waited`: microseconds so far.
  virtual void pause(std::uint64_t since, double waited);

private:
  int myRank, ranks;
  const Watch *watch = nullptr;
};

/// A message on its way. Movable; belongs to one thread at a time. Destroyed before it is done
/// (because something failed), it is withdrawn, so that nobody touches its memory any more.
class Transport::Request {
public:
  /// What a transport keeps of it; its destructor withdraws the message.
  struct State {
    State(int peer, int channel, std::uint64_t bytes, bool sends)
        : peer(peer), channel(channel), bytes(bytes), sends(sends) {}
    State(const State &) = delete;
    State &operator=(const State &) = delete;
    virtual ~State() = default;
    const int peer, channel;
    const std::uint64_t bytes;
    const bool sends;
  };

  /// A request that is done.
  Request() = default;
  explicit Request(std::unique_ptr<State> state) : state(std::move(state)) {}

  /// Known to be done: done() or wait() said so, or nothing was asked for.
  bool finished() const { return !state; }
  /// Of one that is not finished.
  const State &operator*() const { return *state; }
  State *get() const { return state.get(); }
  /// For transports: it is done.
  void finish() { state.reset(); }

private:
  std::unique_ptr<State> state;
};

} // namespace hadal::rt

#endif
