// SPDX-License-Identifier: Apache-2.0
//
// How this process was started: alone, with ranks as threads, or as one of many by a launcher.

#ifndef HADAL_RUNTIME_TRANSPORT_LAUNCH_H
#define HADAL_RUNTIME_TRANSPORT_LAUNCH_H

#include <functional>
#include <string>

namespace hadal::rt {

struct Launch {
  /// Alone: one rank. Local: `size` ranks as threads of this process. Mpi: this process is rank
  /// `rank` of `size`.
  enum class Kind { Alone, Local, Mpi } kind = Kind::Alone;
  int rank = 0, size = 1;
  /// Place among the ranks of this machine.
  int localRank = 0, localSize = 1;
  /// "mpirun", "srun"; empty where none started us.
  std::string launcher;
};

/// The value of an environment variable, or null.
using Environment = std::function<const char *(const char *)>;
/// This process's environment.
const char *processEnvironment(const char *name);

/// Reads the launchers' variables and the value of --local-ranks (0: not given). Throws InputError
/// for combinations that are not supported: torchrun, --local-ranks beneath a launcher that started
/// several processes, srun without PMI.
Launch findLaunch(int localRanks, const Environment &environment = processEnvironment);

/// Throws InputError that says how to start `wanted` ranks when the launch has another number.
/// `file`: the bundle that wants them.
void checkWorldSize(const Launch &launch, int wanted, const std::string &file);

/// Threads of a rank: the cores it may use, shared with the ranks beside it; at least 1.
int threadsPerRank(const Launch &launch, const Environment &environment = processEnvironment);

} // namespace hadal::rt

#endif
