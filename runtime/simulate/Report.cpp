// SPDX-License-Identifier: Apache-2.0
//
// See Report.h.

#include "runtime/simulate/Report.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace hadal::rt {

static std::string figure(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

static std::string right(const std::string &text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string orderReport(const Order &order, const OrderRun &run, const ChunkTimes &times) {
  nlohmann::ordered_json report;
  const std::optional<ClosedForm> form = closedForm(order, times);
  report["makespan_us"] = run.makespan;
  report["largest_bubble_us"] = run.largestBubble();
  report["closed_form_bubble_us"] =
      form ? nlohmann::ordered_json(form->bubble) : nlohmann::ordered_json(nullptr);
  report["ranks"] = nlohmann::ordered_json::array();
  for (std::size_t rank = 0; rank < run.ranks.size(); ++rank) {
    const OrderRun::Rank &found = run.ranks[rank];
    nlohmann::ordered_json entry;
    entry["rank"] = rank;
    entry["busy_us"] = found.busy;
    entry["bubble_us"] = found.bubble;
    entry["exposed_communication_us"] = 0.0; // transfers take no time
    entry["peak_chunks"] = {{"activations", found.activations},
                            {"deferred_weight_gradients", found.deferred}};
    report["ranks"].push_back(entry);
  }
  return report.dump(1) + "\n";
}

void printOrder(const Order &order, const OrderRun &run, const ChunkTimes &times,
                std::ostream &out) {
  out << order.schedule << ", " << order.ranks << " ranks, " << order.microBatches
      << " micro-batches; F=" << figure(times.F) << ", B=" << figure(times.I + times.W)
      << ", I=" << figure(times.I) << ", W=" << figure(times.W)
      << (times.pair ? ", pair=" + figure(*times.pair) : "") << "; transfers free\n"
      << "rank        busy      bubble  activations  deferred W\n";
  for (std::size_t rank = 0; rank < run.ranks.size(); ++rank) {
    const OrderRun::Rank &found = run.ranks[rank];
    out << right(std::to_string(rank), 4) << right(figure(found.busy), 12)
        << right(figure(found.bubble), 12) << right(std::to_string(found.activations), 13)
        << right(std::to_string(found.deferred), 12) << "\n";
  }
  out << "makespan " << figure(run.makespan) << ", largest bubble " << figure(run.largestBubble());
  if (const std::optional<ClosedForm> form = closedForm(order, times))
    out << ", closed form " << form->formula << " = " << figure(form->bubble)
        << (form->holds.empty() ? "" : " (made for " + form->holds + ")");
  out << "\n";
}

std::string pairReport(const PairTimes &simulated) {
  nlohmann::ordered_json report;
  report["makespan_us"] = makespanOf(simulated);
  report["components"] = nlohmann::ordered_json::array();
  for (const PairComponent &component : simulated)
    report["components"].push_back({{"layer", component.layer},
                                    {"component", pairPartName(component.part)},
                                    {"start_us", component.start},
                                    {"end_us", component.end}});
  return report.dump(1) + "\n";
}

void printPair(const PairTimes &measured, const PairTimes &simulated, std::ostream &out) {
  out << "layer  component     measured us  simulated us  difference\n";
  double zero = measured.empty() ? 0 : measured[0].start, largest = 0;
  for (const PairComponent &component : measured)
    zero = std::min(zero, component.start);
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const double started = measured[i].start - zero;
    const double difference = simulated[i].start - started;
    largest = std::max(largest, std::abs(difference));
    std::string name = pairPartName(measured[i].part);
    name.resize(12, ' ');
    out << right(std::to_string(measured[i].layer), 5) << "  " << name << right(figure(started), 13)
        << right(figure(simulated[i].start), 14) << right(figure(difference), 12) << "\n";
  }
  const double real = makespanOf(measured), found = makespanOf(simulated);
  out << "makespan " << figure(found) << " us; measured " << figure(real) << " us";
  if (real > 0)
    out << " (" << figure(std::round((found / real - 1) * 1e4) / 100) << " %)";
  out << "; largest difference of a start " << figure(largest) << " us\n";
}

void writeReport(const std::string &path, const std::string &report) {
  std::ofstream file(path, std::ios::binary);
  file << report;
  if (!file.flush())
    throw InputError(path, "cannot be written");
}

} // namespace hadal::rt
