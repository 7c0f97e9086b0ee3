// SPDX-License-Identifier: Apache-2.0
//
// Simulated orders: the reference orders at unit times, and the closed formulas for random sizes
// and times of the orders that the compiler makes.

#include "passes/Schedule/Order.h"
#include "runtime/simulate/Order.h"
#include "runtime/simulate/Report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <random>
#include <sstream>

using namespace hadal::rt;

namespace {

Order reference(const std::string &name) {
  return loadOrder(std::string(HADAL_TEST_DIR) + "/schedules/" + name + ".json");
}

/// What the compiler makes.
Order made(const std::string &schedule, int ranks, int microBatches) {
  nlohmann::json json{{"schedule", schedule},
                      {"ranks", ranks},
                      {"micro_batches", microBatches},
                      {"order", hadal::pipe::orderOf(schedule, ranks, microBatches)}};
  return parseOrder(json.dump(), schedule);
}

ChunkTimes unit(double pair) { return {1, 1, 1, pair}; }

void expectRun(const Order &order, double pair, double makespan, double bubble) {
  const OrderRun run = simulateOrder(order, unit(pair));
  EXPECT_DOUBLE_EQ(run.makespan, makespan) << order.file << ", pair=" << pair;
  EXPECT_DOUBLE_EQ(run.largestBubble(), bubble) << order.file << ", pair=" << pair;
  EXPECT_DOUBLE_EQ(closedForm(order, unit(pair)).value().bubble, bubble) << order.file;
}

TEST(OrderRun, KnownMakespans) {
  expectRun(reference("dualpipe-p8-m20"), 3, 66, 6);
  expectRun(reference("dualpipe-p8-m20"), 2, 52, 3);
  expectRun(made("dualpipe", 16, 120), 3, 374, 14);
  expectRun(made("dualpipe", 16, 120), 2, 264, 7);
  expectRun(made("1f1b", 8, 20), 3, 81, 21);
  expectRun(made("zb1p", 8, 20), 3, 67, 7);
}

TEST(OrderRun, ReferenceOrdersMeetTheFormula) {
  int files = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(std::string(HADAL_TEST_DIR) + "/schedules")) {
    const Order order = loadOrder(entry.path().string());
    for (double pair : {2.0, 2.5, 3.0})
      EXPECT_DOUBLE_EQ(simulateOrder(order, unit(pair)).largestBubble(),
                       closedForm(order, unit(pair)).value().bubble)
          << entry.path() << ", pair=" << pair;
    ++files;
  }
  EXPECT_EQ(files, 13);
}

TEST(OrderRun, RandomSizesMeetTheFormula) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const int half = 1 + int(random() % 5), ranks = 1 + int(random() % 10);
    const int more = int(random() % 12);
    const double pair = 2 + double(random() % 5) / 4;
    for (const Order &order :
         {made("dualpipe", 2 * half, 4 * half + 2 * more), made("1f1b", ranks, 1 + more),
          made("dualpipev", ranks, 2 * ranks + more), made("zb1p", ranks, ranks + more)}) {
      const ClosedForm form = closedForm(order, unit(pair)).value();
      EXPECT_EQ(form.holds, "");
      EXPECT_DOUBLE_EQ(simulateOrder(order, unit(pair)).largestBubble(), form.bubble)
          << order.schedule << ", P=" << order.ranks << ", M=" << order.microBatches;
    }
  }
}

// 1F1B has no gap that depends on how I and W share B, so any times will do.
TEST(OrderRun, OneF1BMeetsTheFormulaAtAnyTimes) {
  for (const ChunkTimes &times :
       {ChunkTimes{3, 2, 1, std::nullopt}, ChunkTimes{0.5, 4, 0, std::nullopt}}) {
    const Order order = made("1f1b", 5, 13);
    EXPECT_DOUBLE_EQ(simulateOrder(order, times).largestBubble(),
                     closedForm(order, times).value().bubble);
  }
}

TEST(OrderRun, PeaksOfChunks) {
  const OrderRun dualpipe = simulateOrder(reference("dualpipe-p8-m20"), unit(3));
  const OrderRun folded = simulateOrder(reference("dualpipev-p4-m11"), unit(3));
  for (int rank = 0; rank < 8; ++rank) {
    EXPECT_EQ(dualpipe.ranks[std::size_t(rank)].activations, 9);
    EXPECT_EQ(dualpipe.ranks[std::size_t(rank)].deferred, std::min(rank, 7 - rank) + 1);
  }
  for (const OrderRun::Rank &rank : folded.ranks)
    EXPECT_EQ(rank.activations, 9); // 2P + 1 chunks of half the depth
  const OrderRun zb1p = simulateOrder(made("zb1p", 6, 14), unit(3));
  EXPECT_EQ(zb1p.ranks[0].activations, 6);
}

TEST(OrderRun, ChunksAreInOrderAndBusyTimesAddUp) {
  const Order order = reference("dualpipe-p4-m10");
  const OrderRun run = simulateOrder(order, {1.5, 1.25, 0.75, 3});
  std::vector<double> busy(4), last(4);
  for (const TimedChunk &chunk : run.chunks) {
    const std::size_t rank = std::size_t(chunk.rank);
    EXPECT_GE(chunk.start, last[rank]);
    last[rank] = chunk.end;
    busy[rank] += chunk.end - chunk.start;
  }
  for (std::size_t rank = 0; rank < 4; ++rank) {
    EXPECT_DOUBLE_EQ(run.ranks[rank].busy, busy[rank]);
    EXPECT_DOUBLE_EQ(run.ranks[rank].busy + run.ranks[rank].bubble, run.makespan);
  }
}

TEST(OrderRun, FlowsGoFromMakerToUser) {
  const Order order = reference("dualpipe-p4-m10");
  const OrderRun run = simulateOrder(order, unit(3));
  EXPECT_EQ(run.flows.size(), 2u * 10 * 3); // forward and back over three borders
  for (const auto &[from, to] : run.flows) {
    EXPECT_EQ(std::abs(run.chunks[from].rank - run.chunks[to].rank), 1);
    EXPECT_LE(run.chunks[from].end, run.chunks[to].start);
  }
}

TEST(OrderRun, ForwardOnly) {
  const Order order = parseOrder(R"({"schedule": "1f1b", "ranks": 2, "micro_batches": 2, "order": [
      ["F0.0", "[>F0.0@1]", "F0.1", "[>F0.1@1]"],
      ["[<F0.0@0]", "F0.0", "[<F0.1@0]", "F0.1"]]})",
                                 "forward.json");
  const OrderRun run = simulateOrder(order, {2, 1, 1, std::nullopt});
  EXPECT_DOUBLE_EQ(run.makespan, 6);
  EXPECT_FALSE(closedForm(order, unit(3)).has_value());
  const auto report = nlohmann::json::parse(orderReport(order, run, unit(3)));
  EXPECT_TRUE(report["closed_form_bubble_us"].is_null());
}

TEST(OrderRun, ReportAndTable) {
  const Order order = made("zb1p", 4, 2);
  const OrderRun run = simulateOrder(order, {1, 1, 1, std::nullopt});
  const auto report = nlohmann::json::parse(orderReport(order, run, unit(3)));
  EXPECT_EQ(report["makespan_us"], run.makespan);
  EXPECT_EQ(report["closed_form_bubble_us"], 3);
  ASSERT_EQ(report["ranks"].size(), 4u);
  EXPECT_EQ(report["ranks"][3]["rank"], 3);
  EXPECT_EQ(report["ranks"][3]["busy_us"], 6);
  EXPECT_EQ(report["ranks"][3]["bubble_us"], run.makespan - 6);
  EXPECT_EQ(report["ranks"][3]["exposed_communication_us"], 0);
  EXPECT_EQ(report["ranks"][3]["peak_chunks"]["deferred_weight_gradients"], 2);
  std::ostringstream table;
  printOrder(order, run, {1, 1, 1, std::nullopt}, table);
  EXPECT_NE(table.str().find("closed form (P - 1)(F + I - W) = 3 (made for M >= P)"),
            std::string::npos)
      << table.str();
}

} // namespace
