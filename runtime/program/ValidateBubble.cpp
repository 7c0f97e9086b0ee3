// SPDX-License-Identifier: Apache-2.0
//
// The bubble at unit times: F = I = W = 1, B = 2, an overlapped pair 3; transfers and all else take
// none, and nobody is held up who sends.

#include "runtime/program/TableText.h"
#include "runtime/program/ValidateRules.h"

#include <algorithm>
#include <numeric>

namespace hadal::rt {

namespace {

/// Gives the time of a chunk to its first launch: what the chunk sends leaves at its end. False
/// where a chunk has none (a stage that only looks up embeddings has no input gradient).
bool assignTimes(const ProgramSet &set, std::size_t rank, std::vector<double> &durations) {
  const bundle::Program &program = set.program(rank);
  std::vector<double> times(sizeOf(program.chunks()), 0);
  for (std::uint32_t c = 0; c < times.size(); ++c)
    for (const ChunkPart &part : chunkParts(program.chunks()->Get(c)->str()))
      times[c] += part.kind == 'B' ? 2 : 1;
  durations.assign(sizeOf(program.instructions()), 0);
  for (std::uint32_t i = 0; i < durations.size(); ++i) {
    const bundle::Instruction &instruction = set.instruction(rank, i);
    if (instruction.opcode() == bundle::Opcode::launch && instruction.chunk() >= 0)
      std::swap(durations[i], times[std::size_t(instruction.chunk())]);
  }
  return std::all_of(times.begin(), times.end(), [](double left) { return left == 0; });
}

/// At unit times, as facts of the schedules.
BubbleProof closedForm(const bundle::Training &training, double ranks) {
  const std::string schedule = training.schedule() ? training.schedule()->str() : "";
  const double microBatches = double(training.micro_batches());
  BubbleProof proof;
  if (schedule == "1f1b") {
    proof.text = "(P - 1)(F + B)";
    proof.formula = (ranks - 1) * 3;
  } else if (schedule == "zb1p") {
    proof.text = "(P - 1)(F + I - W)";
    proof.formula = ranks - 1;
    proof.condition = microBatches < ranks ? "M >= P" : "";
  } else if (schedule == "dualpipe") {
    proof.text = "(P/2 - 1)(pair + B - 3W)";
    proof.formula = (ranks / 2 - 1) * 2;
  } else {
    proof.text = "(P - 1)(pair + B - 3W)";
    proof.formula = (ranks - 1) * 2;
  }
  return proof;
}

} // namespace

std::optional<BubbleProof> measureBubble(const ProgramSet &set) {
  Rendezvous::Durations durations(set.ranks.size());
  bool all = true;
  for (std::size_t rank = 0; rank < set.ranks.size(); ++rank) {
    if (!sizeOf(set.program(rank).chunks()))
      return std::nullopt;
    all &= assignTimes(set, rank, durations[rank]);
  }
  Rendezvous run(set, durations, /*eager=*/true);
  if (!run.run())
    return std::nullopt; // checkProgress says why
  BubbleProof proof = closedForm(*set.table->training(), double(set.ranks.size()));
  if (!all)
    proof.condition = "chunks that all have work";
  for (const std::vector<double> &rank : durations)
    proof.measured =
        std::max(proof.measured, run.makespan() - std::accumulate(rank.begin(), rank.end(), 0.0));
  return proof;
}

} // namespace hadal::rt
