// SPDX-License-Identifier: Apache-2.0
//
// Spans are measured by the steady clock, which each machine begins on its own. Here is how far the
// clocks of other machines are from rank 0's.

#ifndef HADAL_RUNTIME_TRAIN_STEPCLOCKS_H
#define HADAL_RUNTIME_TRAIN_STEPCLOCKS_H

#include "runtime/transport/Transport.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace hadal::rt {

struct RankClock {
  std::function<std::int64_t()> now; ///< nanoseconds
  std::string machine;               ///< the same where the clock is the same

  /// The steady clock of this machine.
  static RankClock steady();
};

/// All ranks call it. Rank 0 gets, by rank, the nanoseconds to add to its times: 0 on rank 0's
/// machine; elsewhere from the fastest of some messages there and back, wrong by half its time at
/// most. The others get nothing.
std::vector<std::int64_t> clockOffsets(Transport &transport, const RankClock &clock);

} // namespace hadal::rt

#endif
