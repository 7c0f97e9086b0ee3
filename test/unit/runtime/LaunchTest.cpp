// SPDX-License-Identifier: Apache-2.0
//
// How a process finds out who started it, and injected faults.

#include "runtime/transport/Launch.h"
#include "runtime/transport/Fault.h"
#include "test/unit/runtime/TestFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

using namespace hadal::rt;
using testing::AllOf;
using testing::HasSubstr;

namespace {

using Variables = std::map<std::string, std::string>;

Environment environmentOf(const Variables &variables) {
  return [&variables](const char *name) -> const char * {
    auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

Launch launchIn(const Variables &variables, int localRanks = 0) {
  return findLaunch(localRanks, environmentOf(variables));
}

std::string refusalIn(const Variables &variables, int localRanks = 0) {
  return refusal([&] { launchIn(variables, localRanks); });
}

Variables mpirunVariables() {
  return {{"OMPI_COMM_WORLD_RANK", "5"},
          {"OMPI_COMM_WORLD_SIZE", "8"},
          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
          {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};
}
Variables srunVariables() {
  return {{"SLURM_PROCID", "3"},
          {"SLURM_STEP_NUM_TASKS", "7"},
          {"SLURM_LOCALID", "0"},
          {"SLURM_STEP_TASKS_PER_NODE", "3(x2),1"},
          {"PMIX_RANK", "3"}};
}
Variables torchrunVariables() {
  return {{"RANK", "0"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "localhost"}};
}

TEST(Launch, Alone) {
  Launch launch = launchIn({});
  EXPECT_EQ(launch.kind, Launch::Kind::Alone);
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launchIn({}, 1).kind, Launch::Kind::Alone);
  // A shell of an allocation, or a single task, is alone.
  EXPECT_EQ(launchIn({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}}).kind, Launch::Kind::Alone);
  EXPECT_EQ(launchIn({{"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "1"}}).kind,
            Launch::Kind::Alone);
}

TEST(Launch, LocalRanks) {
  Launch launch = launchIn({}, 4);
  EXPECT_EQ(launch.kind, Launch::Kind::Local);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.localSize, 4);
  EXPECT_THAT(refusalIn({}, -1), HasSubstr("allowed are 1 to 1024"));
}

TEST(Launch, Mpirun) {
  Launch launch = launchIn(mpirunVariables());
  EXPECT_EQ(launch.kind, Launch::Kind::Mpi);
  EXPECT_EQ(launch.rank, 5);
  EXPECT_EQ(launch.size, 8);
  EXPECT_EQ(launch.localRank, 1);
  EXPECT_EQ(launch.localSize, 4);
  EXPECT_THAT(refusalIn(mpirunVariables(), 8),
              AllOf(HasSubstr("--local-ranks"), HasSubstr("mpirun")));
  Variables one = mpirunVariables();
  one["OMPI_COMM_WORLD_RANK"] = "0";
  one["OMPI_COMM_WORLD_SIZE"] = "1";
  EXPECT_EQ(launchIn(one).kind, Launch::Kind::Alone);
  EXPECT_EQ(launchIn(one, 3).kind, Launch::Kind::Local);
}

TEST(Launch, Srun) {
  Launch launch = launchIn(srunVariables());
  EXPECT_EQ(launch.kind, Launch::Kind::Mpi);
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 7);
  EXPECT_EQ(launch.localSize, 3);
  Variables bare = srunVariables();
  bare.erase("PMIX_RANK");
  EXPECT_THAT(refusalIn(bare), AllOf(HasSubstr("7 tasks without PMI"), HasSubstr("--mpi=pmix")));
}

TEST(Launch, TorchrunIsRefused) {
  EXPECT_THAT(refusalIn(torchrunVariables()),
              AllOf(HasSubstr("torchrun"), HasSubstr("mpirun -n 4")));
  EXPECT_THAT(refusalIn({{"TORCHELASTIC_RUN_ID", "none"}}), HasSubstr("mpirun"));
  // Its variables beside mpirun's do no harm.
  Variables both = torchrunVariables();
  both.merge(mpirunVariables());
  EXPECT_EQ(launchIn(both).rank, 5);
  EXPECT_EQ(launchIn({{"RANK", "3"}}).kind, Launch::Kind::Alone);
}

TEST(Launch, BrokenVariables) {
  Variables broken = mpirunVariables();
  broken["OMPI_COMM_WORLD_RANK"] = "8";
  EXPECT_THAT(refusalIn(broken), HasSubstr("rank 8 of 8"));
  broken["OMPI_COMM_WORLD_RANK"] = "one";
  EXPECT_THAT(refusalIn(broken), HasSubstr("OMPI_COMM_WORLD_RANK: one; expected a number"));
}

TEST(Launch, WorldSize) {
  checkWorldSize(launchIn({}, 4), 4, "m.hadal");
  EXPECT_EQ(refusal([] { checkWorldSize(launchIn({}), 8, "m.hadal"); }),
            "m.hadal: is made for 8 ranks, found 1; start it with --local-ranks 8 or mpirun -n 8");
  EXPECT_EQ(refusal([] { checkWorldSize(launchIn(mpirunVariables()), 1, "m.hadal"); }),
            "m.hadal: is made for 1 rank, found 8; start it alone, without mpirun and "
            "--local-ranks");
}

TEST(Launch, ThreadsPerRank) {
  Launch launch = launchIn({});
  const int cores = threadsPerRank(launch, environmentOf({}));
  EXPECT_GE(cores, 1);
  launch.localSize = cores;
  EXPECT_EQ(threadsPerRank(launch, environmentOf({})), 1);
  launch.localSize = 10 * cores;
  EXPECT_EQ(threadsPerRank(launch, environmentOf({})), 1);
}

TEST(Fault, Parses) {
  EXPECT_EQ(parseFault(nullptr).rank, -1);
  EXPECT_EQ(parseFault("").rank, -1);
  Fault fault = parseFault("2:13:forward:stall");
  EXPECT_EQ(fault.rank, 2);
  EXPECT_EQ(fault.step, 13);
  EXPECT_EQ(fault.phase, "forward");
  EXPECT_EQ(fault.kind, Fault::Kind::Stall);
  for (const char *wrong : {"2", "2:13:forward", "2:13::die", "x:13:forward:die",
                            "2:13:forward:Die", "2:-1:forward:die", "2:13:forward:die:now"})
    EXPECT_THAT(refusal([&] { parseFault(wrong); }), HasSubstr("HADAL_INJECT_FAULT")) << wrong;
}

} // namespace
