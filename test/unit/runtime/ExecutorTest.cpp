// SPDX-License-Identifier: Apache-2.0
//
// Programs of several streams on local ranks: events, batches of transfers, exchanges with memory
// that counts size, collectives from a bundle's tables, and what a failure says. A function stands
// for the kernels.

#include "runtime/program/Executor.h"
#include "runtime/support/Error.h"
#include "runtime/transport/LocalTransport.h"
#include "test/unit/runtime/BundleMaker.h"
#include "test/unit/runtime/TestFolder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

using namespace hadal::rt;
namespace bundle = hadal::bundle;
using bundle::Opcode;
using bundle::RowCount;
using bundle::StorageKind;
using testing::HasSubstr;

namespace {

/// A bundle file of a table.
class Made {
public:
  explicit Made(const bundle::BundleT &table) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(bundle::Bundle::Pack(builder, &table));
    const std::string path = folder / "test.hadal";
    std::ofstream(path, std::ios::binary)
        << sealBundle(std::string_view(reinterpret_cast<const char *>(builder.GetBufferPointer()),
                                       builder.GetSize()),
                      {});
    opened = std::make_unique<Bundle>(path);
  }
  const Bundle &operator*() const { return *opened; }

private:
  TestFolder folder;
  std::unique_ptr<Bundle> opened;
};

/// What a rank of a test has.
struct TestRank {
  Store &store;
  ThreadPool &pool;
  RankLinks links;
};

/// Runs `body` as every rank; returns what each threw ("" if nothing).
std::vector<std::string> onRanks(const Bundle &bundle, int ranks,
                                 const std::function<void(TestRank &)> &body) {
  LocalWorld world(ranks);
  std::vector<std::string> thrown(static_cast<std::size_t>(ranks));
  std::vector<Watch> watches(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      Watch &watch = watches[std::size_t(rank)];
      world.endpoint(rank).attach(&watch);
      try {
        Store store(bundle);
        ThreadPool pool(1);
        RankProgress progress;
        TestRank own{store, pool, {&world.endpoint(rank), &watch, &progress}};
        body(own);
      } catch (const std::exception &error) {
        thrown[std::size_t(rank)] = error.what();
        for (Watch &other : watches) // what a control plane does
          other.raise("rank " + std::to_string(rank) + " failed", 1);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  return thrown;
}

std::unique_ptr<bundle::BundleT> tableOf(int pipelineRanks, int replicas = 1, int members = 1) {
  auto table = emptyTable(pipelineRanks);
  table->training->data_parallel = replicas;
  table->training->expert_parallel = members;
  return table;
}

/// Rank 0 makes eight values, one a micro-batch, in one buffer that is sent before it is made
/// again; rank 1 sends each back at once, and rank 0 keeps them.
std::unique_ptr<bundle::BundleT> pingPong(std::int64_t received = 16) {
  auto table = tableOf(2);
  ProgramMaker first(*table, "gradients", 0), second(*table, "gradients", 1);
  const auto x = first.arena("x"), y = first.arena("y");
  const auto z = second.arena("z", {4, received});
  for (int m = 0; m < 8; ++m) {
    first.launch("make", {x}, "F", 0, m);
    first.order(kCompute, kPipeline);
    first.transfer(true, x, 1, 2 * m);
    first.transfer(false, y, 1, 2 * m + 1);
    first.order(kPipeline, kCompute);
    const auto kept = first.buffer("kept." + std::to_string(m), StorageKind::output);
    first.add(Opcode::copy, kCompute, {y, kept});
    second.transfer(false, z, 0, 2 * m);
    second.order(kPipeline, kCompute);
    second.launch("use", {z}, "F", 1, m);
    second.order(kCompute, kPipeline);
    second.transfer(true, z, 0, 2 * m + 1);
  }
  return table;
}

/// What launches do instead of their kernels.
void setKernel(Executor &program, const Executor::Pace &kernel) {
  program.setPace([kernel](const bundle::Instruction &instruction) {
    if (instruction.opcode() == Opcode::launch)
      kernel(instruction);
  });
}

TEST(Executor, EventsAndTransfersKeepTheOrder) {
  const Made made(*pingPong());
  const auto thrown = onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    const bool first = rank.links.rank() == 0;
    const View &buffer = program.view(first ? "x" : "z");
    setKernel(program, [&](const bundle::Instruction &instruction) {
      for (std::int64_t i = 0; i < buffer.elements; ++i)
        if (first)
          buffer.as<float>()[i] = float(100 * instruction.micro_batch() + i);
        else
          buffer.as<float>()[i] *= 2;
    });
    for (int run = 0; run < 3; ++run)
      program.run(run);
    if (!first)
      return;
    for (int m = 0; m < 8; ++m) {
      const View &kept = program.view("kept." + std::to_string(m));
      for (std::int64_t i = 0; i < kept.elements; ++i)
        EXPECT_EQ(float(2 * (100 * m + i)), kept.as<float>()[i]);
    }
  });
  EXPECT_EQ(std::vector<std::string>(2), thrown);
}

TEST(Executor, KeepsWhatStreamsDidWhen) {
  const Made made(*pingPong());
  onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    setKernel(program, [](const bundle::Instruction &) {});
    program.run();
    EXPECT_TRUE(program.spans(kCompute).empty());
    program.keepSpans(true);
    program.run();
    for (std::uint32_t stream : {kCompute, kPipeline}) {
      std::int64_t last = 0;
      EXPECT_FALSE(program.spans(stream).empty());
      for (const InstructionSpan &span : program.spans(stream)) {
        EXPECT_LE(last, span.start);
        EXPECT_LE(span.start, span.end);
        last = span.end;
      }
    }
    EXPECT_TRUE(program.spans(kExperts).empty());
  });
}

TEST(Executor, AFailureNamesRankStepInstructionAndShapes) {
  const Made made(*pingPong(15));
  const auto thrown = onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    setKernel(program, [](const bundle::Instruction &) {});
    program.run(7);
  });
  EXPECT_THAT(thrown[1], HasSubstr("rank 1: step 7: program gradients: instruction 0 (receive from "
                                   "pipeline rank 0), z f32 [4, 15]: channel 2: rank 0 sends 256 "
                                   "bytes, rank 1 expects 240"));
  EXPECT_NE("", thrown[0]); // got out of its waits
}

TEST(Executor, AFailedLaunchGetsTheOtherStreamsOut) {
  const Made made(*pingPong());
  const auto thrown = onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    const bool first = rank.links.rank() == 0;
    setKernel(program, [&](const bundle::Instruction &i) {
      if (first && i.micro_batch() == 3)
        throw RunError("this kernel does not work");
    });
    program.run(1);
  });
  EXPECT_THAT(thrown[0], HasSubstr("rank 0: step 1: program gradients: instruction"));
  EXPECT_THAT(thrown[0], HasSubstr("(make, layer 0, micro-batch 3), x f32 [4, 16]: this kernel"));
  EXPECT_THAT(thrown[1], HasSubstr("rank 0 failed"));
}

TEST(Executor, SeveralRanksAreNotRunByOne) {
  const Made made(*pingPong());
  Store store(*made);
  ThreadPool pool(1);
  try {
    Executor program(store, pool, "gradients");
    FAIL() << "nothing was thrown";
  } catch (const InputError &error) {
    EXPECT_THAT(error.what(), HasSubstr("is for several ranks; start them with --local-ranks"));
  }
}

/// Two members: each sends its tokens to where `counts` and `offsets` say, and gets them back.
std::unique_ptr<bundle::BundleT> exchanging(std::int64_t most) {
  auto table = tableOf(1, 2, 2);
  ProgramMaker maker(*table, "gradients", 0);
  const auto send = maker.buffer("send_counts", StorageKind::input, {2, 2}, bundle::DType::i64);
  const auto offsets = maker.buffer("offsets", StorageKind::input, {3}, bundle::DType::i64);
  const auto token = maker.buffer("token", StorageKind::input, {4}, bundle::DType::i32);
  const auto x = maker.buffer("x", StorageKind::input, {4, 16});
  const auto back = maker.buffer("back", StorageKind::output, {4, 16});
  const auto received = maker.arena("received", {2, 3}, bundle::DType::i64);
  const auto there = maker.rows("there", RowCount::received, most);
  const auto routed = maker.rows("routed", RowCount::routed, 8);
  maker.add(Opcode::exchange_counts, kExperts, {send, received});
  for (std::uint32_t buffer : {there, routed})
    maker.add(Opcode::allocate, kExperts, {buffer}).counts = int(received);
  maker.add(Opcode::scatter_rows, kExperts, {x, there, offsets, token, received});
  maker.order(kExperts, kCompute);
  maker.launch("use", {there}).counts = int(received);
  maker.add(Opcode::free, kCompute, {routed});
  maker.order(kCompute, kExperts);
  maker.add(Opcode::gather_rows, kExperts, {there, back, offsets, token, received});
  maker.order(kExperts, kCompute);
  maker.add(Opcode::free, kCompute, {there});
  return table;
}

/// Member 0 keeps token 2 and sends 0, 1, 3; member 1 sends all four.
void fillRoutes(Executor &program, bool first) {
  const std::int64_t counts[2][4] = {{1, 3, 2, 6}, {4, 0, 4, 0}};
  const std::int64_t offsets[2][3] = {{0, 1, 4}, {0, 4, 4}};
  const std::int32_t tokens[2][4] = {{2, 0, 1, 3}, {0, 1, 2, 3}};
  std::copy_n(counts[!first], 4, program.view("send_counts").as<std::int64_t>());
  std::copy_n(offsets[!first], 3, program.view("offsets").as<std::int64_t>());
  std::copy_n(tokens[!first], 4, program.view("token").as<std::int32_t>());
  for (int i = 0; i < 64; ++i)
    program.view("x").as<float>()[i] = float(first ? i : -i);
}

TEST(Executor, RowsGoAndComeBackInMemoryOfTheirSize) {
  const Made made(*exchanging(8));
  const auto thrown = onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    const bool first = rank.links.rank() == 0;
    fillRoutes(program, first);
    std::uint64_t most = 0;
    setKernel(program, [&](const bundle::Instruction &) {
      most = rank.store.memory().current()[std::size_t(MemoryUse::Activations)];
    });
    program.keepSpans(true);
    const std::uint64_t before = rank.store.memory().current()[std::size_t(MemoryUse::Activations)];
    for (int run = 0; run < 2; ++run) {
      std::fill_n(program.view("back").as<float>(), 64, 0.0f);
      program.run(run);
      ASSERT_EQ(1u, program.exchanges().size());
      EXPECT_EQ(first ? 5 : 3, program.exchanges()[0].received);
      EXPECT_EQ(6, program.exchanges()[0].routed);
      // In the order they were sent.
      for (int i = 0; i < 4; ++i) {
        const int token = program.view("token").as<std::int32_t>()[i];
        for (int c = 0; c < 16; ++c)
          EXPECT_EQ(program.view("x").as<float>()[16 * token + c],
                    program.view("back").as<float>()[16 * i + c]);
      }
    }
    EXPECT_EQ(before + (first ? 5 + 6 : 3 + 6) * 64, most);
    EXPECT_EQ(before, rank.store.memory().current()[std::size_t(MemoryUse::Activations)]);
  });
  EXPECT_EQ(std::vector<std::string>(2), thrown);
}

TEST(Executor, MoreRowsThanThereIsRoomForAreRefused) {
  const Made made(*exchanging(4));
  const auto thrown = onRanks(*made, 2, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "gradients", rank.links);
    fillRoutes(program, rank.links.rank() == 0);
    setKernel(program, [](const bundle::Instruction &) {});
    program.run(2);
  });
  EXPECT_THAT(thrown[0], HasSubstr("rank 0: step 2: program gradients: instruction 1 (allocate), "
                                   "there f32 [4, 16]: buffer there: 5 rows arrived; there is room "
                                   "for 4"));
}

std::unique_ptr<bundle::GroupT> groupOf(std::vector<std::uint32_t> ranks) {
  auto group = std::make_unique<bundle::GroupT>();
  group->pipeline_ranks = std::move(ranks);
  return group;
}

/// Two pipeline ranks of two replicas hold a weight of 5 blocks; rank 1 has its second half.
std::unique_ptr<bundle::BundleT> updating() {
  constexpr std::int64_t kBlock = 65536, kElements = 4 * kBlock + 5;
  auto table = tableOf(2, 2, 1);
  table->parameters[0]->shape = {kElements};
  table->storages[0]->bytes = 4 * 2 * kBlock * 4; // 4 windows of 2 blocks
  table->groups.push_back(groupOf({0, 1}));
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    ProgramMaker maker(*table, "update", rank);
    const auto gradient = maker.buffer("gradient", StorageKind::gradient, {kElements});
    const auto weight = maker.buffer("weight", StorageKind::parameter, {kElements});
    const auto shard = maker.buffer("shard", StorageKind::gradient, {2 * kBlock});
    maker.program().buffers[shard]->storage = maker.program().buffers[gradient]->storage;
    maker.program().buffers[shard]->shard_group = 0;
    table->storages[maker.program().buffers[gradient]->storage]->bytes = 4 * 2 * kBlock * 4;
    const auto blocks = maker.arena("blocks", {2}, bundle::DType::f64);
    const auto total = maker.buffer("total", StorageKind::output, {}, bundle::DType::f64);
    const auto counts = maker.buffer("counts.0", StorageKind::state, {3}, bundle::DType::i64);
    auto &sum = maker.add(Opcode::reduce_scatter, kCompute, {gradient, shard});
    sum.group = 0;
    sum.parameters = {0};
    sum.terms = {bundle::Term(0, 0, 0), bundle::Term(1, 1, 0)};
    maker.launch("make", {blocks}, "U");
    auto &squares = maker.add(Opcode::total_squares, kCompute, {blocks, total});
    squares.parameters = {0};
    squares.groups = {0};
    auto &gather = maker.add(Opcode::all_gather, kCompute, {weight});
    gather.group = 0;
    gather.parameters = {0};
    maker.add(Opcode::all_reduce, kCompute, {counts}).group = 0;
  }
  return table;
}

TEST(Executor, CollectivesOfAnUpdate) {
  constexpr std::int64_t kWindow = 2 * 65536, kElements = 2 * kWindow + 5;
  const Made made(*updating());
  const auto thrown = onRanks(*made, 4, [&](TestRank &rank) {
    Executor program(rank.store, rank.pool, "update", rank.links);
    const int me = rank.links.rank();
    float *gradient = program.view("gradient").as<float>(),
          *weight = program.view("weight").as<float>();
    auto value = [](int of, std::int64_t i) { return 0.1f * float(of + 1) + float(i % 1000); };
    for (std::int64_t i = 0; i < kElements; ++i)
      gradient[i] = value(me, i);
    for (std::int64_t i = me * kWindow; i < std::min(kElements, (me + 1) * kWindow); ++i)
      weight[i] = float(i + me);
    program.view("counts.0").as<std::int64_t>()[1] = me + 1;
    setKernel(program, [&](const bundle::Instruction &) {
      program.view("blocks").as<double>()[0] = 1 + me;
      program.view("blocks").as<double>()[1] = 1e-17;
    });
    program.run(1);
    EXPECT_EQ(gradient + me * kWindow, program.view("shard").as<float>());
    for (std::int64_t i = me * kWindow; i < std::min(kElements, (me + 1) * kWindow); ++i)
      ASSERT_EQ((value(0, i) + value(1, i)) + (value(2, i) + value(3, i)), gradient[i]);
    for (std::int64_t i = 0; i < kElements; ++i)
      ASSERT_EQ(float(i + std::int64_t(i / kWindow)), weight[i]);
    EXPECT_EQ(1.0 + 1e-17 + 2 + 1e-17 + 3 + 1e-17 + 4 + 1e-17, program.scalar("total"));
    EXPECT_EQ(10, program.view("counts.0").as<std::int64_t>()[1]);
  });
  EXPECT_EQ(std::vector<std::string>(4), thrown);
}

} // namespace
