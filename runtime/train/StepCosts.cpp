// SPDX-License-Identifier: Apache-2.0
//
// See StepCosts.h.

#include "runtime/train/StepCosts.h"

#include "runtime/program/Terms.h"
#include "runtime/program/Timeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace hadal::rt {

using bundle::Opcode;

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

static double bytesOfOperands(const bundle::Program &program,
                              const bundle::Instruction &instruction, std::uint32_t count) {
  double bytes = 0;
  for (std::uint32_t i = 0; i < std::min(count, sizeOf(instruction.operands())); ++i)
    bytes += double(bytesOf(*program.buffers()->Get(instruction.operands()->Get(i))));
  return bytes;
}

void StepCosts::add(const StepSpans &spans) {
  for (std::size_t rank = 0; rank < spans.size(); ++rank)
    addRank(int(rank), spans[rank]);
  endStep();
}

void StepCosts::addRank(int rank, const std::vector<StepSpan> &spans) {
  const int replicas = int(std::max<std::int64_t>(1, table.training()->data_parallel()));
  const auto role = std::uint32_t(rank / replicas);
  const bundle::Program *programs[] = {&programOf(table, role, 0), &programOf(table, role, 1)};
  for (const StepSpan &span : spans) {
    const bundle::Program &program = *programs[span.program];
    const bundle::Instruction &instruction = *program.instructions()->Get(span.instruction);
    const double time = double(span.end - span.start) / 1e3;
    switch (instruction.opcode()) {
    case Opcode::launch: {
      const bundle::Component &component = *table.components()->Get(instruction.component());
      components[component.name()->str()].push_back(time);
      flops += component.flops();
      flopTime += time;
      break;
    }
    case Opcode::zero:
    case Opcode::copy:
      moved +=
          bytesOfOperands(program, instruction, 1) * (instruction.opcode() == Opcode::copy ? 2 : 1);
      moveTime += time;
      break;
    case Opcode::send:
    case Opcode::receive:
      addTransfers(rank, span, program);
      break;
    default:
      if (takesTime(instruction.opcode()))
        addMeeting(rank, span, program);
    }
  }
}

void StepCosts::addMeeting(int rank, const StepSpan &span, const bundle::Program &program) {
  const bundle::Instruction &instruction = *program.instructions()->Get(span.instruction);
  const int replicas = int(std::max<std::int64_t>(1, table.training()->data_parallel()));
  const int members = int(std::max<std::int64_t>(1, table.training()->expert_parallel()));
  const Opcode opcode = instruction.opcode();
  const bool rows = opcode == Opcode::scatter_rows || opcode == Opcode::gather_rows;
  const bool sums = opcode == Opcode::reduce_scatter || opcode == Opcode::all_gather ||
                    opcode == Opcode::all_reduce || opcode == Opcode::total_squares;
  Key key;
  double bytes = bytesOfOperands(program, instruction, 1);
  if (sums) {
    // The members of a group run its collectives in one order.
    std::string who = bundle::EnumNameOpcode(opcode);
    double holders = double(table.training()->pipeline_ranks()) * replicas;
    if (opcode != Opcode::total_squares) {
      const auto &group = *table.groups()->Get(std::uint32_t(instruction.group()));
      for (std::uint32_t pipelineRank : *group.pipeline_ranks())
        who += " " + std::to_string(pipelineRank);
      holders = double(sizeOf(group.pipeline_ranks())) * replicas;
      if (group.scope() == bundle::GroupScope::expert_holders)
        holders /= members;
    }
    const std::uint32_t round = rounds[{rank, who, int(span.program)}]++;
    key = {who, 0, int(span.program), round, 0};
    if (opcode == Opcode::reduce_scatter || opcode == Opcode::total_squares)
      bytes = bytesOfOperands(program, instruction, accumulatorsOf(instruction));
    bytes *= holders > 1 ? (holders - 1) / holders : 0;
  } else {
    key = {"exchange", rank / members, int(span.program), span.instruction, span.stream};
  }
  const double time = double(span.end - span.start) / 1e3;
  auto [entry, added] = meetings.try_emplace(key);
  Meeting &meeting = entry->second;
  meeting.shortest = added ? time : std::min(meeting.shortest, time);
  meeting.bytes = std::max(meeting.bytes, bytes); // a holder may only receive
  if (rows)
    meeting.kind = instructionName(table, instruction);
}

void StepCosts::addTransfers(int rank, const StepSpan &span, const bundle::Program &program) {
  const int replicas = int(std::max<std::int64_t>(1, table.training()->data_parallel()));
  for (const bundle::Instruction *transfer : transfersOf(program, span.instruction)) {
    const int there = int(transfer->peer()) * replicas + rank % replicas;
    const bool sends = transfer->opcode() == Opcode::send;
    Way &way = ways[sends ? std::make_pair(rank, there) : std::make_pair(there, rank)];
    way.bytes = bytesOfOperands(program, *transfer, 1);
    (sends ? way.sent : way.received).emplace_back(span.start, span.end);
  }
}

/// What met is known when all ranks are there.
void StepCosts::endStep() {
  for (const auto &[key, meeting] : meetings)
    if (!meeting.kind.empty())
      kinds[meeting.kind].push_back(meeting.shortest);
    else if (meeting.bytes > 0)
      messages[meeting.bytes].push_back(meeting.shortest);
  for (const auto &[ends, way] : ways)
    for (std::size_t i = 0; i < std::min(way.sent.size(), way.received.size()); ++i) {
      const std::int64_t met = std::max(way.sent[i].first, way.received[i].first);
      messages[way.bytes].push_back(double(way.received[i].second - met) / 1e3);
    }
  meetings.clear();
  ways.clear();
  rounds.clear();
}

std::string StepCosts::json() const {
  nlohmann::ordered_json costs;
  auto &machine = costs["machine"] = nlohmann::ordered_json::object();
  if (flops > 0 && flopTime > 0)
    machine["flops_per_s"] = flops / flopTime * 1e6;
  if (moved > 0 && moveTime > 0)
    machine["memory_bytes_per_s"] = moved / moveTime * 1e6;
  if (!messages.empty()) {
    // Small messages tell the latency, all of them together the rate.
    const double latency = std::max(0.0, median(messages.begin()->second));
    double bytes = 0, time = 0;
    for (const auto &[size, times] : messages)
      if (double typical = median(times); typical > latency) {
        bytes += size * double(times.size());
        time += (typical - latency) * double(times.size());
      }
    nlohmann::ordered_json link = {{"bytes_per_s", time > 0 ? bytes / time * 1e6 : 1e12},
                                   {"latency_us", latency}};
    machine["node"] = machine["network"] = link;
  }
  auto &times = costs["components"] = nlohmann::ordered_json::object();
  for (const auto &[name, values] : components)
    times[name] = median(values);
  if (!kinds.empty()) {
    const bundle::Training &training = *table.training();
    auto &list = costs["kinds"] = {{"tokens", training.sequences() * training.tokens()}};
    for (const auto &[name, values] : kinds)
      list[name] = median(values);
  }
  return costs.dump(1) + "\n";
}

} // namespace hadal::rt
