// SPDX-License-Identifier: Apache-2.0
//
// Injected faults, for tests: HADAL_INJECT_FAULT=rank:step:phase:die|stall.

#ifndef HADAL_RUNTIME_TRANSPORT_FAULT_H
#define HADAL_RUNTIME_TRANSPORT_FAULT_H

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace hadal::rt {

/// Ends a rank that is a thread as if it had been killed: no message, no goodbye.
class InjectedDeath : public std::exception {
public:
  const char *what() const noexcept override { return "injected death"; }
};

struct Fault {
  int rank = -1; // none
  std::int64_t step = 0;
  std::string phase;
  enum class Kind { Die, Stall } kind = Kind::Die;
};

/// Reads the form above; throws InputError for anything else. Null and "": no fault.
Fault parseFault(const char *text);

/// Rank `rank` is in phase `phase` of step `step`: if the environment asks for a fault there, a
/// process kills itself (SIGKILL), a rank that is a thread throws InjectedDeath, and a stall never
/// returns. Costs one load when there is none.
void faultAt(int rank, std::int64_t step, std::string_view phase);

/// Whether ranks are threads of this process; runWorld says so.
void setRanksAreThreads(bool threads);

} // namespace hadal::rt

#endif
