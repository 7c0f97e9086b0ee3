// SPDX-License-Identifier: Apache-2.0
//
// Four ranks under mpirun: messages, agreement, and what happens when one of them is killed,
// stopped or stuck. The ranks are this very binary (MpiRanks.h).

#include "runtime/transport/MpiLibrary.h"
#include "test/unit/runtime/MpiRanks.h"
#include "test/unit/runtime/TestFolder.h"

#include <array>
#include <chrono>
#include <csignal>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace hadal::rt;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Clock = std::chrono::steady_clock;

bool hasMpirun() {
  const char *path = std::getenv("PATH");
  std::istringstream folders(path ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');)
    if (::access((folder + "/mpirun").c_str(), X_OK) == 0)
      return true;
  return false;
}

void sleepMs(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

/// mpirun with four ranks that play a part.
class Mpirun {
public:
  static constexpr int kRanks = 4;

  explicit Mpirun(const std::string &part, bool recovery = false, const std::string &fault = "")
      : recovery(recovery) {
    const std::string out = folder / "out";
    pid = ::fork();
    if (pid)
      return;
    ::setpgid(0, 0);
    ::setenv("HADAL_TEST_PART", part.c_str(), 1);
    ::setenv("HADAL_TEST_FOLDER", folder.path().c_str(), 1);
    if (!fault.empty())
      ::setenv("HADAL_INJECT_FAULT", fault.c_str(), 1);
    int file = ::open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(file, 1);
    ::dup2(file, 2);
    char self[4096] = {};
    if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0)
      ::_exit(127);
    // With recovery, mpirun does not end the others when one ends, and ends with 0: a shell around
    // each rank keeps its exit code.
    const char *keep = "\"$0\"; echo $OMPI_COMM_WORLD_RANK $? >>\"$HADAL_TEST_FOLDER/codes\"";
    const char *base[] = {"mpirun", "--oversubscribe", "--allow-run-as-root", "-n", "4"};
    std::vector<const char *> words(std::begin(base), std::end(base));
    if (recovery)
      words.insert(words.end(), {"--enable-recovery", "sh", "-c", keep});
    words.insert(words.end(), {self, nullptr});
    ::execvp(words[0], const_cast<char **>(words.data()));
    ::_exit(127);
  }

  ~Mpirun() {
    if (running())
      ::kill(-pid, SIGKILL);
    for (int rank = 0; rank < kRanks; ++rank)
      if (pidOf(rank) > 1)
        ::kill(pidOf(rank), SIGKILL);
    if (!ended)
      ::waitpid(pid, &status, 0);
  }

  /// Waits until all ranks have come to a step.
  bool reached(int step) {
    for (int i = 0; i < 2000 && running(); ++i) {
      int there = 0;
      for (int rank = 0; rank < kRanks; ++rank)
        there += noteOf(rank)[1] >= step;
      if (there == kRanks)
        return true;
      sleepMs(10);
    }
    return false;
  }

  int pidOf(int rank) const { return noteOf(rank)[0]; }

  /// Seconds until mpirun has ended; at most `limit`.
  double wait(double limit) {
    const auto start = Clock::now();
    auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    while (seconds() < limit && running())
      sleepMs(5);
    return seconds();
  }

  /// Seconds until all ranks but `except` have ended.
  double waitForRanks(int except, double limit) {
    const auto start = Clock::now();
    auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (int rank = 0; rank < kRanks; ++rank)
      while (rank != except && alive(rank) && seconds() < limit) {
        running(); // reaps
        sleepMs(5);
      }
    return seconds();
  }

  /// Runs, or is stopped; not one that ended and that nobody asked for yet.
  bool alive(int rank) const {
    std::ifstream file("/proc/" + std::to_string(pidOf(rank)) + "/stat");
    std::string text(std::istreambuf_iterator<char>(file), {});
    return !text.empty() && text.compare(text.rfind(')'), 3, ") Z") != 0;
  }
  /// The exit codes of ranks as "rank code" lines; with recovery only.
  std::string codes() const { return contentOf("codes"); }

  int exitCode() { return !running() && WIFEXITED(status) ? WEXITSTATUS(status) : -1; }

  std::string output() const { return contentOf("out"); }

  /// What a rank reported: the lines that start with "error: rank N".
  std::vector<std::string> reportsOf(int rank) const {
    std::vector<std::string> result;
    std::istringstream lines(output());
    const std::string start = "error: rank " + std::to_string(rank);
    for (std::string line; std::getline(lines, line);)
      if (line.rfind(start, 0) == 0)
        result.push_back(line);
    return result;
  }

  void signal(int signal) { ::kill(pid, signal); }
  bool recovers() const { return recovery; }

private:
  std::string contentOf(const std::string &name) const {
    std::ifstream file(folder / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::array<int, 2> noteOf(int rank) const {
    std::array<int, 2> note = {0, -1};
    std::ifstream(folder / ("rank" + std::to_string(rank))) >> note[0] >> note[1];
    return note;
  }
  bool running() {
    if (!ended && ::waitpid(pid, &status, WNOHANG) == pid)
      ended = true;
    return !ended;
  }

  TestFolder folder;
  const bool recovery;
  pid_t pid = -1;
  int status = 0;
  bool ended = false;
};

class Mpi : public testing::Test {
protected:
  void SetUp() override {
    if (!hasMpirun())
      GTEST_SKIP() << "no mpirun (tools/setup.sh installs it)";
  }
};

/// The others reported, once each, that rank `victim` came to an end, and nothing is left.
void expectEnd(Mpirun &run, int victim, const std::string &how, double within, double left) {
  EXPECT_LT(run.waitForRanks(victim, 20), within);
  EXPECT_LT(run.wait(20), left);
  run.waitForRanks(-1, 3); // mpirun may end a moment before what it has killed does
  if (!run.recovers())
    EXPECT_NE(run.exitCode(), 0);
  for (int other = 0; other < Mpirun::kRanks; ++other) {
    EXPECT_FALSE(run.alive(other)) << other;
    if (other == victim)
      continue;
    std::vector<std::string> reports = run.reportsOf(other);
    ASSERT_EQ(reports.size(), 1U) << other << ": " << run.output();
    EXPECT_THAT(reports[0], HasSubstr(how));
    EXPECT_THAT(reports[0], HasSubstr(", step "));
    EXPECT_THAT(reports[0], HasSubstr("(last heard of "));
    if (run.recovers())
      EXPECT_THAT(run.codes(), HasSubstr(std::to_string(other) + " 1\n"));
  }
}

TEST_F(Mpi, Messages) {
  Mpirun run("transfer");
  run.wait(60);
  EXPECT_EQ(run.exitCode(), 0) << run.output();
  EXPECT_EQ(run.output(), "all arrived\n");
}

TEST_F(Mpi, AnOrderlyEnd) {
  Mpirun run("ends");
  run.wait(60);
  EXPECT_EQ(run.exitCode(), 0) << run.output();
  EXPECT_EQ(run.output(), "all ended\n");
}

TEST_F(Mpi, ADifferenceIsRefused) {
  Mpirun run("differ");
  run.wait(20);
  EXPECT_EQ(run.exitCode(), 2);
  EXPECT_THAT(run.output(), HasSubstr("error: ranks differ in first step: 7 (ranks 0, 1, 3), 8 "
                                      "(rank 2)\n"));
  EXPECT_THAT(run.output().find("error: rank"), run.output().rfind("error: rank"));
}

TEST_F(Mpi, AFailureOfOneEndsAll) {
  Mpirun run("nan");
  EXPECT_LT(run.wait(20), 10);
  EXPECT_EQ(run.exitCode(), 1);
  EXPECT_THAT(run.output(), HasSubstr("error: rank 1: step 20: the loss is NaN\n"));
  for (int rank : {0, 2, 3}) {
    ASSERT_EQ(run.reportsOf(rank).size(), 1U) << run.output();
    EXPECT_THAT(run.reportsOf(rank)[0], HasSubstr("rank 1 failed: step 20: the loss is NaN"));
  }
}

TEST_F(Mpi, ARefusalOfAllIsOneMessage) {
  Mpirun run("refuse");
  run.wait(20);
  EXPECT_EQ(run.exitCode(), 2);
  const std::string output = run.output(), words = "--data: no such file";
  EXPECT_THAT(output, HasSubstr(words));
  EXPECT_EQ(output.find(words), output.rfind(words)) << output;
}

/// What happens to which rank, and whether mpirun leaves the others alone.
struct Blow {
  int signal, victim;
  bool recovery;
};

class Blows : public testing::TestWithParam<Blow> {
protected:
  void SetUp() override {
    if (!hasMpirun())
      GTEST_SKIP() << "no mpirun (tools/setup.sh installs it)";
  }
};

TEST_P(Blows, AreReported) {
  const Blow blow = GetParam();
  Mpirun run("steps", blow.recovery);
  ASSERT_TRUE(run.reached(20)) << run.output();
  ::kill(run.pidOf(blow.victim), blow.signal);
  const std::string rank = "rank " + std::to_string(blow.victim);
  if (blow.signal == SIGKILL)
    expectEnd(run, blow.victim, rank + " died: ", 3, 5);
  else
    expectEnd(run, blow.victim, rank + " is silent: no heartbeat for 4.0 s", 9, 10);
}

INSTANTIATE_TEST_SUITE_P(Signals, Blows,
                         testing::Values(Blow{SIGKILL, 0, false}, Blow{SIGKILL, 2, false},
                                         Blow{SIGKILL, 0, true}, Blow{SIGKILL, 2, true},
                                         Blow{SIGSTOP, 0, false}, Blow{SIGSTOP, 2, false},
                                         Blow{SIGSTOP, 0, true}, Blow{SIGSTOP, 2, true}),
                         [](const auto &info) {
                           const Blow &blow = info.param;
                           return std::string(blow.signal == SIGKILL ? "Kill" : "Stop") +
                                  std::to_string(blow.victim) + (blow.recovery ? "Recovery" : "");
                         });

TEST_F(Mpi, InjectedDeath) {
  Mpirun run("steps", false, "1:30:backward:die");
  EXPECT_TRUE(run.reached(29));
  expectEnd(run, 1, "rank 1 died: ", 4, 6);
}

TEST_F(Mpi, InjectedStall) {
  Mpirun run("steps", true, "1:30:forward:stall");
  EXPECT_TRUE(run.reached(29));
  expectEnd(run, 1, "rank 1 is stuck: it got nothing done for 6.0 s", 9.5, 10);
  EXPECT_THAT(run.reportsOf(3)[0], HasSubstr("before: step 30, instruction 0 (compute), computes"));
}

TEST_F(Mpi, ASignalStopsAllAtTheEndOfAStep) {
  Mpirun run("stops", true);
  ASSERT_TRUE(run.reached(20)) << run.output();
  ::kill(run.pidOf(2), SIGTERM); // one of them is told
  run.wait(20);
  EXPECT_EQ(run.exitCode(), 0) << run.output();
  EXPECT_EQ(run.output(), "all ended\n");
}

TEST_F(Mpi, ASignalEndsWhoDoesNotStop) {
  Mpirun run("steps");
  ASSERT_TRUE(run.reached(20)) << run.output();
  run.signal(SIGTERM);
  EXPECT_LT(run.wait(20), 8);
  // mpirun may end a moment before what it has killed does.
  run.waitForRanks(-1, 3);
  for (int rank = 0; rank < Mpirun::kRanks; ++rank)
    EXPECT_FALSE(run.alive(rank));
}

TEST_F(Mpi, ASignalWhileARankIsSilentGivesAReport) {
  Mpirun run("stops", true);
  ASSERT_TRUE(run.reached(20)) << run.output();
  ::kill(run.pidOf(2), SIGSTOP);
  sleepMs(1500);
  ::kill(run.pidOf(3), SIGTERM);
  expectEnd(run, 2, "rank 2 is silent: no heartbeat for 1.0 s", 3, 5);
}

TEST(MpiLibrary, SaysWhatIsMissing) {
  const std::string none = refusal([] { MpiLibrary::open({"libnothing.so.1", "libnone.so"}); });
  EXPECT_THAT(none, AllOf(HasSubstr("tried libnothing.so.1 ("), HasSubstr("libnone.so ("),
                          HasSubstr("apt install openmpi-bin"), HasSubstr("--local-ranks")));
  EXPECT_THAT(refusal([] { MpiLibrary::open({"libc.so.6"}); }),
              HasSubstr("has no ompi_mpi_comm_world, so it is not Open MPI"));
}

} // namespace

int main(int argc, char **argv) {
  if (const char *part = std::getenv("HADAL_TEST_PART"))
    return playPart(part);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
