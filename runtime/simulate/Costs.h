// SPDX-License-Identifier: Apache-2.0
//
// How long instructions take: closed forms over a machine's rates, measured times of components, or
// times of kinds of components (attn(F), dispatch(B), ...). One file of JSON says what is known:
//
//   {"machine": {"flops_per_s": 5e10, "memory_bytes_per_s": 1e10, "launch_us": 5,
//                "node": {"bytes_per_s": 5e9, "latency_us": 20},
//                "network": {"bytes_per_s": 1e9, "latency_us": 50}},
//    "components": {"attn_moe_F": 812.5, ...},
//    "kinds": {"tokens": 4096, "attn(F)": 4500, "dispatch(F)": 6950, ..., "alone": {"dispatch(F)":
//    2300}}}
//
// All parts may be missing. A component's own time wins over that of its kind, that over the closed
// form; a kind's time is for one layer and `tokens` tokens, and grows with the tokens. Times of
// kinds are those in an overlapped pair; `alone` says where they differ in a chunk that nothing
// overlaps.

#ifndef HADAL_RUNTIME_SIMULATE_COSTS_H
#define HADAL_RUNTIME_SIMULATE_COSTS_H

#include "runtime/program/MemoryNeed.h"

#include <map>
#include <string>
#include <vector>

namespace hadal::rt {

/// A way between ranks.
struct LinkRate {
  double bytesPerSecond = 5e9, latency = 20; ///< us
};

/// Rates of one rank's machine: by default a few cores of a server.
struct Machine {
  double flops = 5e10;       ///< a second
  double memory = 1e10;      ///< bytes a second, read and written
  double launch = 5;         ///< us, of an instruction that works
  LinkRate node;             ///< between ranks of one node
  LinkRate network{1e9, 50}; ///< between nodes
};

class Costs {
public:
  /// Closed forms for the default machine.
  Costs() = default;
  /// Throws InputError naming file, key, what was found and what is allowed.
  static Costs load(const std::string &path);

  const Machine &machine() const { return rates; }
  /// Components it has times of and the bundle has not: misspelt, or measured on another.
  std::vector<std::string> strangers(const bundle::Bundle &table) const;
  /// "closed forms", or the file.
  const std::string &source() const { return from; }

  /// Microseconds of a launch of `component` in `phase` over `tokens` tokens; `rows`: what routing
  /// gave it, `most` what its flops are counted for. `alone`: in no overlapped pair.
  double launch(const bundle::Component &component, const std::string &phase, double tokens,
                const ExchangeRows &rows, const ExchangeRows &most, bool alone) const;
  /// Of reading and writing memory.
  double move(double bytes) const;
  /// Of a message between two ranks.
  double message(double bytes, bool sameNode) const;
  /// Of an exchange of rows: `scatter` or not, phase F or B; bytes that leave this rank for others
  /// of its node and for other nodes.
  double exchange(bool scatter, const std::string &phase, double tokens, double nodeBytes,
                  double networkBytes, bool alone) const;

private:
  friend class CostsReader;
  double kind(const std::string &name, double tokens, bool alone) const;

  Machine rates;
  std::map<std::string, double> components, kinds, kindsAlone; ///< us
  double kindTokens = 0;
  std::string from = "closed forms";
};

/// attn(F), mlp(B), ...: what a component is in an overlapped pair; empty for others (embedding,
/// heads, merges, dense MLPs).
std::string kindOf(const std::string &component, const std::string &phase);

} // namespace hadal::rt

#endif
