// SPDX-License-Identifier: Apache-2.0
//
// What an order must keep to so that it can be simulated.

#ifndef HADAL_RUNTIME_SIMULATE_ORDERCHECK_H
#define HADAL_RUNTIME_SIMULATE_ORDERCHECK_H

#include "runtime/simulate/Order.h"

namespace hadal::rt {

/// "order[3][17]".
std::string orderPlace(int rank, std::size_t step);

/// Throws InputError for an order that breaks a rule of loadOrder().
void checkOrder(const Order &order);

} // namespace hadal::rt

#endif
