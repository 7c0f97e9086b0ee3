// SPDX-License-Identifier: Apache-2.0
//
// The control plane, of threads and of sockets (all ranks in this process): agreement, failures of
// every kind with the time they take, the orderly end.

#include "runtime/transport/LocalControl.h"
#include "runtime/transport/SocketControl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

using namespace hadal::rt;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Names : InstructionNames {
  std::string describe(std::uint32_t instruction) const override {
    return "instruction of that name " + std::to_string(instruction);
  }
};

/// What a rank reported, and when.
struct Record {
  std::mutex mutex;
  std::vector<std::string> reports;
  std::vector<int> ends;
  Clock::time_point last;
};

/// Ranks of either kind, each driven by a thread of its own.
class Control : public testing::TestWithParam<const char *> {
protected:
  static constexpr int kRanks = 4;
  static constexpr double kBusy = 0.4; // what a busy machine may add
  Control() : records(kRanks) {
    options.heartbeat = 0.05;
    options.silent = 0.6;
    options.stuck = 0.7;
    options.deadlock = 0.9;
    options.connect = 3;
    options.grace = 0.6;
    options.silentWhenStopping = 0.3;
  }
  bool sockets() const { return std::string(GetParam()) == "sockets"; }

  ControlOptions optionsOf(int rank) {
    ControlOptions result = options;
    Record &record = records[std::size_t(rank)];
    result.report = [&record](const std::string &text) {
      std::lock_guard<std::mutex> lock(record.mutex);
      record.reports.push_back(text);
      record.last = Clock::now();
    };
    result.end = [&record](int code) {
      std::lock_guard<std::mutex> lock(record.mutex);
      record.ends.push_back(code);
    };
    if (rank == mute)
      result.heartbeat = 1e6;
    return result;
  }

  /// Runs `body` as every rank; it may throw PeerError.
  void run(const std::function<void(ControlPlane &)> &body) {
    std::vector<std::thread> threads;
    threads.reserve(kRanks);
    std::vector<std::unique_ptr<ControlPlane>> planes(kRanks);
    std::unique_ptr<LocalControl> local;
    std::string address;
    if (sockets())
      planes[0] = openHub(kRanks, true, optionsOf(0), address);
    else
      local = std::make_unique<LocalControl>(kRanks, localOptions());
    for (int rank = 0; rank < kRanks; ++rank)
      threads.emplace_back([&, rank] {
        std::unique_ptr<ControlPlane> &own = planes[std::size_t(rank)];
        if (sockets() && rank)
          own = joinHub(rank, kRanks, address, optionsOf(rank));
        ControlPlane &plane = own ? *own : local->endpoint(rank);
        StreamProgress::Use use(plane.progress().stream(0));
        try {
          body(plane);
        } catch (const PeerError &error) {
          EXPECT_STREQ(error.what(), plane.watch().report().c_str());
        }
        codes[std::size_t(rank)] = plane.exitCode();
        plane.settle();
      });
    for (std::thread &thread : threads)
      thread.join();
    if (lingers)
      std::this_thread::sleep_for(std::chrono::duration<double>(options.grace + 0.2));
  }

  /// Local ranks share their options; a report starts with its rank.
  ControlOptions localOptions() {
    ControlOptions result = options;
    result.report = [this](const std::string &text) {
      int rank = text.rfind("rank ", 0) == 0 ? text[5] - '0' : 0;
      optionsOf(rank).report(text);
    };
    result.end = optionsOf(0).end;
    return result;
  }

  /// All but `except` reported once, all with these words.
  void expectReports(int except, const std::string &words, double within) {
    for (int rank = 0; rank < kRanks; ++rank) {
      const Record &record = records[std::size_t(rank)];
      if (rank == except)
        continue;
      ASSERT_EQ(record.reports.size(), 1U) << rank;
      EXPECT_THAT(record.reports[0], HasSubstr(words));
      EXPECT_LT(std::chrono::duration<double>(record.last - happened.load()).count(),
                within + kBusy);
      EXPECT_EQ(codes[std::size_t(rank)], 1);
    }
  }

  /// Does steps until the watch is raised.
  static void work(ControlPlane &plane, double seconds = 10) {
    const auto start = Clock::now();
    StreamProgress &stream = plane.progress().stream(0);
    plane.progress().step(3);
    StreamProgress::Program program(stream, names);
    for (std::uint32_t i = 0; secondsSince(start) < seconds; ++i) {
      stream.at(i % 100);
      plane.watch().check();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  static void waitFor(ControlPlane &plane, int peer) {
    plane.progress().step(3);
    StreamProgress &stream = plane.progress().stream(0);
    StreamProgress::Program program(stream, names);
    stream.at(17);
    stream.waitsForPeer(peer, 5);
    while (true) {
      plane.watch().check();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  inline static Names names;
  ControlOptions options;
  int mute = -1; // sends no heartbeats
  bool lingers = false;
  std::vector<Record> records;
  std::array<int, kRanks> codes{};
  std::atomic<Clock::time_point> happened{Clock::time_point()};
};

TEST_P(Control, AgreesAndFinishes) {
  std::atomic<int> finished{0};
  run([&](ControlPlane &plane) {
    plane.agree({{"bundle", "12ab"}});
    plane.agree({{"first step", "7"}});
    // Whoever finishes first is no failure.
    work(plane, plane.rank() * 0.5);
    ++finished;
    plane.finish();
    EXPECT_EQ(finished, kRanks);
  });
  EXPECT_EQ(codes, (std::array<int, kRanks>{}));
  for (Record &record : records)
    EXPECT_TRUE(record.reports.empty());
}

TEST_P(Control, ADifferenceEndsAllWithOneMessage) {
  run([&](ControlPlane &plane) {
    plane.agree({{"bundle", "12ab"}, {"first step", plane.rank() == 2 ? "8" : "7"}});
    ADD_FAILURE() << "agreed";
  });
  EXPECT_EQ(codes, (std::array<int, kRanks>{2, 2, 2, 2}));
  EXPECT_THAT(records[0].reports,
              testing::ElementsAre("ranks differ in first step: 7 (ranks 0, 1, 3), 8 (rank 2)"));
  for (int rank = 1; rank < kRanks; ++rank)
    EXPECT_TRUE(records[std::size_t(rank)].reports.empty());
}

TEST_P(Control, Death) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 1)
      return waitFor(plane, 1);
    work(plane, 0.3);
    happened = Clock::now();
    plane.vanish();
  });
  expectReports(1, "rank 1 died", 0.1);
  EXPECT_TRUE(records[1].reports.empty());
  EXPECT_THAT(records[2].reports[0],
              AllOf(HasSubstr("rank 2, step 3, instruction 17 (instruction of that name 17), waits "
                              "for rank 1 on channel 5: rank 1 died: its"),
                    HasSubstr("without a goodbye (last heard of 0."), HasSubstr("before: step 3")));
}

TEST_P(Control, DeathOfRankZero) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 0)
      return work(plane);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    happened = Clock::now();
    plane.vanish();
  });
  expectReports(0, "rank 0 died", 0.1);
}

TEST_P(Control, StuckRank) {
  lingers = true;
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 2)
      return waitFor(plane, 2);
    happened = Clock::now();
    plane.progress().step(3);
    StreamProgress::Program program(plane.progress().stream(0), names);
    plane.progress().stream(0).at(33);
    std::this_thread::sleep_for(std::chrono::milliseconds(1100)); // looks at no watch
  });
  expectReports(-1, "rank 2 is stuck: it got nothing done for 0.7 s", 1.0);
  EXPECT_THAT(records[1].reports[0],
              HasSubstr("before: step 3, instruction 33 (instruction of that name 33), computes)"));
}

TEST_P(Control, Deadlock) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    happened = Clock::now();
    waitFor(plane, (plane.rank() + 1) % 3);
  });
  expectReports(-1,
                "rank 0 waits for rank 1 on channel 5, rank 1 waits for rank 2 on channel 5, "
                "rank 2 waits for rank 0 on channel 5",
                1.3);
}

TEST_P(Control, AFailureIsToldToAll) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 3)
      return work(plane);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    happened = Clock::now();
    plane.fail(1, "step 3: the loss is NaN");
  });
  expectReports(3, "rank 3 failed: step 3: the loss is NaN", 0.1);
  EXPECT_THAT(records[3].reports, testing::ElementsAre("rank 3: step 3: the loss is NaN"));
  EXPECT_EQ(codes[3], 1);
}

TEST_P(Control, ARefusedInputIsReportedOnce) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 3)
      return work(plane);
    plane.fail(2, "--data: no such file");
    plane.fail(1, "and more");
  });
  EXPECT_EQ(codes, (std::array<int, kRanks>{2, 2, 2, 2}));
  EXPECT_THAT(records[0].reports,
              testing::ElementsAre((sockets() ? "rank 3: " : "") + std::string("--data: no such "
                                                                               "file")));
  for (int rank = 1; rank < kRanks; ++rank)
    EXPECT_TRUE(records[std::size_t(rank)].reports.empty());
}

TEST_P(Control, AnEndThatWaitsFailsWithTheOthers) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() != 3)
      plane.finish();
    happened = Clock::now();
    plane.vanish();
  });
  expectReports(3, "rank 3 died", 0.2);
}

TEST_P(Control, TheProcessEndsWhateverItsThreadsDo) {
  run([&](ControlPlane &plane) {
    plane.agree({});
    if (plane.rank() == 3)
      plane.fail(1, "no");
    std::this_thread::sleep_for(std::chrono::duration<double>(options.grace + 0.5));
  });
  EXPECT_THAT(records[0].ends, testing::ElementsAre(1));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Control, testing::Values("threads", "sockets"),
                         [](const auto &info) { return std::string(info.param); });

/// What only sockets have.
class Sockets : public Control {};

TEST_P(Sockets, Silence) {
  mute = 2;
  run([&](ControlPlane &plane) {
    happened = Clock::now();
    plane.agree({});
    work(plane);
  });
  expectReports(-1, "rank 2 is silent: no heartbeat for 0.6 s", 0.9);
}

TEST_P(Sockets, SilenceOfRankZero) {
  mute = 0;
  run([&](ControlPlane &plane) {
    happened = Clock::now();
    plane.agree({});
    work(plane, 1);
  });
  for (int rank = 1; rank < kRanks; ++rank)
    EXPECT_THAT(records[std::size_t(rank)].reports,
                testing::ElementsAre(HasSubstr("rank 0 is silent")));
}

TEST_P(Sockets, ASignalToStopIsAnsweredByAReport) {
  mute = 2;
  const auto start = Clock::now();
  options.silent = 5;
  options.signal = [start] { return secondsSince(start) > 0.5 ? SIGTERM : 0; };
  run([&](ControlPlane &plane) {
    plane.agree({});
    happened = start + std::chrono::milliseconds(500);
    work(plane);
  });
  expectReports(-1, "rank 2 is silent: no heartbeat for 0.3 s", 0.2);
}

TEST_P(Sockets, OneDoesNotCome) {
  options.connect = 0.4;
  std::string address;
  std::unique_ptr<ControlPlane> hub = openHub(2, true, optionsOf(0), address);
  EXPECT_THROW(hub->agree({}), PeerError);
  EXPECT_THAT(records[0].reports, testing::ElementsAre(HasSubstr("rank 1 did not come")));
}

TEST_P(Sockets, NobodyIsThere) {
  std::string address;
  openHub(2, true, optionsOf(0), address).reset();
  EXPECT_THROW(joinHub(1, 2, address, optionsOf(1)), RunError);
  EXPECT_THROW(joinHub(1, 2, "nonsense", optionsOf(1)), RunError);
  EXPECT_THROW(joinHub(1, 2, R"({"protocol":99})", optionsOf(1)), RunError);
}

TEST_P(Sockets, StrangersAreIgnored) {
  std::string address;
  std::unique_ptr<ControlPlane> hub = openHub(2, true, optionsOf(0), address);
  const auto where = nlohmann::json::parse(address);
  const std::string wrong = R"({"kind":"hello","rank":1,"secret":"guess"})";
  for (const std::string &text :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(4, '\0'), std::string("\0\0\0\2{}", 6),
        std::string("\0\0\0", 3) + static_cast<char>(wrong.size()) + wrong, std::string()}) {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::address_v4::loopback(), where.at("port").get<unsigned short>()});
    asio::write(socket, asio::buffer(text));
  }
  std::thread other([&] {
    std::unique_ptr<ControlPlane> member = joinHub(1, 2, address, optionsOf(1));
    member->agree({});
    member->finish();
  });
  hub->agree({});
  hub->finish();
  other.join();
  EXPECT_EQ(hub->exitCode(), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Sockets, testing::Values("sockets"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
