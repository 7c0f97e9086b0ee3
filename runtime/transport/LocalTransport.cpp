// SPDX-License-Identifier: Apache-2.0
//
// See LocalTransport.h. Every rank has an inbox with a lock of its own; a lane of it holds what one
// sender posted on one channel and nobody has asked for yet, or what was asked for and nobody sent.

#include "runtime/transport/LocalTransport.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace hadal::rt {

namespace {

/// What a sender posted. Its memory may be read only in the state Copying.
struct Message {
  enum State { Posted, Copying, Copied, Withdrawn, Refused };
  const void *data;
  std::uint64_t bytes;
  std::atomic<int> state{Posted};
  std::uint64_t expected = 0; // by a receiver that refused it
};

/// Wakes the threads of a rank that wait.
class Bell {
public:
  std::uint64_t rings() const { return count.load(); }
  void ring() {
    count.fetch_add(1); // sequentially consistent with `sleepers`
    if (!sleepers.load())
      return;
    {
      std::lock_guard<std::mutex> lock(mutex);
    }
    bell.notify_all();
  }
  void sleep(std::uint64_t since, std::chrono::microseconds limit) {
    std::unique_lock<std::mutex> lock(mutex);
    sleepers.fetch_add(1);
    bell.wait_for(lock, limit, [&] { return rings() != since; });
    sleepers.fetch_sub(1);
  }

private:
  std::atomic<std::uint64_t> count{0};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable bell;
};

struct Inbox;

struct SendState : Transport::Request::State {
  SendState(int peer, int channel, std::shared_ptr<Message> message)
      : State(peer, channel, message->bytes, true), message(std::move(message)) {}
  ~SendState() override {
    int posted = Message::Posted;
    if (message->state.compare_exchange_strong(posted, Message::Withdrawn))
      return;
    while (message->state == Message::Copying)
      std::this_thread::yield();
  }
  std::shared_ptr<Message> message;
};

struct ReceiveState : Transport::Request::State {
  ReceiveState(int peer, int channel, void *data, std::uint64_t bytes, Inbox &inbox)
      : State(peer, channel, bytes, false), data(data), inbox(inbox) {}
  ~ReceiveState() override;
  void match(std::shared_ptr<Message> found) {
    message = std::move(found);
    matched.store(true, std::memory_order_release);
  }
  void *data;
  Inbox &inbox;
  std::atomic<bool> matched{false};
  std::shared_ptr<Message> message; // read after `matched`
};

struct Inbox {
  struct Lane {
    std::deque<std::shared_ptr<Message>> sent;
    std::deque<ReceiveState *> awaited;
  };
  Lane &lane(int sender, int channel) {
    return lanes[std::uint64_t(sender) * kChannels + std::uint64_t(channel)];
  }
  std::mutex mutex; // guards the lanes
  std::unordered_map<std::uint64_t, Lane> lanes;
};

ReceiveState::~ReceiveState() {
  if (matched.load(std::memory_order_acquire))
    return;
  std::lock_guard<std::mutex> lock(inbox.mutex);
  std::deque<ReceiveState *> &awaited = inbox.lane(peer, channel).awaited;
  awaited.erase(std::remove(awaited.begin(), awaited.end(), this), awaited.end());
}

} // namespace

class LocalWorld::Endpoint : public Transport {
public:
  Endpoint(LocalWorld &world, int rank, int size) : Transport(rank, size), world(world) {}

  Request send(int peer, int channel, const void *data, std::uint64_t bytes) override;
  Request receive(int peer, int channel, void *data, std::uint64_t bytes) override;
  bool done(Request &request) override;

protected:
  std::uint64_t moment() const override { return bell.rings(); }
  void pause(std::uint64_t since, double waited) override {
    // The limit is for the watch, which rings no bell.
    bell.sleep(since, std::chrono::microseconds(waited < 10000 ? 1000 : 5000));
  }

private:
  bool sent(Request &request, const SendState &state);
  bool received(Request &request, ReceiveState &state);

  LocalWorld &world;
  Inbox inbox;
  Bell bell;
};

LocalWorld::LocalWorld(int ranks) {
  for (int rank = 0; rank < ranks; ++rank)
    endpoints.push_back(std::make_unique<Endpoint>(*this, rank, ranks));
}

LocalWorld::~LocalWorld() = default;

Transport &LocalWorld::endpoint(int rank) { return *endpoints[std::size_t(rank)]; }

Transport::Request LocalWorld::Endpoint::send(int peer, int channel, const void *data,
                                              std::uint64_t bytes) {
  check(peer, channel);
  auto message = std::make_shared<Message>();
  message->data = data;
  message->bytes = bytes;
  auto state = std::make_unique<SendState>(peer, channel, message);
  Endpoint &receiver = *world.endpoints[std::size_t(peer)];
  {
    std::lock_guard<std::mutex> lock(receiver.inbox.mutex);
    Inbox::Lane &lane = receiver.inbox.lane(rank(), channel);
    if (lane.awaited.empty()) {
      lane.sent.push_back(std::move(message));
    } else {
      lane.awaited.front()->match(std::move(message));
      lane.awaited.pop_front();
    }
  }
  receiver.bell.ring();
  return Request(std::move(state));
}

Transport::Request LocalWorld::Endpoint::receive(int peer, int channel, void *data,
                                                 std::uint64_t bytes) {
  check(peer, channel);
  auto state = std::make_unique<ReceiveState>(peer, channel, data, bytes, inbox);
  std::lock_guard<std::mutex> lock(inbox.mutex);
  Inbox::Lane &lane = inbox.lane(peer, channel);
  if (lane.sent.empty()) {
    lane.awaited.push_back(state.get());
  } else {
    state->match(std::move(lane.sent.front()));
    lane.sent.pop_front();
  }
  return Request(std::move(state));
}

bool LocalWorld::Endpoint::done(Request &request) {
  if (request.finished())
    return true;
  if (request.get()->sends)
    return sent(request, static_cast<SendState &>(*request.get()));
  return received(request, static_cast<ReceiveState &>(*request.get()));
}

static RunError mismatch(int sender, int receiver, int channel, std::uint64_t sent,
                         std::uint64_t expected) {
  return RunError("channel " + std::to_string(channel) + ": rank " + std::to_string(sender) +
                  " sends " + std::to_string(sent) + " bytes, rank " + std::to_string(receiver) +
                  " expects " + std::to_string(expected));
}

bool LocalWorld::Endpoint::sent(Request &request, const SendState &state) {
  switch (state.message->state.load(std::memory_order_acquire)) {
  case Message::Copied:
    request.finish();
    return true;
  case Message::Refused:
    throw mismatch(rank(), state.peer, state.channel, state.bytes, state.message->expected);
  default:
    return false;
  }
}

bool LocalWorld::Endpoint::received(Request &request, ReceiveState &state) {
  if (!state.matched.load(std::memory_order_acquire))
    return false;
  Message &message = *state.message;
  int posted = Message::Posted;
  if (!message.state.compare_exchange_strong(posted, Message::Copying)) {
    if (posted == Message::Refused) // asked again
      throw mismatch(state.peer, rank(), state.channel, message.bytes, state.bytes);
    return false; // withdrawn: its sender fails
  }
  const bool fits = message.bytes == state.bytes;
  if (fits && state.bytes)
    std::memcpy(state.data, message.data, state.bytes);
  message.expected = state.bytes;
  message.state.store(fits ? Message::Copied : Message::Refused, std::memory_order_release);
  world.endpoints[std::size_t(state.peer)]->bell.ring();
  if (!fits)
    throw mismatch(state.peer, rank(), state.channel, message.bytes, state.bytes);
  request.finish();
  return true;
}

} // namespace hadal::rt
