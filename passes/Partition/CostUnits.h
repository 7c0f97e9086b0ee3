// SPDX-License-Identifier: Apache-2.0
//
// What balancing stages calculates with.

#ifndef HADAL_PASSES_PARTITION_COSTUNITS_H
#define HADAL_PASSES_PARTITION_COSTUNITS_H

#include "passes/Partition/StagePlan.h"

#include <algorithm>
#include <limits>

namespace hadal {

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

/// What a run of layers costs, in units that make sums of squares exact.
class CostUnits {
public:
  explicit CostUnits(const StageCosts &costs) : prefix{0} {
    double total = static_cast<double>(costs.first) + static_cast<double>(costs.last);
    for (int64_t cost : costs.layers)
      total += static_cast<double>(cost);
    auto units = [&](int64_t cost) {
      return static_cast<int64_t>(static_cast<double>(cost) / std::max(total, 1.0) * kUnits);
    };
    first = units(costs.first);
    last = units(costs.last);
    for (int64_t cost : costs.layers)
      prefix.push_back(prefix.back() + units(cost));
  }

  int64_t layers() const { return static_cast<int64_t>(prefix.size()) - 1; }
  int64_t of(int64_t from, int64_t to) const { return prefix[to] - prefix[from]; }
  int64_t total() const { return first + prefix.back() + last; }

  int64_t first = 0, last = 0;

private:
  static constexpr double kUnits = 1 << 30;
  std::vector<int64_t> prefix;
};

} // namespace hadal

#endif // HADAL_PASSES_PARTITION_COSTUNITS_H
