// SPDX-License-Identifier: Apache-2.0
//
// What of measured transfers, exchanges and collectives was waiting, from times set by hand.

#include "runtime/train/StepWaits.h"
#include "test/unit/runtime/BundleMaker.h"

#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::rt;
using bundle::Opcode;

namespace {

/// Two pipeline ranks, one replica each.
std::unique_ptr<bundle::BundleT> twoRanks() {
  auto table = trainingTable();
  table->training->data_parallel = table->training->expert_parallel = 1;
  return table;
}

/// The n-th instruction of that opcode in the program of a pipeline rank, from start to end.
StepSpan span(const bundle::BundleT &table, int role, Opcode opcode, int n, std::int64_t start,
              std::int64_t end) {
  const bundle::ProgramT &program = *table.programs[std::size_t(role)];
  const std::size_t at = find(program, opcode, n);
  return {0, program.instructions[at]->stream, std::uint32_t(at), 0, start, end};
}

std::vector<std::vector<std::int64_t>> metIn(const bundle::BundleT &table, const StepSpans &spans) {
  return packed(table, [&](const bundle::Bundle &packed) {
    const StepWaits waits(packed, spans);
    std::vector<std::vector<std::int64_t>> met(spans.size());
    for (std::size_t rank = 0; rank < spans.size(); ++rank)
      for (std::size_t i = 0; i < spans[rank].size(); ++i)
        met[rank].push_back(waits.met(int(rank), i));
    return met;
  });
}

using Met = std::vector<std::vector<std::int64_t>>;

TEST(StepWaits, ATransferBeginsWhenBothAreThere) {
  auto table = twoRanks();
  EXPECT_EQ(metIn(*table, {{span(*table, 0, Opcode::send, 0, 10, 50)},
                           {span(*table, 1, Opcode::receive, 0, 30, 55)}}),
            (Met{{30}, {30}}));
}

TEST(StepWaits, ASendThatEndsBeforeWaitsForNobody) {
  auto table = twoRanks();
  EXPECT_EQ(metIn(*table, {{span(*table, 0, Opcode::send, 0, 10, 20)},
                           {span(*table, 1, Opcode::receive, 0, 30, 35)}}),
            (Met{{10}, {30}}));
}

TEST(StepWaits, ABatchBeginsWithItsFirstMessage) {
  // Rank 0's second batch sends y1 and receives dy0; rank 1 has them in one batch, too. That waits
  // for nobody, since rank 0 came before.
  auto table = twoRanks();
  const StepSpans spans = {
      {span(*table, 0, Opcode::send, 0, 10, 50), span(*table, 0, Opcode::send, 1, 60, 120),
       span(*table, 0, Opcode::receive, 1, 121, 200)},
      {span(*table, 1, Opcode::receive, 0, 5, 50), span(*table, 1, Opcode::send, 0, 80, 120),
       span(*table, 1, Opcode::send, 1, 180, 199)}};
  EXPECT_EQ(metIn(*table, spans), (Met{{10, 80, 180}, {10, 80, 180}}));
}

TEST(StepWaits, WorkWaitsForNobody) {
  auto table = twoRanks();
  EXPECT_EQ(metIn(*table, {{span(*table, 0, Opcode::launch, 0, 10, 50)},
                           {span(*table, 1, Opcode::launch, 0, 30, 55)}}),
            (Met{{10}, {30}}));
}

TEST(StepWaits, CollectivesWaitForTheLastOfTheirGroup) {
  auto table = trainingTable(); // two pipeline ranks with two replicas
  auto group = std::make_unique<bundle::GroupT>();
  group->pipeline_ranks = {0, 1};
  table->groups.push_back(std::move(group));
  for (const auto &program : table->programs) {
    for (Opcode opcode : {Opcode::scatter_rows, Opcode::all_reduce, Opcode::all_reduce}) {
      auto instruction = std::make_unique<bundle::InstructionT>();
      instruction->opcode = opcode;
      instruction->group = opcode == Opcode::all_reduce ? 0 : -1;
      program->instructions.push_back(std::move(instruction));
    }
  }
  StepSpans spans;
  // Spans come by stream, so maybe not in the order of the program; the second all_reduce is first.
  for (int rank = 0; rank < 4; ++rank)
    spans.push_back({span(*table, rank / 2, Opcode::all_reduce, 1, 50 + rank, 90),
                     span(*table, rank / 2, Opcode::scatter_rows, 0, 10 + rank, 30),
                     span(*table, rank / 2, Opcode::all_reduce, 0, 40 - rank, 49)});
  // All four sum; rows go between the replicas of one pipeline rank.
  EXPECT_EQ(metIn(*table, spans), (Met{{53, 11, 40}, {53, 11, 40}, {53, 13, 40}, {53, 13, 40}}));
}

} // namespace
