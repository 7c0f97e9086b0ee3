// SPDX-License-Identifier: Apache-2.0
//
// What a simulation found: as JSON for programs and as a table for people.

#ifndef HADAL_RUNTIME_SIMULATE_REPORT_H
#define HADAL_RUNTIME_SIMULATE_REPORT_H

#include "runtime/simulate/Order.h"
#include "runtime/simulate/Pair.h"

#include <ostream>
#include <string>

namespace hadal::rt {

/// {"makespan_us", "largest_bubble_us", "closed_form_bubble_us" (null where there is none),
/// "ranks": [{"rank", "busy_us", "bubble_us", "exposed_communication_us", "peak_chunks":
/// {"activations", "deferred_weight_gradients"}}]}, all times in the unit of ChunkTimes.
std::string orderReport(const Order &order, const OrderRun &run, const ChunkTimes &times);
void printOrder(const Order &order, const OrderRun &run, const ChunkTimes &times,
                std::ostream &out);

/// {"makespan_us", "components": [{"layer", "component", "start_us", "end_us"}]}.
std::string pairReport(const PairTimes &simulated);
void printPair(const PairTimes &measured, const PairTimes &simulated, std::ostream &out);

/// Throws InputError when the file cannot be written.
void writeReport(const std::string &path, const std::string &report);

} // namespace hadal::rt

#endif
