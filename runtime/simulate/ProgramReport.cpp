// SPDX-License-Identifier: Apache-2.0
//
// See Program.h: what a simulated step looks like as JSON, table, trace and drawing.

#include "runtime/program/TableText.h"
#include "runtime/simulate/Drawing.h"
#include "runtime/simulate/Order.h"
#include "runtime/simulate/Program.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <nlohmann/json.hpp>
#include <ostream>

namespace hadal::rt {

static nlohmann::ordered_json bytesOfShares(const MemoryShares &shares) {
  return {{"weights", shares.weights},     {"gradients", shares.gradients},
          {"optimizer", shares.optimizer}, {"activations", shares.activations},
          {"stash", shares.stash},         {"communication", shares.communication},
          {"total", shares.total()}};
}

std::string ProgramRun::report() const {
  nlohmann::ordered_json report;
  report["makespan_us"] = makespan();
  auto &ranks = report["ranks"] = nlohmann::ordered_json::array();
  for (std::uint32_t role = 0; role < times.size(); ++role) {
    nlohmann::ordered_json entry = {
        {"rank", 0},
        {"busy_us", times[role].busy},
        {"bubble_us", times[role].bubble},
        {"exposed_communication_us", times[role].exposed},
        {"peak_bytes", bytesOfShares(balancedNeed(table, role, residentPrograms(table, role)))}};
    for (std::int64_t replica = 0; replica < replicas; ++replica) {
      entry["rank"] = std::int64_t(role) * replicas + replica;
      ranks.push_back(entry);
    }
  }
  return report.dump(1) + "\n";
}

void ProgramRun::print(std::ostream &out) const {
  auto row = [&](const std::string &name, double busy, double exposed, double bubble) {
    char text[160];
    std::snprintf(text, sizeof text, "%-16s %12.2f %12.2f %12.2f %8.1f %%\n", name.c_str(),
                  busy / 1e3, exposed / 1e3, bubble / 1e3, 100 * bubble / makespan());
    out << text;
  };
  out << "one training step, costs from " << costs.source() << "\n"
      << "pipeline rank         busy ms   exposed ms    bubble ms    bubble\n";
  for (std::size_t role = 0; role < times.size(); ++role)
    row(std::to_string(role), times[role].busy, times[role].exposed, times[role].bubble);
  char text[160];
  const bundle::Training &training = *table.training();
  const double tokens = double(training.sequences() * training.tokens() * training.micro_batches());
  std::snprintf(text, sizeof text,
                "step %.3f ms, %.0f tokens/s a rank of %lld (exposed: communication while nothing "
                "computes)\n",
                makespan() / 1e3, tokens / double(times.size()) / (makespan() / 1e6),
                static_cast<long long>(std::int64_t(times.size()) * replicas));
  out << text;
}

ChromeTrace::Arguments argumentsOf(const bundle::Instruction &instruction) {
  ChromeTrace::Arguments arguments;
  if (instruction.layer() >= 0)
    arguments.emplace_back("layer", std::to_string(instruction.layer()));
  if (instruction.micro_batch() >= 0)
    arguments.emplace_back("micro-batch", std::to_string(instruction.micro_batch()));
  return arguments;
}

void ProgramRun::trace(const std::string &set, ChromeTrace &trace) const {
  std::vector<std::vector<ChromeTrace::Track>> tracks(streams.size());
  for (std::size_t role = 0; role < streams.size(); ++role) {
    const std::int64_t first = std::int64_t(role) * replicas;
    const std::string who = replicas == 1 ? ": rank " + std::to_string(first)
                                          : ": ranks " + std::to_string(first) + " to " +
                                                std::to_string(first + replicas - 1);
    const std::uint32_t process = trace.process(set + who, std::int32_t(first));
    for (const std::string &name : streamNames[role])
      tracks[role].push_back(trace.track(process, name));
  }
  // Messages between two ranks meet in order.
  std::map<std::pair<int, int>, std::deque<ChromeTrace::Slice>> sent, received;
  for (Engine::Id id = 0; id < engine.instructions(); ++id) {
    if (!isWork(id) || engine.span(id).end <= engine.span(id).start)
      continue;
    const bundle::Instruction &instruction = at(id);
    const Place &place = places[id];
    const ChromeTrace::Slice slice =
        trace.slice(tracks[place.role][instruction.stream()], nameOf(id), categoryOf(instruction),
                    engine.span(id).start, engine.span(id).end, argumentsOf(instruction));
    const auto &list = *programs[place.program]->instructions();
    for (std::uint32_t i = place.instruction; i < list.size(); ++i) {
      const bundle::Instruction &other = *list.Get(i);
      if (other.stream() != instruction.stream())
        continue;
      const bool sends = other.opcode() == bundle::Opcode::send;
      if ((!sends && other.opcode() != bundle::Opcode::receive) ||
          other.batch() != instruction.batch())
        break;
      const int here = int(place.role), there = other.peer();
      (sends ? sent[{here, there}] : received[{there, here}]).push_back(slice);
    }
  }
  for (auto &[way, slices] : sent)
    for (std::size_t i = 0; i < std::min(slices.size(), received[way].size()); ++i)
      trace.flow("transfer", slices[i], received[way][i]);
}

/// "F0.4+B1.1".
static std::vector<ChunkPart> partsOf(const std::string &text) {
  std::vector<ChunkPart> parts;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('+', at), text.size());
    ChunkPart part;
    if (std::sscanf(text.substr(at, end - at).c_str(), "%c%d.%d", &part.kind, &part.direction,
                    &part.microBatch) == 3)
      parts.push_back(part);
    at = end + 1;
  }
  return parts;
}

Drawing ProgramRun::drawing() const {
  Drawing drawing;
  const bundle::Training &training = *table.training();
  drawing.title = (training.schedule() ? training.schedule()->str() : "") + " on " +
                  std::to_string(streams.size()) + " pipeline ranks, " +
                  std::to_string(training.micro_batches()) + " micro-batches";
  drawing.unit = "us";
  drawing.ranks = int(streams.size());
  drawing.end = makespan();
  std::map<std::pair<std::uint32_t, std::int32_t>, TimedChunk> chunks; // by role and chunk
  for (Engine::Id id = 0; id < engine.instructions(); ++id) {
    if (!isWork(id) || at(id).opcode() != bundle::Opcode::launch || at(id).chunk() < 0)
      continue;
    const Span &span = engine.span(id);
    auto [entry, added] = chunks.try_emplace({places[id].role, at(id).chunk()});
    TimedChunk &chunk = entry->second;
    if (added) {
      chunk.rank = int(places[id].role);
      chunk.start = span.start;
      const auto *names = programs[places[id].program]->chunks();
      if (std::uint32_t(at(id).chunk()) < sizeOf(names))
        chunk.parts = partsOf(names->Get(std::uint32_t(at(id).chunk()))->str());
    }
    chunk.start = std::min(chunk.start, span.start);
    chunk.end = std::max(chunk.end, span.end);
  }
  for (auto &[key, chunk] : chunks)
    if (!chunk.parts.empty())
      drawing.chunks.push_back(std::move(chunk));
  return drawing;
}

} // namespace hadal::rt
