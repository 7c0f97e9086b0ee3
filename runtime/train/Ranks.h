// SPDX-License-Identifier: Apache-2.0
//
// A run of a bundle over its ranks: who opens the bundle, what ranks agree on, and what each rank
// runs with.

#ifndef HADAL_RUNTIME_TRAIN_RANKS_H
#define HADAL_RUNTIME_TRAIN_RANKS_H

#include "runtime/program/Executor.h"
#include "runtime/program/Layout.h"
#include "runtime/transport/World.h"

#include <functional>
#include <memory>
#include <string>

namespace hadal::rt {

/// One rank of a run.
struct Rank {
  RankContext &context;
  const Bundle &bundle;
  const Layout layout;
  const RankLinks links; // all null where there is one rank
  ThreadPool pool;
  Store store;

  Rank(RankContext &context, const Bundle &bundle);
  bool first() const { return context.rank == 0; }
  bool alone() const { return context.size == 1; }
};

/// Starts a rank on each place of the launch for the bundle at `path` and returns the exit code of
/// the process, 0, 1 or 2 (see runWorld; messages are written). Refuses a launch of another size
/// than the bundle's, and ranks whose bundles or `identity` differ.
int runRanks(const Launch &launch, const std::string &path, const Identity &identity,
             const WorldOptions &options, const std::function<void(Rank &)> &body);

} // namespace hadal::rt

#endif
