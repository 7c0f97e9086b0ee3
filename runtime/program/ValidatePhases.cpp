// SPDX-License-Identifier: Apache-2.0
//
// Forward, backward and weight-gradient parts of components, and the chunks they stand in.

#include "runtime/program/ValidateRules.h"

#include "runtime/program/Uses.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <tuple>

namespace hadal::rt {

namespace {

constexpr std::string_view kPhases = "FBW";
constexpr const char *kPhaseNames[] = {"forward part", "backward part", "weight gradients"};

/// 0 F, 1 B, 2 W; -1 of what is no part of training.
int phaseOf(const bundle::Instruction &instruction) {
  if (instruction.opcode() != bundle::Opcode::launch || !instruction.phase() ||
      instruction.phase()->size() != 1 || instruction.micro_batch() < 0)
    return -1;
  for (int phase = 0; phase < 3; ++phase)
    if (kPhases[std::size_t(phase)] == instruction.phase()->c_str()[0])
      return phase;
  return -1;
}

/// A component without its phase's suffix: attn_moe of attn_moe_F.
std::string baseOf(const std::string &name) {
  const bool suffix =
      name.size() > 2 && name[name.size() - 2] == '_' && kPhases.find(name.back()) < kPhases.size();
  return suffix ? name.substr(0, name.size() - 2) : name;
}

/// A component of a layer (-1: of none).
using Part = std::pair<std::int32_t, std::string>;

std::string partText(const Part &part) {
  return part.second + (part.first >= 0 ? " of layer " + std::to_string(part.first) : "");
}

class PhaseCheck {
public:
  explicit PhaseCheck(const ProgramSet &set) : set(set) {}

  std::uint64_t run() {
    for (rank = 0; rank < set.ranks.size(); ++rank) {
      ends.clear();
      layers.clear();
      findPhases();
      for (std::uint32_t i = 0; i < sizeOf(set.program(rank).instructions()); ++i)
        if (int phase = phaseOf(set.instruction(rank, i)); phase >= 0)
          check(i, phase);
    }
    checkMicroBatches();
    return launches;
  }

private:
  /// Where the launches of a part ended, by stream.
  struct Ends {
    std::vector<std::uint32_t> places[3];
    std::uint32_t last[3] = {};
  };

  Part partOf(const bundle::Instruction &instruction) const {
    return {instruction.layer(),
            baseOf(set.table->components()->Get(instruction.component())->name()->str())};
  }

  /// Which phases each part has on this rank.
  void findPhases() {
    has.clear();
    backward.clear();
    for (std::uint32_t i = 0; i < sizeOf(set.program(rank).instructions()); ++i) {
      const bundle::Instruction &instruction = set.instruction(rank, i);
      const int phase = phaseOf(instruction);
      if (phase >= 0)
        has[partOf(instruction)] |= 1u << phase;
      if (phase == 1)
        backward[{instruction.micro_batch(), partOf(instruction)}].push_back(i);
    }
  }

  /// Weight gradients that take nothing from their backward part (a norm's) may come before it in
  /// the same chunk.
  bool needNotWait(const bundle::Instruction &weights) const {
    auto parts = backward.find({weights.micro_batch(), partOf(weights)});
    if (parts == backward.end())
      return false;
    for (std::uint32_t index : parts->second) {
      const bundle::Instruction &part = set.instruction(rank, index);
      if (part.chunk() != weights.chunk())
        return false;
      bool takes = false;
      forEachUse(*set.table, part, [&](std::uint32_t buffer, Use use) {
        const auto *operands = weights.operands();
        takes |= use != Use::Read &&
                 std::find(operands->begin(), operands->end(), buffer) != operands->end();
      });
      if (takes)
        return false;
    }
    return true;
  }

  void check(std::uint32_t index, int phase) {
    const bundle::Instruction &instruction = set.instruction(rank, index);
    const Part part = partOf(instruction);
    ++launches;
    ++counts[{part, phase}][instruction.micro_batch()];
    Ends &mine = ends[{instruction.micro_batch(), part}];
    for (int before = 0; before < phase; ++before)
      if ((has[part] & (1u << before)) && (before != 1 || phase != 2 || !needNotWait(instruction)))
        expectEnded(mine, before, phase, index, partText(part));
    if (part.first >= 0) {
      Ends &layer = layers[{instruction.micro_batch(), part.first}];
      if (phase == 0 && !layer.places[1].empty())
        throw InputError(set.place(rank, index) + " starts after " + text(layer.last[1]) +
                         ", a backward part of its layer and micro-batch");
      if (phase > 0 && !layer.places[0].empty())
        expectEnded(layer, 0, phase, index, "layer " + std::to_string(part.first));
      note(layer, phase, index);
    }
    note(mine, phase, index);
  }

  void note(Ends &of, int phase, std::uint32_t index) {
    const Timeline &timeline = set.ranks[rank].timeline;
    of.places[phase].resize(timeline.streams());
    std::uint32_t &place = of.places[phase][timeline.streamOf(index)];
    place = std::max(place, timeline.placeOf(index));
    of.last[phase] = index;
  }

  void expectEnded(const Ends &of, int before, int phase, std::uint32_t index,
                   const std::string &what) const {
    if (of.places[before].empty())
      throw InputError(set.place(rank, index) + " starts before the " + kPhaseNames[before] +
                       " of " + what);
    const Timeline &timeline = set.ranks[rank].timeline;
    for (std::uint32_t stream = 0; stream < timeline.streams(); ++stream)
      if (of.places[before][stream] > timeline.endedBefore(index, stream))
        throw InputError(set.place(rank, index) + " may start before the " + kPhaseNames[before] +
                         " of " + what + " has ended (" + text(of.last[before]) +
                         "): no event orders them");
  }

  std::string text(std::uint32_t index) const {
    return instructionText(*set.table, set.program(rank), index);
  }

  /// Each part of each phase exists for all micro-batches of the step, wherever it runs.
  void checkMicroBatches() const {
    const std::int32_t all = std::int32_t(set.table->training()->micro_batches());
    for (const auto &[key, found] : counts) {
      const auto &[part, phase] = key;
      const std::string what = "program " + set.name + ": the " + kPhaseNames[phase] + " of " +
                               partText(part) + " of micro-batch ";
      for (std::int32_t m = 0; m < all; ++m) {
        auto at = found.find(m);
        const int count = at == found.end() ? 0 : at->second;
        const int usual = found.begin()->second;
        if (count != usual)
          throw InputError(what + std::to_string(m) + " run " + std::to_string(count) +
                           " times; those of micro-batch " + std::to_string(found.begin()->first) +
                           " run " + std::to_string(usual) + " times");
      }
      if (found.rbegin()->first >= all)
        throw InputError(what + std::to_string(found.rbegin()->first) + " run; there are " +
                         std::to_string(all) + " micro-batches");
    }
  }

  const ProgramSet &set;
  std::size_t rank = 0;
  std::uint64_t launches = 0;
  std::map<Part, unsigned> has;
  std::map<std::pair<std::int32_t, Part>, std::vector<std::uint32_t>> backward; // by micro-batch
  std::map<std::pair<std::int32_t, Part>, Ends> ends;                           // by micro-batch
  std::map<std::pair<std::int32_t, std::int32_t>, Ends> layers;                 // by micro-batch
  std::map<std::pair<Part, int>, std::map<std::int32_t, int>> counts;           // by micro-batch
};

/// Whether a part may hold a launch of this phase.
bool holds(const ChunkPart &part, char phase) {
  switch (part.kind) {
  case 'F':
  case 'W':
    return phase == part.kind;
  case 'I':
    return phase == 'B';
  default:
    return phase == 'B' || phase == 'W';
  }
}

} // namespace

std::uint64_t checkPhases(const ProgramSet &set) { return PhaseCheck(set).run(); }

std::vector<ChunkPart> chunkParts(const std::string &text) {
  std::vector<ChunkPart> parts;
  const char *at = text.c_str();
  do {
    ChunkPart part{*at, 0, 0};
    char *end = nullptr;
    if (!*at || !std::strchr("FBIW", *at) || !std::isdigit(static_cast<unsigned char>(at[1])))
      return {};
    part.direction = std::int32_t(std::strtol(at + 1, &end, 10));
    if (*end != '.' || !std::isdigit(static_cast<unsigned char>(end[1])))
      return {};
    part.number = std::int32_t(std::strtol(end + 1, &end, 10));
    at = end;
    parts.push_back(part);
  } while (*at++ == '+');
  return at[-1] ? std::vector<ChunkPart>() : parts;
}

std::int32_t microBatchOf(const bundle::Training &training, const ChunkPart &part) {
  const bool halves = training.schedule() && training.schedule()->string_view() == "dualpipe";
  return part.number + (halves && part.direction ? std::int32_t(training.micro_batches() / 2) : 0);
}

void checkChunks(const ProgramSet &set) {
  for (std::size_t rank = 0; rank < set.ranks.size(); ++rank) {
    std::vector<std::vector<ChunkPart>> chunks;
    const auto *names = set.program(rank).chunks();
    for (std::uint32_t i = 0; i < sizeOf(names); ++i) {
      chunks.push_back(chunkParts(names->Get(i)->str()));
      if (chunks.back().empty())
        throw InputError(programText(set.program(rank)) + ": chunk " + std::to_string(i) + " is " +
                         names->Get(i)->str() + "; expected the form of F0.3 or F0.4+B1.1");
    }
    for (std::uint32_t i = 0; i < sizeOf(set.program(rank).instructions()); ++i) {
      const bundle::Instruction &instruction = set.instruction(rank, i);
      if (instruction.chunk() < 0 || phaseOf(instruction) < 0)
        continue;
      const auto &parts = chunks[std::size_t(instruction.chunk())];
      const bool found = std::any_of(parts.begin(), parts.end(), [&](const ChunkPart &part) {
        return holds(part, instruction.phase()->c_str()[0]) &&
               microBatchOf(*set.table->training(), part) == instruction.micro_batch();
      });
      if (!found)
        throw InputError(set.place(rank, i) + ", phase " + instruction.phase()->str() +
                         ", stands in chunk " +
                         names->Get(std::uint32_t(instruction.chunk()))->str());
    }
  }
}

} // namespace hadal::rt
