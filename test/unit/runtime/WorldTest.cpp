// SPDX-License-Identifier: Apache-2.0
//
// Runs of local ranks from the launch to the exit code.

#include "runtime/transport/World.h"
#include "runtime/transport/Collectives.h"
#include "runtime/transport/Fault.h"
#include "test/unit/runtime/TestFolder.h"

#include <chrono>
#include <csignal>
#include <thread>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

Launch local(int ranks) {
  return findLaunch(ranks, [](const char *) -> const char * { return nullptr; });
}

struct Ended {
  int code;
  std::string text; // on stderr
};

Ended runs(int ranks, const std::function<void(RankContext &)> &body,
           const WorldOptions &options = {}) {
  testing::internal::CaptureStderr();
  const int code = runWorld(local(ranks), {{"bundle", "12ab"}}, body, options);
  return {code, testing::internal::GetCapturedStderr()};
}

/// Steps in which all ranks depend on each other.
void steps(RankContext &context, int count = 1 << 30) {
  for (int step = 0; step < count; ++step) {
    context.progress.step(step);
    faultAt(context.rank, step, "forward");
    barrier(context.transport, everyone(context.transport), 0);
  }
}

TEST(World, RanksAreThreads) {
  std::atomic<int> sum{0};
  Ended end = runs(3, [&](RankContext &context) {
    EXPECT_EQ(context.size, 3);
    EXPECT_GE(context.threads, 1);
    EXPECT_EQ(context.launch.kind, Launch::Kind::Local);
    sum += 1 << (4 * context.rank);
    steps(context, 20);
  });
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(end.text, "");
  EXPECT_EQ(sum, 0x111);
}

TEST(World, OneRankRunsOnTheCallingThread) {
  const std::thread::id self = std::this_thread::get_id();
  EXPECT_EQ(runs(1, [&](RankContext &) { EXPECT_EQ(std::this_thread::get_id(), self); }).code, 0);
  Ended failed = runs(1, [](RankContext &) { throw RunError("the loss is NaN"); });
  EXPECT_EQ(failed.code, 1);
  EXPECT_EQ(failed.text, "error: the loss is NaN\n");
  Ended refused = runs(1, [](RankContext &) { throw InputError("--data", "no such file"); });
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.text, "error: --data: no such file\n");
}

TEST(World, AFailureOfOneEndsAll) {
  Ended end = runs(3, [](RankContext &context) {
    if (context.rank == 1) {
      steps(context, 3);
      throw RunError("step 3: the loss is NaN");
    }
    steps(context);
  });
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.text, HasSubstr("error: rank 1: step 3: the loss is NaN\n"));
  for (const char *other : {"error: rank 0, step ", "error: rank 2, step "})
    EXPECT_THAT(end.text, HasSubstr(other));
  EXPECT_THAT(end.text, HasSubstr(": rank 1 failed: step 3: the loss is NaN\n"));
}

TEST(World, ARefusalIsOneMessage) {
  Ended end = runs(4, [](RankContext &) { throw InputError("--data", "no such file"); });
  EXPECT_EQ(end.code, 2);
  EXPECT_EQ(end.text, "error: --data: no such file\n");
}

TEST(World, ARankOfSeveralThreadsGetsThemOutOfTheirWaits) {
  Ended end = runs(2, [](RankContext &context) {
    if (context.rank == 1)
      return steps(context);
    std::thread stream([&] {
      Transport::Request request = context.transport.receive(1, 5, nullptr, 0);
      EXPECT_THROW(context.transport.wait(request), PeerError);
    });
    context.watch.abandon();
    stream.join();
    throw RunError("kernel: division by zero");
  });
  EXPECT_EQ(end.code, 1);
  EXPECT_THAT(end.text, HasSubstr("error: rank 0: kernel: division by zero\n"));
  EXPECT_THAT(end.text, HasSubstr(": rank 0 failed: kernel: division by zero\n"));
}

TEST(World, ASignalIsForTheBody) {
  WorldOptions options;
  options.bodyStops = true;
  Ended end = runs(
      2,
      [](RankContext &context) {
        if (context.rank == 0)
          ::raise(SIGTERM);
        while (!stopSignal())
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        EXPECT_EQ(stopSignal(), SIGTERM);
      },
      options);
  EXPECT_EQ(end.code, 0);
}

TEST(World, RefusesAMalformedFault) {
  ::setenv("HADAL_INJECT_FAULT", "1:2", 1);
  Ended end = runs(2, [](RankContext &) { ADD_FAILURE() << "runs"; });
  ::unsetenv("HADAL_INJECT_FAULT");
  EXPECT_EQ(end.code, 2);
  EXPECT_THAT(end.text, HasSubstr("HADAL_INJECT_FAULT: 1:2; allowed is rank:step:phase:die"));
}

/// In a process of its own: faults end it.
[[noreturn]] void runWithFault(const char *fault) {
  ::setenv("HADAL_INJECT_FAULT", fault, 1);
  ::setenv("HADAL_STUCK_SECONDS", "1", 1);
  std::exit(runWorld(local(3), {}, [](RankContext &context) { steps(context); }));
}

class WorldDeathTest : public testing::Test {
protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(WorldDeathTest, ADeadThread) {
  EXPECT_EXIT(
      runWithFault("1:5:forward:die"), testing::ExitedWithCode(1),
      "rank 0, step [45], waits for rank .*: rank 1 died: its thread ended without a goodbye");
}

TEST_F(WorldDeathTest, AStalledThread) {
  EXPECT_EXIT(
      runWithFault("2:5:forward:stall"), testing::ExitedWithCode(1),
      "rank 1, step [45], waits for rank .*: rank 2 is stuck: it got nothing done for 1.0 s");
}

} // namespace
