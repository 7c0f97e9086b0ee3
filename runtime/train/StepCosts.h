// SPDX-License-Identifier: Apache-2.0
//
// A measured profile: from what ranks did when, the times of components, exchanges and messages, as
// a file of costs that the simulator reads (runtime/simulate/Costs.h).

#ifndef HADAL_RUNTIME_TRAIN_STEPCOSTS_H
#define HADAL_RUNTIME_TRAIN_STEPCOSTS_H

#include "runtime/train/StepTrace.h"

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace hadal::rt {

/// Medians over steps, ranks and layers. Whoever comes last to a meeting waits for nobody, so the
/// shortest of its spans is what it takes. Components with routed rows: at the rows they had.
class StepCosts {
public:
  explicit StepCosts(const bundle::Bundle &table) : table(table) {}

  void add(const StepSpans &spans);
  std::string json() const;

private:
  /// A message, collective or exchange: who, which, and which time.
  using Key = std::tuple<std::string, int, int, std::uint32_t, std::uint32_t>;
  struct Meeting {
    double bytes = 0, shortest = 0;
    std::string kind; // of an exchange of rows; else empty
  };
  struct Way {
    double bytes = 0;
    std::vector<std::pair<std::int64_t, std::int64_t>> sent, received;
  };

  void addRank(int rank, const std::vector<StepSpan> &spans);
  void addMeeting(int rank, const StepSpan &span, const bundle::Program &program);
  void addTransfers(int rank, const StepSpan &span, const bundle::Program &program);
  void endStep();

  const bundle::Bundle &table;
  std::map<std::string, std::vector<double>> components, kinds; // us
  std::map<double, std::vector<double>> messages;               // us by bytes
  double flops = 0, flopTime = 0, moved = 0, moveTime = 0;      // us
  // Of one step.
  std::map<Key, Meeting> meetings;
  std::map<std::pair<int, int>, Way> ways; // by sender and receiver
  std::map<std::tuple<int, std::string, int>, std::uint32_t> rounds;
};

} // namespace hadal::rt

#endif
