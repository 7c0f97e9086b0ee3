// SPDX-License-Identifier: Apache-2.0
//
// See Program.h: what a simulated step looks like as JSON, table, trace and drawing.

#include "runtime/program/TableText.h"
#include "runtime/simulate/Drawing.h"
#include "runtime/simulate/Order.h"
#include "runtime/simulate/Program.h"

#include <algorithm>
#include <charconv>
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
                static_cast<long long>(times.size()) * static_cast<long long>(replicas));
  out << text;
}

ChromeTrace::Arguments argumentsOf(const bundle::Program &program,
                                   const bundle::Instruction &instruction) {
  ChromeTrace::Arguments arguments;
  if (instruction.layer() >= 0)
    arguments.emplace_back("layer", std::to_string(instruction.layer()));
  if (instruction.micro_batch() >= 0)
    arguments.emplace_back("micro-batch", std::to_string(instruction.micro_batch()));
  if (instruction.chunk() >= 0 && std::uint32_t(instruction.chunk()) < sizeOf(program.chunks()))
    arguments.emplace_back("chunk",
                           program.chunks()->Get(std::uint32_t(instruction.chunk()))->str());
  return arguments;
}

/// "rank 3"; "ranks 384-511" where replicas run one program.
static std::string ranksText(std::int64_t role, std::int64_t replicas) {
  const std::string first = std::to_string(role * replicas);
  return replicas == 1 ? "rank " + first
                       : "ranks " + first + "-" + std::to_string((role + 1) * replicas - 1);
}

void ProgramRun::trace(const std::string &set, ChromeTrace &trace) const {
  std::vector<std::vector<ChromeTrace::Track>> tracks(streams.size());
  for (std::size_t role = 0; role < streams.size(); ++role) {
    const std::uint32_t process =
        trace.process(set + ": " + ranksText(std::int64_t(role), replicas),
                      std::int32_t(std::int64_t(role) * replicas));
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
    const bundle::Program &program = *programs[place.program];
    const ChromeTrace::Slice slice =
        trace.slice(tracks[place.role][instruction.stream()], nameOf(id), categoryOf(instruction),
                    engine.span(id).start, engine.span(id).end, argumentsOf(program, instruction));
    const auto &list = *program.instructions();
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
    const char *end = text.data() + std::min(text.find('+', at), text.size());
    ChunkPart part;
    part.kind = text[at];
    const auto [dot, noDirection] = std::from_chars(text.data() + at + 1, end, part.direction);
    if (noDirection == std::errc() && dot != end && *dot == '.' &&
        std::from_chars(dot + 1, end, part.microBatch).ec == std::errc())
      parts.push_back(part);
    at = std::size_t(end - text.data()) + 1;
  }
  return parts;
}

namespace {
/// Chunks by role and number while they grow.
class Chunks {
public:
  void add(std::uint32_t role, std::int32_t number, const Span &span,
           const std::vector<ChunkPart> &parts) {
    auto [entry, added] = chunks.try_emplace({role, number});
    TimedChunk &chunk = entry->second;
    if (added)
      chunk = {int(role), span.start, span.end, parts};
    chunk.start = std::min(chunk.start, span.start);
    chunk.end = std::max(chunk.end, span.end);
  }
  std::vector<TimedChunk> timed(double divisor) const {
    std::vector<TimedChunk> found;
    for (const auto &[key, chunk] : chunks)
      if (!chunk.parts.empty())
        found.push_back({chunk.rank, chunk.start / divisor, chunk.end / divisor, chunk.parts});
    return found;
  }

private:
  std::map<std::pair<std::uint32_t, std::int32_t>, TimedChunk> chunks;
};
} // namespace

/// What a chunk computes; its numbers are those of the step's micro-batches.
std::vector<ChunkPart> ProgramRun::partsAt(Engine::Id id) const {
  const std::int32_t chunk = at(id).chunk();
  const auto *names = programs[places[id].program]->chunks();
  if (chunk < 0 || std::uint32_t(chunk) >= sizeOf(names))
    return {};
  std::vector<ChunkPart> parts = partsOf(names->Get(std::uint32_t(chunk))->str());
  const bundle::Training &training = *table.training();
  if (training.schedule() && training.schedule()->str() == "dualpipe")
    for (ChunkPart &part : parts)
      part.microBatch += part.direction * int(training.micro_batches() / 2);
  return parts;
}

Drawing ProgramRun::drawing() const {
  Drawing drawing;
  drawing.unit = makespan() >= 2e6 ? "s" : makespan() >= 2e3 ? "ms" : "us";
  const double divisor = drawing.unit == "s" ? 1e6 : drawing.unit == "ms" ? 1e3 : 1;
  drawing.ranks = int(streams.size());
  drawing.end = makespan() / divisor;
  Chunks chunks;
  for (Engine::Id id = 0; id < engine.instructions(); ++id) {
    if (!isWork(id))
      continue;
    if (programs[places[id].program]->name()->str() == "update")
      chunks.add(places[id].role, -1, engine.span(id), {{'U', 0, -1}});
    else if (at(id).opcode() == bundle::Opcode::launch && at(id).chunk() >= 0)
      chunks.add(places[id].role, at(id).chunk(), engine.span(id), partsAt(id));
  }
  drawing.chunks = chunks.timed(divisor);
  double bubble = 0;
  for (std::size_t role = 0; role < streams.size(); ++role) {
    bubble = std::max(bubble, times[role].bubble);
    drawing.rows.push_back(ranksText(std::int64_t(role), replicas));
  }
  const bundle::Training &training = *table.training();
  auto counted = [](std::int64_t count, const char *what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : *what == 'm' ? "es" : "s");
  };
  char figures[80];
  std::snprintf(figures, sizeof figures, "step %.4g %s, largest bubble %.4g %s", drawing.end,
                drawing.unit.c_str(), bubble / divisor, drawing.unit.c_str());
  drawing.title = (training.schedule() ? training.schedule()->str() + ", " : "") +
                  counted(std::int64_t(streams.size()) * replicas, "rank") + ", " +
                  counted(training.micro_batches(), "micro-batch") + ": " + figures + " (" +
                  costs.source() + ")";
  return drawing;
}

} // namespace hadal::rt
