// SPDX-License-Identifier: Apache-2.0
//
// The discrete-event engine: each rule by hand-computed times, what it says when nothing goes on,
// programs of millions of instructions.

#include "runtime/simulate/Engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <random>

using namespace hadal::rt;

namespace {

using Id = Engine::Id;

Message send(int peer, double duration = 0, std::uint64_t what = 0) {
  return {true, peer, what, duration, false, 0};
}
Message eager(int peer, double duration = 0, std::uint64_t what = 0) {
  return {true, peer, what, duration, true, 0};
}
Message receive(int peer, std::uint64_t what = 0) { return {false, peer, what, 0, false, 0}; }

void expectSpan(const Engine &engine, Id id, double posted, double start, double end) {
  EXPECT_DOUBLE_EQ(engine.span(id).posted, posted) << "instruction " << id;
  EXPECT_DOUBLE_EQ(engine.span(id).start, start) << "instruction " << id;
  EXPECT_DOUBLE_EQ(engine.span(id).end, end) << "instruction " << id;
}

std::string why(const Engine &engine, const Outcome &outcome) {
  return engine.explain(outcome, {[](Id id) { return "#" + std::to_string(id); },
                                  [](std::uint64_t what) { return "m" + std::to_string(what); }});
}

TEST(Engine, WorkFollowsWork) {
  Engine engine;
  Id stream = engine.addStream(0, "compute");
  Id first = engine.work(stream, 2), second = engine.work(stream, 0.5);
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, first, 0, 0, 2);
  expectSpan(engine, second, 2, 2, 2.5);
  EXPECT_DOUBLE_EQ(engine.makespan(), 2.5);
}

TEST(Engine, NothingTakesNoTime) {
  Engine engine;
  engine.addStream(0, "compute");
  EXPECT_TRUE(engine.run().finished());
  EXPECT_EQ(engine.makespan(), 0);
}

TEST(Engine, EventsHoldUntilTheyAreRecorded) {
  Engine engine;
  Id compute = engine.addStream(0, "compute"), copy = engine.addStream(0, "copy");
  Id event = engine.addEvent(), late = engine.addEvent();
  Id wait = engine.wait(copy, event), behind = engine.work(copy, 1);
  engine.record(copy, late);
  engine.work(compute, 3);
  engine.record(compute, event);
  engine.work(compute, 5);
  Id past = engine.wait(compute, late); // recorded at 4, reached at 8
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, wait, 0, 3, 3);
  expectSpan(engine, behind, 3, 3, 4);
  expectSpan(engine, past, 8, 8, 8);
}

TEST(Engine, SeveralWaitForOneEvent) {
  Engine engine;
  Id event = engine.addEvent();
  std::vector<Id> waits;
  for (int rank = 0; rank < 3; ++rank)
    waits.push_back(engine.wait(engine.addStream(rank, "copy"), event));
  Id compute = engine.addStream(3, "compute");
  engine.work(compute, 7);
  engine.record(compute, event);
  EXPECT_TRUE(engine.run().finished());
  for (Id wait : waits)
    expectSpan(engine, wait, 0, 7, 7);
}

TEST(Engine, TransfersMeet) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  engine.work(a, 1);
  Id sent = engine.transfer(a, {send(1, 2)});
  engine.work(b, 4);
  Id received = engine.transfer(b, {receive(0)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, sent, 1, 4, 6);
  expectSpan(engine, received, 4, 4, 6);
}

TEST(Engine, EagerSendsDoNotWait) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  Id sent = engine.transfer(a, {eager(1, 2)});
  Id second = engine.transfer(a, {eager(1, 2)});
  engine.work(b, 1);
  Id early = engine.transfer(b, {receive(0)}); // arrives at 2
  engine.work(b, 5);
  Id late = engine.transfer(b, {receive(0)}); // has been there since 2
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, sent, 0, 0, 0);
  expectSpan(engine, second, 0, 0, 0);
  expectSpan(engine, early, 1, 1, 2);
  expectSpan(engine, late, 7, 7, 7);
}

TEST(Engine, AWaitingReceiveTakesAnEagerSend) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  Id received = engine.transfer(b, {receive(0)});
  engine.work(a, 3);
  Id sent = engine.transfer(a, {eager(1, 2)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, received, 0, 3, 5);
  expectSpan(engine, sent, 3, 3, 3);
}

TEST(Engine, ABatchEndsWithItsLastMessage) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s"), c = engine.addStream(2, "s");
  Id batch = engine.transfer(a, {send(1, 1), receive(2)});
  engine.work(b, 2);
  Id atB = engine.transfer(b, {receive(0)});
  engine.work(c, 5);
  Id atC = engine.transfer(c, {send(0, 3)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, batch, 0, 2, 8);
  expectSpan(engine, atB, 2, 2, 3);
  expectSpan(engine, atC, 5, 5, 8);
}

TEST(Engine, MessagesOfOneChannelMeetInOrder) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  engine.transfer(a, {send(1, 1, 10), send(1, 5, 20)});
  Id first = engine.transfer(b, {receive(0, 10)});
  Id second = engine.transfer(b, {receive(0, 20)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, first, 0, 0, 1);
  expectSpan(engine, second, 1, 1, 6);
}

TEST(Engine, ChannelsAreApart) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  Message other = send(1, 1, 20), mine = receive(0, 20);
  other.channel = mine.channel = 1;
  engine.transfer(a, {send(1, 1, 10)});
  engine.transfer(a, {other});
  Id first = engine.transfer(b, {mine, receive(0, 10)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, first, 0, 0, 2);
}

TEST(Engine, ARankMaySendToItself) {
  Engine engine;
  Id a = engine.addStream(0, "s");
  Id batch = engine.transfer(a, {send(0, 2), receive(0)});
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, batch, 0, 0, 2);
}

TEST(Engine, CollectivesStartWithTheLastMember) {
  Engine engine;
  Id group = engine.addGroup({0, 1, 2});
  std::vector<Id> first, second;
  for (int rank = 0; rank < 3; ++rank) {
    Id stream = engine.addStream(rank, "s");
    engine.work(stream, rank);
    first.push_back(engine.collective(stream, group, 1, 1 + rank));
    second.push_back(engine.collective(stream, group, 2, 1));
  }
  EXPECT_TRUE(engine.run().finished());
  for (int rank = 0; rank < 3; ++rank) {
    expectSpan(engine, first[std::size_t(rank)], rank, 2, 5);
    expectSpan(engine, second[std::size_t(rank)], 5, 5, 6);
  }
}

TEST(Engine, TwoStreamsOfARankMayUseOneGroup) {
  Engine engine;
  Id group = engine.addGroup({0, 1});
  Id a = engine.addStream(0, "a"), b = engine.addStream(0, "b"), other = engine.addStream(1, "s");
  Id first = engine.collective(a, group, 1, 1), second = engine.collective(b, group, 1, 1);
  engine.work(other, 4);
  engine.collective(other, group, 1, 1);
  Id last = engine.collective(other, group, 1, 1);
  EXPECT_TRUE(engine.run().finished());
  expectSpan(engine, first, 0, 4, 5);
  expectSpan(engine, second, 0, 5, 6);
  expectSpan(engine, last, 5, 5, 6);
}

TEST(EngineErrors, ACycleOfReceives) {
  Engine engine;
  for (int rank = 0; rank < 2; ++rank) {
    Id stream = engine.addStream(rank, "compute");
    engine.work(stream, 1);
    engine.transfer(stream, {receive(1 - rank, std::uint64_t(rank))});
    engine.transfer(stream, {eager(1 - rank, 0, std::uint64_t(1 - rank))});
  }
  Outcome outcome = engine.run();
  ASSERT_EQ(outcome.blocked.size(), 2u);
  EXPECT_EQ(why(engine, outcome), "rank 0, compute, #1: waits for rank 1 to send m0\n"
                                  "rank 1, compute, #4: waits for rank 0 to send m1\n");
}

TEST(EngineErrors, ACycleOfSends) {
  Engine engine;
  for (int rank = 0; rank < 2; ++rank) {
    Id stream = engine.addStream(rank, "s");
    engine.transfer(stream, {send(1 - rank, 0, 5)});
    engine.transfer(stream, {receive(1 - rank, 5)});
  }
  EXPECT_EQ(why(engine, engine.run()), "rank 0, s, #0: waits for rank 1 to receive m5\n"
                                       "rank 1, s, #2: waits for rank 0 to receive m5\n");
}

TEST(EngineErrors, OnlyWhatIsMissingIsNamed) {
  Engine engine;
  Id a = engine.addStream(0, "s"), b = engine.addStream(1, "s");
  engine.transfer(a, {send(1, 0, 1), receive(2, 2), receive(1, 3)});
  engine.transfer(b, {receive(0, 1)});
  engine.addStream(2, "s");
  EXPECT_EQ(why(engine, engine.run()),
            "rank 0, s, #0: waits for rank 2 to send m2, for rank 1 to send m3\n");
}

TEST(EngineErrors, EventsThatDoNotCome) {
  Engine engine;
  Id a = engine.addStream(0, "a"), b = engine.addStream(1, "b");
  Id never = engine.addEvent(), late = engine.addEvent();
  engine.wait(a, never);
  engine.record(a, late);
  engine.wait(b, late);
  EXPECT_EQ(why(engine, engine.run()), "rank 0, a, #0: waits for an event that nothing records\n"
                                       "rank 1, b, #2: waits for the event of rank 0, a, #1\n");
}

TEST(EngineErrors, AMemberThatStaysAway) {
  Engine engine;
  Id group = engine.addGroup({4, 5, 6});
  Id a = engine.addStream(4, "s"), b = engine.addStream(5, "s");
  engine.collective(a, group, 8, 1);
  engine.collective(b, group, 8, 1);
  EXPECT_EQ(why(engine, engine.run()), "rank 4, s, #0: waits for rank 6 to join m8\n"
                                       "rank 5, s, #1: waits for rank 6 to join m8\n");
}

TEST(EngineErrors, WhatMeetsMustAgree) {
  Engine transfers;
  Id a = transfers.addStream(0, "s"), b = transfers.addStream(1, "s");
  transfers.transfer(a, {send(1, 0, 1)});
  transfers.transfer(b, {receive(0, 2)});
  Outcome outcome = transfers.run();
  EXPECT_FALSE(outcome.finished());
  EXPECT_EQ(why(transfers, outcome), "rank 1, s, #1: m2 meets m1 of rank 0, s, #0\n");

  Engine collectives;
  Id group = collectives.addGroup({0, 1});
  collectives.collective(collectives.addStream(0, "s"), group, 1, 1);
  collectives.collective(collectives.addStream(1, "s"), group, 2, 1);
  outcome = collectives.run();
  EXPECT_EQ(why(collectives, outcome), "rank 1, s, #1: m2 meets m1 of rank 0, s, #0\n");
}

TEST(EngineErrors, MisuseThrows) {
  Engine engine;
  Id stream = engine.addStream(0, "s"), event = engine.addEvent();
  EXPECT_THROW(engine.work(stream, -1), std::invalid_argument);
  EXPECT_THROW(engine.work(stream, std::nan("")), std::invalid_argument);
  EXPECT_THROW(engine.work(stream + 1, 1), std::out_of_range);
  EXPECT_THROW(engine.wait(stream, event + 1), std::out_of_range);
  EXPECT_THROW(engine.addGroup({1, 1}), std::invalid_argument);
  EXPECT_THROW(engine.collective(stream, engine.addGroup({1}), 0, 1), std::invalid_argument);
  engine.record(stream, event);
  EXPECT_THROW(engine.record(stream, event), std::invalid_argument);
  engine.run();
  EXPECT_THROW(engine.work(stream, 1), std::logic_error);
  EXPECT_THROW(engine.run(), std::logic_error);
}

// Rings of neighbours with random durations, against the recurrence written down directly.
TEST(Engine, RandomRings) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> length(0, 3);
  for (int round = 0; round < 20; ++round) {
    const int ranks = 2 + int(random() % 6), steps = 30;
    Engine engine;
    std::vector<Id> streams;
    for (int rank = 0; rank < ranks; ++rank)
      streams.push_back(engine.addStream(rank, "s"));
    std::vector<double> now(std::size_t(ranks), 0);
    const double flight = length(random);
    for (int step = 0; step < steps; ++step) {
      std::vector<double> posted(now);
      for (std::size_t rank = 0; rank < now.size(); ++rank) {
        const double duration = length(random);
        engine.work(streams[rank], duration);
        posted[rank] += duration;
        engine.transfer(streams[rank],
                        {send(int(rank + 1) % ranks, flight, std::uint64_t(step)),
                         receive(int(rank + now.size() - 1) % ranks, std::uint64_t(step))});
      }
      for (std::size_t rank = 0; rank < now.size(); ++rank) {
        const double left = posted[(rank + now.size() - 1) % now.size()];
        const double next = posted[(rank + 1) % now.size()];
        now[rank] = std::max({posted[rank], left, next}) + flight;
      }
    }
    ASSERT_TRUE(engine.run().finished());
    EXPECT_NEAR(engine.makespan(), *std::max_element(now.begin(), now.end()), 1e-9);
  }
}

TEST(Engine, MillionsOfInstructions) {
  constexpr int kRanks = 16, kRounds = 20000; // 5 instructions a round
  const std::clock_t begin = std::clock();
  Engine engine;
  Id group = engine.addGroup({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  for (int rank = 0; rank < kRanks; ++rank) {
    Id compute = engine.addStream(rank, "compute"), copy = engine.addStream(rank, "copy");
    for (int round = 0; round < kRounds; ++round) {
      Id event = engine.addEvent();
      engine.work(compute, 1 + (rank * 7 + round) % 3);
      engine.record(compute, event);
      engine.wait(copy, event);
      if (round % 10 == 0)
        engine.collective(copy, group, 0, 1);
      else
        engine.transfer(copy,
                        {send((rank + 1) % kRanks, 0.5), receive((rank + kRanks - 1) % kRanks)});
      engine.work(copy, 0.25);
    }
  }
  EXPECT_EQ(engine.instructions(), Id(kRanks * kRounds * 5));
  EXPECT_TRUE(engine.run().finished());
  EXPECT_GE(engine.makespan(), 2.0 * kRounds);
  EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 20) << "seconds";
}

} // namespace
