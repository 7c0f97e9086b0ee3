// SPDX-License-Identifier: Apache-2.0
//
// Messages and collectives between local ranks.

#include "runtime/support/Error.h"
#include "runtime/transport/Collectives.h"
#include "runtime/transport/LocalTransport.h"
#include "runtime/transport/RankProgress.h"
#include "runtime/transport/Watch.h"
#include "test/unit/runtime/ExchangeModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <random>
#include <thread>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

/// Runs `body` as every rank of a world; rethrows what the lowest rank threw.
void onRanks(int ranks, const std::function<void(Transport &)> &body) {
  LocalWorld world(ranks);
  std::vector<std::exception_ptr> thrown(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  threads.reserve(thrown.size());
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      try {
        body(world.endpoint(rank));
      } catch (...) {
        thrown[std::size_t(rank)] = std::current_exception();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::exception_ptr &exception : thrown)
    if (exception)
      std::rethrow_exception(exception);
}

/// The message of the RunError that `body` throws.
template <typename Fn> std::string messageOf(Fn &&body) {
  try {
    body();
  } catch (const RunError &error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(LocalTransport, MessagesOfAChannelMatchInOrder) {
  onRanks(2, [](Transport &transport) {
    std::vector<int> values(100, -1);
    std::vector<Transport::Request> requests;
    for (int i = 0; i < 100; ++i) {
      int &value = values[std::size_t(i)];
      if (transport.rank() == 0) {
        value = i;
        requests.push_back(transport.send(1, 7, &value, sizeof value));
      } else {
        requests.push_back(transport.receive(0, 7, &value, sizeof value));
      }
    }
    std::vector<Transport::Request> backwards;
    for (; !requests.empty(); requests.pop_back())
      backwards.push_back(std::move(requests.back()));
    transport.wait(backwards);
    for (int i = 0; i < 100; ++i)
      EXPECT_EQ(values[std::size_t(i)], i);
  });
}

TEST(LocalTransport, ChannelsAreIndependent) {
  onRanks(2, [](Transport &transport) {
    int one = 1, two = 2;
    std::vector<Transport::Request> requests;
    if (transport.rank() == 0) {
      requests.push_back(transport.send(1, 1, &one, sizeof one));
      requests.push_back(transport.send(1, 2, &two, sizeof two));
    } else {
      one = two = 0;
      requests.push_back(transport.receive(0, 2, &two, sizeof two));
      transport.wait(requests);
      requests.push_back(transport.receive(0, 1, &one, sizeof one));
    }
    transport.wait(requests);
    EXPECT_EQ(one, 1);
    EXPECT_EQ(two, 2);
  });
}

TEST(LocalTransport, EmptyMessagesAndMessagesToOneself) {
  onRanks(3, [](Transport &transport) {
    int from = transport.rank(), to = -1;
    std::vector<Transport::Request> requests;
    requests.push_back(transport.receive(from, 0, &to, sizeof to));
    requests.push_back(transport.send(from, 0, &from, sizeof from));
    requests.push_back(transport.send(from, 0, nullptr, 0));
    requests.push_back(transport.receive(from, 0, nullptr, 0));
    transport.wait(requests);
    EXPECT_EQ(to, from);
  });
}

TEST(LocalTransport, SizesMustAgree) {
  LocalWorld world(2);
  int value[2] = {};
  Transport::Request send = world.endpoint(0).send(1, 3, value, 8);
  Transport::Request receive = world.endpoint(1).receive(0, 3, value, 4);
  EXPECT_FALSE(world.endpoint(0).done(send));
  const char *message = "channel 3: rank 0 sends 8 bytes, rank 1 expects 4";
  EXPECT_EQ(messageOf([&] { world.endpoint(1).wait(receive); }), message);
  EXPECT_EQ(messageOf([&] { world.endpoint(1).wait(receive); }), message);
  EXPECT_EQ(messageOf([&] { world.endpoint(0).wait(send); }), message);
}

TEST(LocalTransport, RefusesRanksAndChannelsThatAreNotThere) {
  LocalWorld world(2);
  EXPECT_THAT(messageOf([&] { world.endpoint(0).send(2, 0, nullptr, 0); }),
              HasSubstr("there is no rank 2; ranks are 0 to 1"));
  EXPECT_THAT(messageOf([&] { world.endpoint(0).receive(-1, 0, nullptr, 0); }),
              HasSubstr("there is no rank -1"));
  EXPECT_THAT(messageOf([&] { world.endpoint(0).receive(1, kChannels, nullptr, 0); }),
              HasSubstr("there is no channel"));
}

TEST(LocalTransport, AWithdrawnSendIsNeverRead) {
  LocalWorld world(2);
  int first = 1, second = 2, got = 0;
  auto memory = std::make_unique<int>(3);
  Transport::Request lost = world.endpoint(0).send(1, 0, memory.get(), sizeof(int));
  lost.finish(); // destroys it
  memory.reset();
  Transport::Request matched = world.endpoint(1).receive(0, 0, &got, sizeof got);
  EXPECT_FALSE(world.endpoint(1).done(matched));
  matched.finish();
  Transport::Request awaited = world.endpoint(1).receive(0, 1, &first, sizeof first);
  awaited.finish();
  Transport::Request send = world.endpoint(0).send(1, 1, &second, sizeof second);
  EXPECT_FALSE(world.endpoint(0).done(send));
  EXPECT_EQ(first, 1);
}

TEST(LocalTransport, WaitEndsWhenTheWatchIsRaised) {
  LocalWorld world(2);
  Watch watch;
  RankProgress progress;
  Transport &transport = world.endpoint(0);
  transport.attach(&watch);
  std::thread waiter([&] {
    StreamProgress::Use use(progress.stream(2));
    int value;
    Transport::Request request = transport.receive(1, 5, &value, sizeof value);
    EXPECT_THROW(transport.wait(request), PeerError);
  });
  const StreamSnapshot *waiting = nullptr;
  RankSnapshot snapshot;
  while (!waiting) {
    snapshot = progress.snapshot();
    waiting = snapshot.waiting();
  }
  EXPECT_EQ(waiting->peer, 1);
  EXPECT_EQ(waiting->channel, 5);
  EXPECT_TRUE(watch.raise("rank 1 is gone", 1));
  EXPECT_FALSE(watch.raise("another", 2));
  waiter.join();
  EXPECT_EQ(watch.report(), "rank 1 is gone");
  EXPECT_EQ(progress.snapshot().waiting(), nullptr);
}

TEST(LocalTransport, ManyThreadsAndChannels) {
  static constexpr int kRanks = 4, kStreams = 3, kRounds = 300;
  onRanks(kRanks, [](Transport &transport) {
    std::vector<std::thread> streams;
    streams.reserve(kStreams);
    for (int channel = 0; channel < kStreams; ++channel)
      streams.emplace_back([&transport, channel] {
        std::mt19937 random(static_cast<std::uint32_t>(channel)); // the same on all ranks
        for (int round = 0; round < kRounds; ++round) {
          const int distance = int(random() % kRanks), count = int(random() % 50);
          const int to = (transport.rank() + distance) % kRanks;
          const int from = (transport.rank() + kRanks - distance) % kRanks;
          std::vector<int> out(std::size_t(count), transport.rank() * 1000 + round), in(out.size());
          std::vector<Transport::Request> both;
          both.push_back(transport.send(to, channel, out.data(), out.size() * sizeof(int)));
          both.push_back(transport.receive(from, channel, in.data(), in.size() * sizeof(int)));
          transport.wait(both);
          EXPECT_EQ(in, std::vector<int>(std::size_t(count), from * 1000 + round));
        }
      });
    for (std::thread &stream : streams)
      stream.join();
  });
}

TEST(Collectives, BarrierHoldsUntilTheLastOneComes) {
  for (int ranks : {1, 2, 3, 7}) {
    std::atomic<int> there{0};
    onRanks(ranks, [&](Transport &transport) {
      for (int round = 1; round <= 20; ++round) {
        ++there;
        barrier(transport, everyone(transport), 0);
        EXPECT_GE(there.load(), round * ranks);
      }
    });
  }
}

TEST(Collectives, BroadcastFromEveryRoot) {
  for (int ranks : {1, 2, 3, 5, 8}) {
    onRanks(ranks, [&](Transport &transport) {
      Group group = everyone(transport);
      std::reverse(group.begin(), group.end());
      for (int root = 0; root < ranks; ++root) {
        std::vector<int> values(17, transport.rank());
        broadcast(transport, group, 4, root, values.data(), values.size() * sizeof(int));
        EXPECT_EQ(values, std::vector<int>(17, root));
        broadcast(transport, group, 4, root, nullptr, 0);
      }
    });
  }
}

TEST(Collectives, GatherTakesAnySizes) {
  onRanks(4, [](Transport &transport) {
    const Group group = {2, 0, 3}; // rank 1 is no member
    if (transport.rank() == 1)
      return;
    Bytes mine(std::size_t(transport.rank()), static_cast<unsigned char>(transport.rank()));
    std::vector<Bytes> all = gather(transport, group, 0, 0, mine.data(), mine.size());
    if (transport.rank() == 0) {
      EXPECT_EQ(all, (std::vector<Bytes>{{2, 2}, {}, {3, 3, 3}}));
    } else {
      EXPECT_TRUE(all.empty());
    }
  });
}

TEST(Collectives, AllReduceSums) {
  for (int ranks : {1, 2, 5})
    onRanks(ranks, [&](Transport &transport) {
      std::int64_t values[2] = {transport.rank(), -(std::int64_t(1) << 40)};
      allReduce(transport, everyone(transport), 0, values, 2);
      EXPECT_EQ(values[0], ranks * (ranks - 1) / 2);
      EXPECT_EQ(values[1], -ranks * (std::int64_t(1) << 40));
    });
}

TEST(Collectives, AnOutsiderIsRefused) {
  LocalWorld world(2);
  EXPECT_THAT(messageOf([&] { barrier(world.endpoint(1), {0}, 0); }),
              HasSubstr("rank 1 is no member of the group"));
}

TEST(Collectives, RandomExchanges) {
  onRanks(6, [](Transport &transport) { EXPECT_EQ(randomExchanges(transport, 40), ""); });
}

} // namespace
