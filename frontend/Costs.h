// SPDX-License-Identifier: Apache-2.0
//
// How long components take, as the compiler's decisions need it: the file that `hadal-run bench
// --profile` writes and `hadal-run simulate --costs` reads. Free of MLIR.

#ifndef HADAL_FRONTEND_COSTS_H
#define HADAL_FRONTEND_COSTS_H

#include "frontend/Json.h"

#include <map>
#include <string>

namespace hadal {

/// A way between ranks.
struct LinkCost {
  double bytesPerSecond, latency; ///< latency in us
};

/// {"machine": {"flops_per_s", "memory_bytes_per_s", "launch_us", "node": {"bytes_per_s",
/// "latency_us"}, "network": {...}}, "components": {NAME: us}, "kinds": {"tokens", "attn(F)": us,
/// ...}}; any part may be missing. A component's own time wins over that of its kind, that over the
/// machine's rates; a kind's time is for one layer and `kindTokens` tokens.
struct ComponentCosts {
  double flops = 5e10, memory = 1e10; ///< a second; bytes read and written
  double launch = 5;                  ///< us
  LinkCost node{5e9, 20}, network{1e9, 50};
  std::map<std::string, double> components, kinds; ///< us
  double kindTokens = 1;
};

/// Parses the text of such a file. Refused: unknown keys and kinds, wrong types, negative numbers,
/// rates of 0, kinds without tokens. `file` is the name messages use.
Checked<ComponentCosts> parseCosts(const std::string &text, const std::string &file);

} // namespace hadal

#endif // HADAL_FRONTEND_COSTS_H
