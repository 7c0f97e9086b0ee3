// SPDX-License-Identifier: Apache-2.0
//
// Validation of bundles: a sound one is proved, and each rule is broken once.

#include "test/unit/runtime/BundleMaker.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <algorithm>

using namespace hadal;
using namespace hadal::rt;
using bundle::Opcode;
using testing::HasSubstr;
using Table = std::unique_ptr<bundle::BundleT>;

namespace {

bundle::ProgramT &program(const Table &table, std::size_t i) { return *table->programs[i]; }

void move(bundle::ProgramT &program, std::size_t from, std::size_t to) {
  auto begin = program.instructions.begin();
  if (from < to)
    std::rotate(begin + std::ptrdiff_t(from), begin + std::ptrdiff_t(from) + 1,
                begin + std::ptrdiff_t(to) + 1);
  else
    std::rotate(begin + std::ptrdiff_t(to), begin + std::ptrdiff_t(from),
                begin + std::ptrdiff_t(from) + 1);
}

void erase(bundle::ProgramT &program, std::size_t at) {
  program.instructions.erase(program.instructions.begin() + std::ptrdiff_t(at));
}

/// The launch of a component, by name.
std::size_t launchOf(const Table &table, std::size_t rank, const std::string &name, int n) {
  const bundle::ProgramT &in = program(table, rank);
  for (std::size_t i = 0; i < in.instructions.size(); ++i)
    if (in.instructions[i]->opcode == Opcode::launch &&
        table->components[in.instructions[i]->component]->name == name && n-- == 0)
      return i;
  ADD_FAILURE() << "no launch of " << name;
  return 0;
}

TEST(Validate, ASoundBundleIsProved) {
  const Validation proof = proofOf(*trainingTable());
  EXPECT_EQ(proof.error, "");
  ASSERT_EQ(proof.programs.size(), 1u);
  EXPECT_EQ(proof.programs[0].ranks, 2u);
  EXPECT_EQ(proof.programs[0].transfers, 4u);
  EXPECT_EQ(proof.programs[0].phases, 12u);
  ASSERT_TRUE(proof.programs[0].bubble);
  EXPECT_DOUBLE_EQ(proof.programs[0].bubble->measured, 3);
  EXPECT_DOUBLE_EQ(proof.programs[0].bubble->formula, 3);
}

TEST(Validate, ComponentsSayWhatTheyDo) {
  Table table = trainingTable();
  table->components[0]->access.clear();
  EXPECT_THAT(errorOf(*table), HasSubstr("component block_F: does not say what it does with its "
                                         "operands"));
}

TEST(Validate, EventsAreRecordedOnce) {
  Table table = trainingTable();
  bundle::ProgramT &rank = program(table, 0);
  rank.instructions[find(rank, Opcode::record, 1)]->event = 0;
  EXPECT_THAT(errorOf(*table), HasSubstr("(compute: record event 0) records what instruction"));
}

TEST(Validate, EventsAreRecordedBeforeTheyAreWaitedFor) {
  Table table = trainingTable();
  bundle::ProgramT &rank = program(table, 0);
  move(rank, find(rank, Opcode::wait, 0), find(rank, Opcode::record, 0));
  EXPECT_THAT(errorOf(*table), HasSubstr("program gradients of rank 0: instruction"));
  EXPECT_THAT(errorOf(*table), HasSubstr("waits for what is not recorded before it"));
}

TEST(Validate, BackwardComesBehindForward) {
  Table table = trainingTable();
  move(program(table, 1), launchOf(table, 1, "block_B", 0), launchOf(table, 1, "block_F", 0));
  EXPECT_THAT(errorOf(*table),
              HasSubstr("(compute: launch block_B layer 1 micro-batch 0) starts before the forward "
                        "part of block of layer 1"));
}

TEST(Validate, WeightGradientsComeBehindBackward) {
  Table table = trainingTable();
  move(program(table, 1), launchOf(table, 1, "block_W", 0), launchOf(table, 1, "block_B", 0));
  EXPECT_THAT(errorOf(*table), HasSubstr("starts before the backward part of block of layer 1"));
}

TEST(Validate, WeightGradientsWaitForWhatTheyTake) {
  // What takes nothing from the backward part may come first, in the same chunk.
  Table table = trainingTable();
  const std::size_t at = launchOf(table, 1, "block_W", 0);
  bundle::InstructionT &weights = *program(table, 1).instructions[at];
  weights.operands[0] = 1; // x0
  move(program(table, 1), at, launchOf(table, 1, "block_B", 0));
  EXPECT_EQ(errorOf(*table), "");
  weights.chunk = -1;
  EXPECT_THAT(errorOf(*table), HasSubstr("starts before the backward part of block of layer 1"));
}

TEST(Validate, AnEventOrdersPhasesOfTwoStreams) {
  Table table = trainingTable();
  program(table, 1).instructions[launchOf(table, 1, "block_W", 0)]->stream = kExperts;
  EXPECT_THAT(errorOf(*table), HasSubstr("may start before the forward part of block of layer 1 "
                                         "has ended"));
}

TEST(Validate, ALayersForwardPartsPrecedeItsBackwardParts) {
  // Two components of one layer: the second's forward part behind the first's backward part.
  Table table = trainingTable();
  addComponent(*table, "other_F", {bundle::Access::write});
  bundle::ProgramT &rank = program(table, 1);
  bundle::InstructionT &late = *rank.instructions[launchOf(table, 1, "make", 1)];
  late.component = 5;
  late.micro_batch = 0;
  late.layer = 1;
  late.phase = "F";
  EXPECT_THAT(errorOf(*table),
              HasSubstr("other_F layer 1 micro-batch 0) starts after instruction"));
}

TEST(Validate, AllMicroBatchesHaveTheSameParts) {
  Table table = trainingTable();
  erase(program(table, 0), launchOf(table, 0, "block_W", 1));
  EXPECT_THAT(errorOf(*table),
              HasSubstr("program gradients: the weight gradients of block of layer 0 of "
                        "micro-batch 1 run 0 times; those of micro-batch 0 run 1 times"));
}

TEST(Validate, MicroBatchesAreThoseOfTheStep) {
  Table table = trainingTable();
  table->training->micro_batches = 1;
  EXPECT_THAT(errorOf(*table), HasSubstr("of micro-batch 1 run; there are 1 micro-batches"));
}

TEST(Validate, LaunchesBelongToTheirChunks) {
  Table table = trainingTable();
  program(table, 0).instructions[launchOf(table, 0, "block_F", 1)]->chunk = 0;
  EXPECT_THAT(errorOf(*table), HasSubstr("block_F layer 0 micro-batch 1), phase F, stands in chunk "
                                         "F0.0"));
  table = trainingTable();
  program(table, 0).chunks[0] = "X0.0";
  EXPECT_THAT(errorOf(*table), HasSubstr("chunk 0 is X0.0; expected the form of F0.3"));
}

TEST(Validate, SendsMeetReceives) {
  Table table = trainingTable();
  erase(program(table, 1), find(program(table, 1), Opcode::send, 1));
  EXPECT_THAT(errorOf(*table), HasSubstr("receive dy1 from rank 1) meets no send: rank 1 sends 1 "
                                         "times to rank 0"));
  table = trainingTable();
  erase(program(table, 0), find(program(table, 0), Opcode::receive, 1));
  EXPECT_THAT(errorOf(*table), HasSubstr("meets no receive: rank 0 receives 1 times from rank 1"));
}

TEST(Validate, TransfersAgreeOnTheirTypes) {
  Table table = trainingTable();
  program(table, 1).buffers[1]->shape = {2, 32};
  EXPECT_THAT(errorOf(*table), HasSubstr("f32 [4, 16] is sent, f32 [2, 32] received"));
}

TEST(Validate, TransfersAgreeOnTheirStreams) {
  Table table = trainingTable();
  program(table, 1).instructions[find(program(table, 1), Opcode::receive)]->stream = kExperts;
  EXPECT_THAT(errorOf(*table), HasSubstr("they are on streams 2 and 1"));
}

TEST(Validate, TransfersAreOfOneMicroBatch) {
  Table table = trainingTable();
  bundle::ProgramT &rank = program(table, 1);
  std::swap(rank.instructions[find(rank, Opcode::send, 0)]->operands,
            rank.instructions[find(rank, Opcode::send, 1)]->operands);
  EXPECT_NE(errorOf(*table), "");
  table = trainingTable();
  bundle::ProgramT &first = program(table, 0);
  std::swap(first.instructions[find(first, Opcode::receive, 0)]->operands,
            first.instructions[find(first, Opcode::receive, 1)]->operands);
  EXPECT_THAT(errorOf(*table),
              HasSubstr("a gradient of micro-batch 0 is sent, and used as a gradient of "
                        "micro-batch 1"));
}

TEST(Validate, ADeadlockIsNamed) {
  // Rank 1 wants the second micro-batch before it returns the first; rank 0 the other way round.
  Table table = trainingTable(/*serial=*/true);
  bundle::ProgramT &rank = program(table, 1);
  const std::size_t receive = find(rank, Opcode::receive, 1), send = find(rank, Opcode::send, 0);
  rank.instructions[receive]->batch = 7;
  move(rank, receive, send);
  const std::string error = errorOf(*table);
  EXPECT_THAT(error, HasSubstr("program gradients: deadlock\n"));
  EXPECT_THAT(error, HasSubstr("rank 1: instruction 10 (pipeline: receive x1 from rank 0) waits "
                               "for a send of rank 0"));
  EXPECT_THAT(error, HasSubstr("rank 0: instruction 7 (pipeline: receive dy0 from rank 1) waits "
                               "for a send of rank 1"));
}

TEST(Validate, TransfersOfABatchArePostedTogether) {
  // The same order in one batch: the send does not wait for the receive.
  Table table = trainingTable();
  bundle::ProgramT &rank = program(table, 1);
  move(rank, find(rank, Opcode::receive, 1), find(rank, Opcode::send, 0));
  EXPECT_EQ(errorOf(*table), "");
  // In two batches it does.
  rank.instructions[find(rank, Opcode::receive, 1)]->batch = 7;
  EXPECT_EQ(errorOf(*table), ""); // rank 0 sends both before it waits
}

TEST(Validate, TheBubbleIsThatOfTheSchedule) {
  Table table = trainingTable(/*serial=*/true);
  bundle::ProgramT &rank = program(table, 1);
  rank.instructions[find(rank, Opcode::receive, 1)]->batch = 7; // behind the send
  EXPECT_THAT(errorOf(*table), HasSubstr("its largest bubble at unit times is 6; the closed form "
                                         "(P - 1)(F + B) of 1f1b gives 3"));
}

} // namespace
