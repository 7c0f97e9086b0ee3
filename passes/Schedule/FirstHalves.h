// SPDX-License-Identifier: Apache-2.0
//
// Where in an order the weight gradients of the first half of the micro-batches are complete, so
// that they can be summed over replicas while the second half runs (DESIGN N1).

#ifndef HADAL_PASSES_SCHEDULE_FIRSTHALVES_H
#define HADAL_PASSES_SCHEDULE_FIRSTHALVES_H

#include "passes/Schedule/Order.h"
#include "passes/Schedule/RankLayout.h"

#include <map>

namespace hadal::pipe {

/// An entry of a rank's order.
struct OrderPlace {
  int64_t rank = 0, entry = 0;
  double time = 0; ///< when it ends: F, I and W take 1, B 2, a pair the sum, transfers nothing
};

class FirstHalves {
public:
  /// No stage has one.
  FirstHalves() = default;
  /// An order that cannot be run has none.
  FirstHalves(const Order &order, const RankLayout &layout);

  /// The entry that ends the first half of a stage. Null where its halves are not apart: there is
  /// one only, they are added on different ranks, or a W of the second comes before one of the
  /// first.
  const OrderPlace *of(int64_t stage) const {
    auto found = places.find(stage);
    return found == places.end() ? nullptr : &found->second;
  }
  /// When the last weight gradient of a stage ends, on whichever rank; 0 where that is not known.
  double lastOf(int64_t stage) const {
    auto found = lasts.find(stage);
    return found == lasts.end() ? 0 : found->second;
  }
  /// When an entry of a rank ends; of a batch of transfers, when the one before it does.
  double endOf(int64_t rank, int64_t entry) const { return ends[size_t(rank)][size_t(entry)]; }

private:
  std::map<int64_t, OrderPlace> places; ///< by stage
  std::map<int64_t, double> lasts;      ///< by stage
  std::vector<std::vector<double>> ends;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_FIRSTHALVES_H
