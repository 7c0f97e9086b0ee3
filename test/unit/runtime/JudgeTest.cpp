// SPDX-License-Identifier: Apache-2.0
//
// Who is silent, stuck or waits in a circle, with times made up; reports and their encodings.

#include "runtime/transport/Judge.h"
#include "runtime/transport/Agreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace hadal::rt;
using testing::HasSubstr;
using testing::Not;
using State = StreamSnapshot::State;

namespace {

RankSnapshot working(std::uint64_t counter, State state = State::Computes, int peer = -1) {
  RankSnapshot snapshot;
  snapshot.step = 3;
  snapshot.patient = false;
  StreamSnapshot stream;
  stream.state = state;
  stream.counter = counter;
  stream.instruction = 17;
  stream.text = "receive x";
  stream.peer = peer;
  stream.channel = peer < 0 ? -1 : 2;
  snapshot.streams.push_back(stream);
  return snapshot;
}

RankSnapshot waitingFor(int peer) { return working(9, State::ForPeer, peer); }

/// No failure as a failure.
Failure orNone(const std::optional<Failure> &failure) { return failure.value_or(Failure()); }

/// A judge who hears `says(rank, now)` of each rank every quarter of a second until it finds a
/// failure or 100 seconds are over; the time goes to `at`. Found nothing: `what` is empty.
template <typename Fn> Failure judged(int ranks, double &at, Fn says) {
  Judge judge(ranks, {});
  for (int quarter = 0; quarter < 400; ++quarter) {
    at = quarter * 0.25;
    for (int rank = 0; rank < ranks; ++rank)
      if (std::optional<RankSnapshot> snapshot = says(rank, at))
        judge.heard(rank, *snapshot, at);
    if (std::optional<Failure> failure = judge.verdict(at))
      return *failure;
  }
  return {};
}

TEST(Judge, WhoWorksIsLeftAlone) {
  double at;
  Failure failure = judged(3, at, [](int rank, double now) -> std::optional<RankSnapshot> {
    return rank == 2 ? waitingFor(0) : working(std::uint64_t(now * 4));
  });
  EXPECT_EQ(failure.what, "");
}

TEST(Judge, Silence) {
  double at;
  Failure failure = judged(3, at, [](int rank, double now) -> std::optional<RankSnapshot> {
    if (rank == 1 && now > 10)
      return std::nullopt;
    return working(std::uint64_t(now * 4));
  });
  EXPECT_EQ(failure.kind, Failure::Kind::Silent);
  EXPECT_EQ(failure.rank, 1);
  EXPECT_NEAR(at, 14, 0.3);
  EXPECT_NEAR(failure.before, 4, 0.3);
}

TEST(Judge, Stuck) {
  double at;
  Failure failure = judged(3, at, [](int rank, double now) -> std::optional<RankSnapshot> {
    if (rank == 1)
      return working(std::uint64_t(std::min(now, 10.0) * 4));
    return waitingFor(1);
  });
  EXPECT_EQ(failure.kind, Failure::Kind::Stuck);
  EXPECT_EQ(failure.rank, 1);
  EXPECT_NEAR(at, 16, 0.3);
}

TEST(Judge, OutsideOfProgramsToo) {
  double at;
  RankSnapshot idle;
  idle.step = 4;
  idle.patient = false;
  Failure failure = judged(2, at, [&](int, double) -> std::optional<RankSnapshot> { return idle; });
  EXPECT_EQ(failure.kind, Failure::Kind::Stuck);
  idle.patient = true; // saves a checkpoint
  failure = judged(2, at, [&](int, double) -> std::optional<RankSnapshot> { return idle; });
  EXPECT_EQ(failure.what, "");
}

TEST(Judge, OneStreamStuckWhileAnotherWaits) {
  double at;
  Failure failure = judged(2, at, [](int rank, double) -> std::optional<RankSnapshot> {
    RankSnapshot snapshot = waitingFor(1 - rank);
    if (rank == 1)
      snapshot.streams.push_back(working(5).streams[0]);
    return snapshot;
  });
  EXPECT_EQ(failure.kind, Failure::Kind::Stuck);
  EXPECT_THAT(failure.what, HasSubstr("rank 1 is stuck: its stream 1"));
  EXPECT_LT(at, 7);
}

TEST(Judge, Circle) {
  double at;
  Failure failure = judged(4, at, [](int rank, double) -> std::optional<RankSnapshot> {
    const int peers[] = {2, 3, 3, 1}; // 0 -> 2 -> 3 -> 1 -> 3
    return waitingFor(peers[rank]);
  });
  EXPECT_EQ(failure.kind, Failure::Kind::Deadlock);
  EXPECT_THAT(failure.what, HasSubstr("rank 3 waits for rank 1 on channel 2, rank 1 waits for "
                                      "rank 3 on channel 2"));
  EXPECT_THAT(failure.what, Not(HasSubstr("rank 0 waits")));
  EXPECT_NEAR(at, 6.5, 0.3);
}

TEST(Judge, WaitingForOneThatHasFinished) {
  Judge judge(3, {});
  judge.finished(2);
  Failure failure;
  for (int quarter = 0; quarter < 32 && failure.what.empty(); ++quarter) {
    const double now = quarter * 0.25;
    judge.heard(0, waitingFor(1), now);
    judge.heard(1, waitingFor(2), now);
    judge.heard(2, working(1, State::Idle), now);
    failure = orNone(judge.verdict(now));
  }
  EXPECT_THAT(failure.what, HasSubstr("rank 0 waits for rank 1 on channel 2, rank 1 waits for "
                                      "rank 2 on channel 2, which has finished"));
}

TEST(Judge, APauseOfItsOwnIsNobodysFault) {
  Judge judge(2, {});
  std::uint64_t counter = 0;
  for (int quarter = 0; quarter < 80; ++quarter) {
    const double now = quarter * 0.25;
    const bool stopped = now > 5 && now < 12; // this process, by a signal
    if (!stopped) {
      EXPECT_FALSE(judge.verdict(now)) << now;
      judge.heard(0, working(++counter), now);
      judge.heard(1, working(++counter), now);
    }
  }
}

TEST(Judge, HasLessPatienceWhenAskedToStop) {
  Judge judge(2, {});
  judge.heard(0, working(1), 0);
  judge.heard(1, working(1), 0);
  for (int quarter = 0; quarter < 8; ++quarter) {
    const double now = quarter * 0.25;
    judge.heard(0, working(std::uint64_t(now * 4)), now);
    EXPECT_FALSE(judge.verdict(now));
  }
  judge.hurry();
  Failure failure = orNone(judge.verdict(2));
  EXPECT_EQ(failure.rank, 1);
}

Failure someFailure() {
  Failure failure;
  failure.kind = Failure::Kind::Died;
  failure.rank = 2;
  failure.what = "rank 2 died: its connection closed without a goodbye";
  failure.last = working(5);
  failure.before = 0.125;
  failure.process = {"here", 77, "12345"};
  return failure;
}

TEST(Failure, Reports) {
  Failure failure = someFailure();
  EXPECT_EQ(failure.report(0, 4, waitingFor(2)),
            "rank 0, step 3, instruction 17 (receive x), waits for rank 2 on channel 2: rank 2 "
            "died: its connection closed without a goodbye (last heard of 0.1 s before: step 3, "
            "instruction 17 (receive x), computes)");
  failure.kind = Failure::Kind::Failed;
  failure.what = "step 3: the loss is NaN";
  EXPECT_EQ(failure.report(2, 4, working(1)), "rank 2: step 3: the loss is NaN");
  EXPECT_EQ(failure.report(2, 1, working(1)), "step 3: the loss is NaN");
  failure.before = -1;
  EXPECT_EQ(failure.report(1, 4, RankSnapshot()),
            "rank 1, before the first step: rank 2 failed: step 3: the loss is NaN");
}

TEST(Failure, EncodesAndDecodes) {
  Failure failure = someFailure();
  failure.last.activity = "saves \"x\"\xff";
  Failure back = Failure::decode(failure.encode());
  EXPECT_EQ(back.kind, failure.kind);
  EXPECT_EQ(back.rank, 2);
  EXPECT_EQ(back.what, failure.what);
  EXPECT_EQ(back.before, 0.125);
  EXPECT_EQ(back.process.machine, "here");
  EXPECT_EQ(back.process.pid, 77);
  EXPECT_EQ(back.process.started, "12345");
  EXPECT_EQ(back.last.step, 3);
  ASSERT_EQ(back.last.streams.size(), 1U);
  EXPECT_EQ(back.last.streams[0].text, "receive x");
  EXPECT_EQ(back.last.counter(), 5U);
  for (const char *wrong : {"", "[]", "[9,0,\"\",\"\",0,\"\",0,\"\"]", "{\"a\":1}"})
    EXPECT_THROW(Failure::decode(wrong), RunError) << wrong;
  EXPECT_THROW(RankSnapshot::decode("[1,2,\"\",true,[[7,0,0,\"\",0,0]]]"), RunError);
}

TEST(Agreement, NamesWhatDiffersAndWho) {
  const Identity same = {{"bundle checksum", "12ab"}, {"first step", "0"}};
  Identity other = same;
  EXPECT_EQ(difference({same, same, same}), "");
  other[1].second = "7";
  EXPECT_EQ(difference({same, other, same}),
            "ranks differ in first step: 0 (ranks 0, 2), 7 (rank 1)");
  other[0].second = "77ff";
  EXPECT_THAT(difference({other, same}),
              HasSubstr("bundle checksum: 77ff (rank 0), 12ab (rank 1)"));
  other.pop_back();
  EXPECT_THAT(difference({same, other}), HasSubstr("what they agree on"));
  std::vector<Identity> many(20, same);
  many[0][1].second = "1";
  EXPECT_THAT(difference(many), HasSubstr("(ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more)"));
}

} // namespace
