// SPDX-License-Identifier: Apache-2.0
//
// Validation of memory and of collectives, and the memory that a rank needs: a sound bundle, and
// each rule broken once.

#include "runtime/program/MemoryNeed.h"
#include "test/unit/runtime/BundleMaker.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <algorithm>

using namespace hadal;
using namespace hadal::rt;
using bundle::Opcode;
using bundle::StorageKind;
using testing::HasSubstr;
using Table = std::unique_ptr<bundle::BundleT>;

namespace {

void erase(bundle::ProgramT &program, std::size_t at) {
  program.instructions.erase(program.instructions.begin() + std::ptrdiff_t(at));
}

/// One pipeline rank of two replicas that exchange the rows of 8 tokens: 16 may arrive.
Table exchangeTable() {
  Table table = emptyTable(1);
  addComponent(*table, "transform", {bundle::Access::read, bundle::Access::write});
  ProgramMaker maker(*table, "evaluate", 0);
  using D = bundle::DType;
  const auto x = maker.arena("x", {8, 16}), back = maker.arena("back", {16, 16}),
             sendCounts = maker.arena("send_counts", {2, 2}, D::i64),
             received = maker.arena("received", {2, 3}, D::i64),
             offsets = maker.arena("send_offsets", {3}, D::i64),
             token = maker.arena("send_token", {16}, D::i32),
             in = maker.rows("in", bundle::RowCount::received, 16),
             out = maker.rows("out", bundle::RowCount::received, 16);
  for (std::uint32_t buffer : {x, sendCounts, offsets, token})
    maker.launch("make", {buffer}, "E");
  maker.order(kCompute, kExperts);
  maker.add(Opcode::exchange_counts, kExperts, {sendCounts, received});
  maker.order(kExperts, kCompute);
  maker.add(Opcode::allocate, kCompute, {in}).counts = int(received);
  maker.order(kCompute, kExperts);
  maker.add(Opcode::scatter_rows, kExperts, {x, in, offsets, token, received});
  maker.order(kExperts, kCompute);
  maker.add(Opcode::allocate, kCompute, {out}).counts = int(received);
  maker.launch("transform", {in, out}, "E").counts = int(received);
  maker.order(kCompute, kExperts);
  maker.add(Opcode::gather_rows, kExperts, {out, back, offsets, token, received});
  maker.order(kExperts, kCompute);
  maker.add(Opcode::free, kCompute, {in});
  maker.add(Opcode::free, kCompute, {out});
  maker.launch("use", {back}, "E");
  return table;
}

/// Two ranks that sum a gradient, add up its square and gather the parameter.
Table updateTable() {
  Table table = emptyTable();
  auto group = std::make_unique<bundle::GroupT>();
  group->pipeline_ranks = {0, 1};
  table->groups.push_back(std::move(group));
  for (std::uint32_t rank : {0u, 1u}) {
    ProgramMaker maker(*table, "update", rank);
    const auto accumulator = maker.buffer("weight", StorageKind::gradient, {4, 16}),
               shard = maker.buffer("weight", StorageKind::gradient, {16}),
               blocks = maker.arena("blocks", {1}, bundle::DType::f64),
               total = maker.arena("total", {}, bundle::DType::f64),
               weight = maker.buffer("weight", StorageKind::parameter, {4, 16}),
               counts = maker.buffer("counts", StorageKind::state, {4}, bundle::DType::i64);
    maker.program().buffers[shard]->shard_group = 0;
    bundle::InstructionT &sum = maker.add(Opcode::reduce_scatter, kCompute, {accumulator, shard});
    sum.group = 0;
    sum.parameters = {0};
    sum.terms = {bundle::Term(0, 0, 0), bundle::Term(1, 1, 0)};
    maker.add(Opcode::all_reduce, kCompute, {counts}).group = 0;
    maker.launch("make", {blocks}, "U");
    bundle::InstructionT &squares = maker.add(Opcode::total_squares, kCompute, {blocks, total});
    squares.parameters = {0};
    squares.groups = {0};
    bundle::InstructionT &gather = maker.add(Opcode::all_gather, kCompute, {weight});
    gather.group = 0;
    gather.parameters = {0};
  }
  return table;
}

TEST(ValidateMemory, NothingIsReadBeforeItIsWritten) {
  Table table = exchangeTable();
  EXPECT_EQ(errorOf(*table), "");
  erase(*table->programs[0], 1); // make(send_counts)
  EXPECT_THAT(errorOf(*table),
              HasSubstr("program evaluate of rank 0: instruction 5 (experts: exchange_counts) "
                        "reads buffer send_counts before anything is written there"));
}

TEST(ValidateMemory, NothingIsReusedWhileItLives) {
  Table table = trainingTable();
  bundle::ProgramT &rank = *table->programs[0];
  rank.buffers[8]->offset = rank.buffers[3]->offset; // y1 in the place of saved0
  EXPECT_THAT(errorOf(*table), HasSubstr("reads buffer saved0, but in its place lies buffer y1 "
                                         "since instruction"));
}

TEST(ValidateMemory, StreamsAreOrderedByEvents) {
  Table table = trainingTable();
  bundle::ProgramT &rank = *table->programs[0];
  erase(rank, find(rank, Opcode::wait, 0)); // of the first send
  EXPECT_THAT(errorOf(*table),
              HasSubstr("(pipeline: send y0 to rank 1) reads buffer y0 while instruction 3 "
                        "(compute: launch block_F layer 0 micro-batch 0) may still use that "
                        "memory: no event orders them"));
  // What is sent may not be overwritten before the batch has ended.
  table = trainingTable();
  bundle::ProgramT &other = *table->programs[0];
  other.buffers[7]->offset = other.buffers[2]->offset; // x1, made at the start, over y0
  std::rotate(other.instructions.begin() + 2, other.instructions.begin() + 3,
              other.instructions.begin() + 7); // made behind the send
  EXPECT_THAT(errorOf(*table),
              HasSubstr("(compute: launch make) writes buffer x1 while instruction 5 "
                        "(pipeline: send y0 to rank 1) may still use"));
}

TEST(ValidateMemory, TransfersOfABatchShareNothing) {
  Table table = trainingTable();
  bundle::ProgramT &rank = *table->programs[1];
  rank.buffers[7]->offset = rank.buffers[5]->offset; // x1 is received where dx0 is sent from
  EXPECT_THAT(errorOf(*table), HasSubstr("(pipeline: receive x1 from rank 0) writes buffer x1 "
                                         "while instruction"));
}

TEST(ValidateMemory, OperandsOfOneLaunchShareNothing) {
  Table table = trainingTable();
  bundle::ProgramT &rank = *table->programs[0];
  rank.buffers[3]->offset = rank.buffers[2]->offset;
  EXPECT_THAT(errorOf(*table),
              HasSubstr("writes buffer saved0 and uses the same memory through another operand"));
}

TEST(ValidateMemory, GradientsAreZeroedFirst) {
  Table table = trainingTable();
  erase(*table->programs[1], find(*table->programs[1], Opcode::zero));
  EXPECT_THAT(errorOf(*table), HasSubstr("reads buffer w1 before anything is written there"));
}

TEST(ValidateMemory, RowsAreUsedBetweenAllocateAndFree) {
  Table table = exchangeTable();
  bundle::ProgramT &program = *table->programs[0];
  erase(program, find(program, Opcode::allocate, 1));
  EXPECT_THAT(errorOf(*table), HasSubstr("(compute: launch transform) uses buffer out, which is "
                                         "not allocated before"));
  table = exchangeTable();
  bundle::ProgramT &early = *table->programs[0];
  std::rotate(early.instructions.begin() + std::ptrdiff_t(find(early, Opcode::gather_rows)) - 2,
              early.instructions.begin() + std::ptrdiff_t(find(early, Opcode::free, 1)),
              early.instructions.begin() + std::ptrdiff_t(find(early, Opcode::free, 1)) + 1);
  EXPECT_THAT(errorOf(*table), HasSubstr("uses buffer out, which is free since instruction"));
  table = exchangeTable();
  erase(*table->programs[0], find(*table->programs[0], Opcode::free));
  EXPECT_THAT(errorOf(*table), HasSubstr("buffer in is allocated and never freed"));
  table = exchangeTable();
  table->programs[0]->instructions[find(*table->programs[0], Opcode::allocate, 1)]->operands = {6};
  EXPECT_THAT(errorOf(*table), HasSubstr("allocates buffer in, which instruction"));
}

TEST(ValidateMemory, RowsAreFreedWhenAllHaveEnded) {
  Table table = exchangeTable();
  bundle::ProgramT &program = *table->programs[0];
  erase(program, find(program, Opcode::wait, 5)); // of the gather
  EXPECT_THAT(errorOf(*table),
              HasSubstr("(compute: free out) writes buffer out while instruction"));
}

TEST(ValidateCollectives, MeetInOneOrder) {
  Table table = updateTable();
  const Validation proof = proofOf(*table);
  EXPECT_EQ(proof.error, "");
  EXPECT_EQ(proof.programs.at(0).collectives, 8u);
  bundle::ProgramT &rank = *table->programs[1];
  std::swap(rank.instructions[0], rank.instructions[1]);
  EXPECT_THAT(errorOf(*table), HasSubstr("(compute: reduce_scatter weight) meets program update of "
                                         "rank 1: instruction 0 (compute: all_reduce counts) in "
                                         "group holders [0, 1]"));
}

TEST(ValidateCollectives, AllMembersMakeTheSameCalls) {
  Table table = updateTable();
  erase(*table->programs[0], find(*table->programs[0], Opcode::all_gather));
  EXPECT_THAT(errorOf(*table), HasSubstr("all_gather weight) is call 3 of group holders [0, 1]: "
                                         "rank 0 makes 2"));
  table = updateTable();
  bundle::ProgramT &rank = *table->programs[1];
  rank.instructions[find(rank, Opcode::reduce_scatter)]->terms = {bundle::Term(0, 1, 0),
                                                                  bundle::Term(1, 0, 0)};
  EXPECT_THAT(errorOf(*table), HasSubstr("terms 0:0:0 1:1:0 on stream 0 and reduce_scatter"));
}

TEST(ValidateCollectives, AreOrderedOnEachMember) {
  Table table = updateTable();
  for (auto &program : table->programs)
    program->instructions[find(*program, Opcode::all_gather)]->stream = kExperts;
  EXPECT_THAT(errorOf(*table), HasSubstr("all_gather weight) may start beside instruction 1 "
                                         "(compute: all_reduce counts) of the same group"));
}

TEST(ValidateCollectives, ADeadlockOfGroupsIsNamed) {
  // Each rank starts with another of two groups.
  Table table = updateTable();
  auto group = std::make_unique<bundle::GroupT>();
  group->pipeline_ranks = {1, 0};
  table->groups.push_back(std::move(group));
  for (auto &program : table->programs)
    program->instructions[1]->group = 1;
  EXPECT_EQ(errorOf(*table), "");
  bundle::ProgramT &rank = *table->programs[1];
  std::swap(rank.instructions[0], rank.instructions[1]);
  const std::string error = errorOf(*table);
  EXPECT_THAT(error, HasSubstr("program update: deadlock"));
  EXPECT_THAT(error, HasSubstr("rank 0: instruction 0 (compute: reduce_scatter weight) waits for "
                               "rank 1 of group holders [0, 1]"));
  EXPECT_THAT(error, HasSubstr("rank 1: instruction 0 (compute: all_reduce counts) waits for rank "
                               "0 of group holders [1, 0]"));
}

TEST(MemoryNeed, ProbabilityOfAMember) {
  EXPECT_DOUBLE_EQ(memberProbability(8, 2, 1, 1, 1), 1);
  EXPECT_DOUBLE_EQ(memberProbability(8, 2, 1, 1, 2), 1 - 6.0 / 28);
  // A member is a group, of which two of four are chosen; then 2 of 4 experts, 1 in 6 pairs misses.
  EXPECT_NEAR(memberProbability(8, 2, 4, 2, 4), 0.5 * (1 - 1.0 / 6), 1e-12);
  // Two groups a member: both, one or none of them chosen.
  EXPECT_NEAR(memberProbability(8, 2, 4, 2, 2), 1.0 / 6 + 4.0 / 6 * (1 - 1.0 / 6), 1e-12);
  // As many as there are: V3's 64 members with 4 experts, 8 of 256 in 4 of 8 groups.
  double misses = 1;
  for (int i = 0; i < 8; ++i)
    misses *= double(124 - i) / double(128 - i);
  EXPECT_NEAR(memberProbability(256, 8, 8, 4, 64), 0.5 * (1 - misses), 1e-12);
}

TEST(MemoryNeed, RowsComeAndGo) {
  Table table = exchangeTable();
  packed(*table, [](const bundle::Bundle &bundle) {
    const MemoryShares balanced = balancedNeed(bundle, 0, {"evaluate"}),
                       worst = memoryNeed(bundle, 0, {"evaluate"}, nullptr);
    // 8 tokens on each of two ranks, 22 of 28 pairs of experts touch a member: 13 rows of 64 bytes.
    const std::uint64_t arena = bundle.storages()->Get(1)->bytes(), frame = 64;
    EXPECT_EQ(balanced.communication, 3 * 13 * 64u);
    EXPECT_EQ(balanced.activations, arena + frame);
    EXPECT_EQ(worst.communication, 3 * 16 * 64u);
    EXPECT_EQ(worst.activations, arena + frame);
    const MemoryShares none =
        memoryNeed(bundle, 0, {"evaluate"}, [](const bundle::Instruction &, const ExchangeRows &) {
          return ExchangeRows();
        });
    EXPECT_EQ(none.communication, 3 * 64u);
    return 0;
  });
}

TEST(MemoryNeed, FramesOfRowsCountAtTheirLaunch) {
  Table table = exchangeTable();
  table->components.back()->received_row_bytes = 8;
  packed(*table, [](const bundle::Bundle &bundle) {
    const std::uint64_t arena = bundle.storages()->Get(1)->bytes(), frame = 64;
    const MemoryShares need = memoryNeed(bundle, 0, {"evaluate"},
                                         [](const bundle::Instruction &, const ExchangeRows &most) {
                                           EXPECT_EQ(most.received, 16);
                                           EXPECT_EQ(most.sent, 16);
                                           return ExchangeRows{3, 3, 3};
                                         });
    EXPECT_EQ(need.activations, arena + frame + 8 * 16);
    return 0;
  });
}

TEST(MemoryNeed, TheWorstCaseHoldsForAnyTiming) {
  // The buffer of the experts' stream may be allocated before the others are freed.
  Table table = exchangeTable();
  ProgramMaker maker(*table, "other", 0);
  const auto counts = maker.arena("received", {2, 3}, bundle::DType::i64),
             a = maker.rows("a", bundle::RowCount::received, 16),
             b = maker.rows("b", bundle::RowCount::received, 16);
  maker.launch("make", {counts}, "E");
  maker.order(kCompute, kExperts);
  for (auto [stream, buffer] : {std::pair(kCompute, a), std::pair(kExperts, b)}) {
    maker.add(Opcode::allocate, stream, {buffer}).counts = int(counts);
    maker.add(Opcode::free, stream, {buffer});
  }
  packed(*table, [](const bundle::Bundle &bundle) {
    auto most = [](const bundle::Instruction &, const ExchangeRows &most) { return most; };
    const std::uint64_t replayed = memoryNeed(bundle, 0, {"other"}, most).total();
    EXPECT_EQ(memoryNeed(bundle, 0, {"other"}, nullptr).total(), replayed + 16 * 64);
    return 0;
  });
}

} // namespace
