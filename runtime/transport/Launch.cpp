// SPDX-License-Identifier: Apache-2.0
//
// See Launch.h.

#include "runtime/transport/Launch.h"

#include "runtime/device/CpuDevice.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

namespace hadal::rt {

static constexpr int kMostRanks = 1 << 20;

const char *processEnvironment(const char *name) { return std::getenv(name); }

/// The number in a variable, or `otherwise` when there is none.
static int numberIn(const Environment &environment, const char *name, int otherwise) {
  const char *text = environment(name);
  if (!text || !*text)
    return otherwise;
  int value = 0;
  const char *last = text + std::strlen(text);
  auto [end, error] = std::from_chars(text, last, value);
  if (error != std::errc() || end != last || value < 0 || value > kMostRanks)
    throw InputError(name, std::string(text) + "; expected a number from 0 to " +
                               std::to_string(kMostRanks));
  return value;
}

static bool has(const Environment &environment, const char *name) {
  const char *text = environment(name);
  return text && *text;
}

/// Names of the variables that say who one is.
struct Names {
  const char *launcher, *rank, *size, *localRank, *localSize;
};

static Launch launchedBy(const Names &names, const Environment &environment) {
  Launch launch;
  launch.launcher = names.launcher;
  launch.rank = numberIn(environment, names.rank, 0);
  launch.size = numberIn(environment, names.size, 1);
  launch.localRank = numberIn(environment, names.localRank, 0);
  launch.localSize = std::max(1, numberIn(environment, names.localSize, 1));
  if (launch.rank >= launch.size)
    throw InputError(names.rank, "rank " + std::to_string(launch.rank) + " of " +
                                     std::to_string(launch.size) + " (" + names.size +
                                     "); ranks start at 0");
  launch.kind = launch.size > 1 ? Launch::Kind::Mpi : Launch::Kind::Alone;
  return launch;
}

/// SLURM_TASKS_PER_NODE ("2(x3),1") has no place for one node; its largest number is used.
static int tasksPerNode(const Environment &environment) {
  int most = 1, value = 0;
  bool counts = true; // not within "(x3)"
  const char *text = environment("SLURM_STEP_TASKS_PER_NODE");
  for (const char *c = text ? text : ""; *c; ++c) {
    if (*c == '(' || *c == ',') {
      counts = *c == ',';
      value = 0;
    } else if (counts && *c >= '0' && *c <= '9' && value < kMostRanks) {
      value = value * 10 + (*c - '0');
      most = std::max(most, value);
    }
  }
  return most;
}

static Launch launchedBySrun(const Environment &environment) {
  const bool pmi = has(environment, "PMI_RANK") || has(environment, "PMI_FD") ||
                   has(environment, "PMIX_RANK") || has(environment, "PMIX_NAMESPACE");
  Launch launch = launchedBy({"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""},
                             environment);
  launch.localSize = std::max(tasksPerNode(environment), launch.localRank + 1);
  if (launch.size > 1 && !pmi)
    throw InputError("srun", "started " + std::to_string(launch.size) +
                                 " tasks without PMI, so they cannot find each other; use srun "
                                 "--mpi=pmix or mpirun -n " +
                                 std::to_string(launch.size));
  return launch;
}

static Launch launchedByAny(const Environment &environment) {
  if (has(environment, "OMPI_COMM_WORLD_SIZE"))
    return launchedBy({"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                       "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
                      environment);
  if (has(environment, "SLURM_STEP_NUM_TASKS"))
    return launchedBySrun(environment);
  if (has(environment, "TORCHELASTIC_RUN_ID") ||
      (has(environment, "RANK") && has(environment, "WORLD_SIZE") &&
       has(environment, "MASTER_ADDR")))
    throw InputError("torchrun", "its variables (RANK, WORLD_SIZE, MASTER_ADDR) serve a transport "
                                 "that is not there yet; start with mpirun -n " +
                                     std::to_string(numberIn(environment, "WORLD_SIZE", 1)) +
                                     " or with --local-ranks");
  return {};
}

Launch findLaunch(int localRanks, const Environment &environment) {
  if (localRanks < 0 || localRanks > 1024)
    throw InputError("--local-ranks", std::to_string(localRanks) + "; allowed are 1 to 1024");
  Launch launch = launchedByAny(environment);
  if (!localRanks)
    return launch;
  if (launch.size > 1)
    throw InputError("--local-ranks", "threads as ranks do not go with the " +
                                          std::to_string(launch.size) + " processes that " +
                                          launch.launcher + " started; leave out one of the two");
  launch.kind = localRanks > 1 ? Launch::Kind::Local : Launch::Kind::Alone;
  launch.size = localRanks;
  launch.localSize = localRanks;
  return launch;
}

void checkWorldSize(const Launch &launch, int wanted, const std::string &file) {
  if (launch.size == wanted)
    return;
  const std::string n = std::to_string(wanted);
  std::string how = wanted == 1 ? "start it alone, without mpirun and --local-ranks"
                                : "start it with --local-ranks " + n + " or mpirun -n " + n;
  throw InputError(file, "is made for " + n + (wanted == 1 ? " rank" : " ranks") + ", found " +
                             std::to_string(launch.size) + "; " + how);
}

int threadsPerRank(const Launch &launch, const Environment &environment) {
  const int usable = usableThreads();
  const int ranks = std::max(1, launch.localSize);
  // A launcher that binds gives each rank cores of its own, maybe all of a socket.
  const char *bound = environment("OMPI_MCA_orte_bound_at_launch");
  if (launch.kind == Launch::Kind::Mpi && bound && *bound == '1')
    return std::max(1, std::min(usable, int(::sysconf(_SC_NPROCESSORS_ONLN)) / ranks));
  return std::max(1, usable / ranks);
}

} // namespace hadal::rt
