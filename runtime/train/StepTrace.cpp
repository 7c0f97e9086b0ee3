// SPDX-License-Identifier: Apache-2.0
//
// See StepTrace.h.

#include "runtime/train/StepTrace.h"

#include "runtime/program/TableText.h"
#include "runtime/program/Timeline.h"
#include "runtime/support/Error.h"
#include "runtime/train/StepClocks.h"
#include "runtime/train/StepWaits.h"
#include "runtime/transport/Collectives.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

namespace hadal::rt {

void keepSpans(TrainingStep &training) {
  training.gradients.keepSpans(true);
  training.update.keepSpans(true);
}

static void addSpans(const Executor &program, std::uint32_t number, std::vector<StepSpan> &spans) {
  const std::uint32_t streams = std::max(1u, sizeOf(program.table().streams()));
  for (std::uint32_t stream = 0; stream < streams; ++stream)
    for (const InstructionSpan &span : program.spans(stream))
      spans.push_back({number, stream, span.instruction, 0, span.start, span.end});
}

StepSpans gatherSpans(const RankLinks &links, const TrainingStep &training) {
  std::vector<StepSpan> own;
  addSpans(training.gradients, 0, own);
  addSpans(training.update, 1, own);
  if (!links.transport)
    return {own};
  StepSpans all;
  for (const Bytes &bytes : gather(*links.transport, everyone(*links.transport), kMainChannel, 0,
                                   own.data(), own.size() * sizeof(StepSpan))) {
    all.emplace_back(bytes.size() / sizeof(StepSpan));
    if (!bytes.empty())
      std::memcpy(all.back().data(), bytes.data(), bytes.size());
  }
  const std::vector<std::int64_t> offsets = clockOffsets(*links.transport, RankClock::steady());
  for (std::size_t rank = 0; rank < offsets.size(); ++rank)
    for (StepSpan &span : all[rank]) {
      span.start += offsets[rank];
      span.end += offsets[rank];
    }
  return links.rank() == 0 ? all : StepSpans();
}

const bundle::Program &programOf(const bundle::Bundle &table, std::uint32_t role,
                                 std::uint32_t number) {
  const char *name = number ? "update" : "gradients";
  for (const bundle::Program *program : *table.programs())
    if (program->rank() == role && program->name()->str() == name)
      return *program;
  throw RunError(std::string("no program ") + name + " of pipeline rank " + std::to_string(role));
}

const bundle::Instruction &instructionOf(const bundle::Bundle &table, std::uint32_t role,
                                         const StepSpan &span) {
  return *programOf(table, role, span.program).instructions()->Get(span.instruction);
}

std::vector<const bundle::Instruction *> transfersOf(const bundle::Program &program,
                                                     std::uint32_t index) {
  std::vector<const bundle::Instruction *> transfers;
  const auto &list = *program.instructions();
  const bundle::Instruction &first = *list.Get(index);
  for (std::uint32_t i = index; i < list.size(); ++i) {
    const bundle::Instruction *other = list.Get(i);
    if (other->stream() != first.stream())
      continue;
    if (!isTransfer(other->opcode()) || other->batch() != first.batch())
      break;
    transfers.push_back(other);
  }
  return transfers;
}

namespace {

/// Writes the measured set.
class MeasuredTrace {
public:
  MeasuredTrace(const bundle::Bundle &table, const StepSpans &spans, ChromeTrace &trace)
      : table(table), spans(spans), waits(table, spans),
        replicas(std::max<std::int64_t>(1, table.training()->data_parallel())), trace(trace) {
    for (const std::vector<StepSpan> &rank : spans)
      for (const StepSpan &span : rank)
        zero = std::min(zero, span.start);
  }

  void rank(int rank) {
    const auto role = std::uint32_t(rank / replicas);
    const std::vector<StepSpan> &own = spans[std::size_t(rank)];
    const bundle::Program *programs[] = {&programOf(table, role, 0), &programOf(table, role, 1)};
    const std::vector<ChromeTrace::Track> tracks = tracksOf(rank, programs);
    for (std::size_t i = 0; i < own.size(); ++i) {
      const StepSpan &span = own[i];
      const bundle::Program &program = *programs[span.program];
      const bundle::Instruction &instruction = *program.instructions()->Get(span.instruction);
      if (!takesTime(instruction.opcode()) || span.end <= span.start)
        continue;
      const std::int64_t met = waits.met(rank, i);
      if (met > span.start)
        trace.slice(tracks[span.stream], "wait", "wait", us(span.start), us(met),
                    argumentsOf(program, instruction));
      const ChromeTrace::Slice slice = trace.slice(
          tracks[span.stream], instructionName(table, instruction), categoryOf(instruction),
          us(met), us(span.end), argumentsOf(program, instruction));
      if (isTransfer(instruction.opcode()))
        ends(rank, program, span.instruction, slice);
    }
  }

  void arrows() {
    for (auto &[way, slices] : sent)
      for (std::size_t i = 0; i < std::min(slices.size(), received[way].size()); ++i)
        trace.flow("transfer", slices[i], received[way][i]);
  }

private:
  double us(std::int64_t time) const { return double(time - zero) / 1e3; }

  /// One for each stream of either program.
  std::vector<ChromeTrace::Track> tracksOf(int rank, const bundle::Program *const programs[2]) {
    const std::uint32_t process = trace.process("measured: rank " + std::to_string(rank), rank);
    std::vector<ChromeTrace::Track> tracks;
    for (int program : {0, 1})
      for (auto s = std::uint32_t(tracks.size()); s < sizeOf(programs[program]->streams()); ++s)
        tracks.push_back(trace.track(process, programs[program]->streams()->Get(s)->str()));
    if (tracks.empty())
      tracks.push_back(trace.track(process, "compute"));
    return tracks;
  }

  void ends(int rank, const bundle::Program &program, std::uint32_t index,
            const ChromeTrace::Slice &slice) {
    for (const bundle::Instruction *transfer : transfersOf(program, index)) {
      const int there = int(transfer->peer() * replicas + rank % replicas);
      const bool sends = transfer->opcode() == bundle::Opcode::send;
      (sends ? sent[{rank, there}] : received[{there, rank}]).push_back(slice);
    }
  }

  const bundle::Bundle &table;
  const StepSpans &spans;
  const StepWaits waits;
  const std::int64_t replicas;
  ChromeTrace &trace;
  std::int64_t zero = std::numeric_limits<std::int64_t>::max();
  // Messages between two ranks meet in order.
  std::map<std::pair<int, int>, std::vector<ChromeTrace::Slice>> sent, received;
};

} // namespace

void writeStepTrace(const std::string &path, const bundle::Bundle &table, const StepSpans &spans,
                    const ProgramRun *predicted) {
  ChromeTrace trace(path);
  if (predicted)
    predicted->trace("predicted", trace);
  MeasuredTrace measured(table, spans, trace);
  for (std::size_t rank = 0; rank < spans.size(); ++rank)
    measured.rank(int(rank));
  measured.arrows();
  trace.finish();
}

} // namespace hadal::rt
