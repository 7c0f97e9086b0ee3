// SPDX-License-Identifier: Apache-2.0
//
// What is refused of orders and times: the file, the place, what was found, what is allowed.

#include "runtime/simulate/Order.h"
#include "test/unit/runtime/TestFolder.h"

#include <nlohmann/json.hpp>

using namespace hadal::rt;
using nlohmann::json;

namespace {

/// A sound order to break.
json sound() {
  return {{"schedule", "1f1b"},
          {"ranks", 2},
          {"micro_batches", 1},
          {"order",
           {{"F0.0", "[>F0.0@1]", "[<B0.0@1]", "B0.0"},
            {"[<F0.0@0]", "F0.0", "I0.0", "[>B0.0@0]", "W0.0"}}}};
}

json dual() {
  return {{"schedule", "dualpipe"},
          {"ranks", 2},
          {"micro_batches", 2},
          {"order",
           {{"F0.0", "[>F0.0@1 <F1.0@1]", "F1.0", "B1.0", "[>B1.0@1 <B0.0@1]", "B0.0"},
            {"F1.0", "[>F1.0@0 <F0.0@0]", "F0.0", "B0.0", "[>B0.0@0 <B1.0@0]", "B1.0"}}}};
}

std::string refused(const json &order) {
  return refusal([&] { parseOrder(order.dump(), "o.json"); });
}

TEST(OrderErrors, TheSoundOnesPass) {
  EXPECT_EQ(parseOrder(sound().dump(), "o.json").steps[1][3].text(), "[>B0.0@0]");
  EXPECT_EQ(parseOrder(dual().dump(), "o.json").wholeMicroBatch({'F', 1, 0}), 1);
}

TEST(OrderErrors, Keys) {
  json order = sound();
  order["rank"] = 1;
  EXPECT_EQ(refused(order), "o.json: found key \"rank\"; allowed are schedule, ranks, "
                            "micro_batches, order");
  order = sound();
  order.erase("ranks");
  EXPECT_EQ(refused(order),
            "o.json: has no key \"ranks\"; needed are schedule, ranks, micro_batches, order");
  EXPECT_EQ(refused(json::array()), "o.json: found array; an order is an object");
  EXPECT_THAT(refusal([] { parseOrder("{", "o.json"); }), testing::HasSubstr("not valid JSON"));
  EXPECT_EQ(refusal([] { parseOrder("{\"ranks\": 1, \"ranks\": 2}", "o.json"); }),
            "o.json: duplicate JSON key \"ranks\"");
  EXPECT_THAT(refusal([] { loadOrder("not-there.json"); }), testing::HasSubstr("not-there.json"));
}

TEST(OrderErrors, Header) {
  json order = sound();
  order["schedule"] = "gpipe";
  EXPECT_EQ(refused(order),
            "o.json: schedule: found gpipe; allowed are 1f1b, zb1p, dualpipe, dualpipev");
  order["schedule"] = 4;
  EXPECT_EQ(refused(order),
            "o.json: schedule: found 4; allowed are 1f1b, zb1p, dualpipe, dualpipev");
  order = sound();
  order["ranks"] = 0;
  EXPECT_EQ(refused(order), "o.json: ranks: found 0; allowed are 1 to 4096");
  order["ranks"] = "2";
  EXPECT_EQ(refused(order), "o.json: ranks: found \"2\"; allowed are 1 to 4096");
  order = sound();
  order["micro_batches"] = 1e9;
  EXPECT_EQ(refused(order), "o.json: micro_batches: found 1000000000.0; allowed are 1 to 1000000");
  order = dual();
  order["micro_batches"] = 3;
  EXPECT_EQ(refused(order), "o.json: micro_batches: found 3; dualpipe needs an even number");
  order = sound();
  order["order"].push_back(json::array());
  EXPECT_EQ(refused(order),
            "o.json: order: found 3 lists; allowed is one list for each of the 2 ranks");
  order["order"] = 7;
  EXPECT_EQ(refused(order),
            "o.json: order: found number; allowed is one list for each of the 2 ranks");
  order["order"] = {json::array(), "F0.0"};
  EXPECT_EQ(refused(order), "o.json: order[1]: found string; allowed is a list of strings");
}

/// Replaces the first entry of rank 0.
std::string entry(json order, const json &text) {
  order["order"][0][0] = text;
  return refused(order);
}

TEST(OrderErrors, Entries) {
  const std::string parts = "; parts are one of FBIW, the direction and the micro-batch, as F0.3";
  EXPECT_EQ(entry(sound(), 5), "o.json: order[0][0]: found 5; allowed is a string");
  for (const char *text : {"", "F", "X0.0", "F0", "F.0", "F0.", "F0.x", "F-1.0", "F0.0 ", "f0.0",
                           "F0.99999999999999999999", "F0.0.0"})
    EXPECT_EQ(entry(sound(), text).substr(0, 26), "o.json: order[0][0]: found") << text;
  EXPECT_EQ(entry(sound(), "X0.0"), "o.json: order[0][0]: found \"X0.0\"" + parts);
  EXPECT_EQ(entry(sound(), "F1.0"),
            "o.json: order[0][0]: found \"F1.0\"; directions of 1f1b are 0");
  EXPECT_EQ(entry(dual(), "F2.0"),
            "o.json: order[0][0]: found \"F2.0\"; directions of dualpipe are 0 and 1");
  EXPECT_EQ(entry(dual(), "F0.1"),
            "o.json: order[0][0]: found \"F0.1\"; micro-batches of a direction are 0 to 0");
  EXPECT_EQ(entry(dual(), "B0.0+F1.0"),
            "o.json: order[0][0]: found \"B0.0+F1.0\"; a pair is F and B, as F0.3+B1.2");
  EXPECT_EQ(entry(dual(), "F0.0+I1.0"),
            "o.json: order[0][0]: found \"F0.0+I1.0\"; a pair is F and B, as F0.3+B1.2");
}

TEST(OrderErrors, Batches) {
  const std::string form = "; transfers are >PART@RANK (send) and <PART@RANK (receive), as >F0.3@1";
  EXPECT_EQ(entry(sound(), "[>F0.0@1"),
            "o.json: order[0][0]: found \"[>F0.0@1\"; allowed is a batch of transfers, as "
            "[>F0.3@1 <B1.2@1]");
  EXPECT_EQ(entry(sound(), "[ ]"),
            "o.json: order[0][0]: found \"[ ]\"; a batch has one transfer at least");
  EXPECT_EQ(entry(sound(), "[F0.0@1]"), "o.json: order[0][0]: found \"[F0.0@1]\"" + form);
  EXPECT_EQ(entry(sound(), "[>F0.0]"), "o.json: order[0][0]: found \"[>F0.0]\"" + form);
  EXPECT_EQ(entry(sound(), "[>F0.0@x]"), "o.json: order[0][0]: found \"[>F0.0@x]\"" + form);
  EXPECT_EQ(entry(sound(), "[>W0.0@1]"),
            "o.json: order[0][0]: found \"[>W0.0@1]\"; parts are one of FB, the direction and the "
            "micro-batch, as F0.3");
  for (const char *text : {"[>F0.0@2]", "[>F0.0@0]"})
    EXPECT_EQ(entry(sound(), text), "o.json: order[0][0]: found \"" + std::string(text) +
                                        "\"; allowed are ranks 0 to 1 but the own");
}

TEST(OrderErrors, Sequence) {
  json order = sound();
  order["order"][0] = {"B0.0", "F0.0"};
  EXPECT_EQ(refused(order), "o.json: order[0][0]: found B0.0 before F0.0; allowed is after it");
  order = sound();
  order["order"][1] = {"[<F0.0@0]", "F0.0", "W0.0", "I0.0"};
  EXPECT_EQ(refused(order), "o.json: order[1][2]: found W0.0 before I0.0; allowed is after it");
  order["order"][1] = {"[<F0.0@0]", "F0.0", "B0.0", "I0.0"};
  EXPECT_EQ(refused(order),
            "o.json: order[1][3]: found I0.0 after its other form; allowed is one of B and I");
  order = sound();
  order["order"][0].push_back("F0.0");
  EXPECT_EQ(refused(order),
            "o.json: order[0][4]: found F0.0 a second time; allowed is once on a rank");
  order = sound();
  order["order"][0] = {"F0.0", "B0.0"};
  EXPECT_EQ(refused(order), "o.json: order[0][1]: found B0.0 before a batch with <B0.0@1; allowed "
                            "is after it");
  order["order"][0] = {"[>F0.0@1]", "F0.0"};
  EXPECT_EQ(refused(order), "o.json: order[0][0]: found >F0.0@1 before F0.0; allowed is after it");
}

TEST(OrderErrors, TheFoldTurnsRound) {
  json order = {{"schedule", "dualpipev"}, {"ranks", 1}, {"micro_batches", 1}};
  order["order"] = {{"F0.0", "F1.0", "B1.0", "B0.0"}};
  EXPECT_EQ(parseOrder(order.dump(), "o.json").steps[0].size(), 4u);
  order["order"] = {{"F1.0", "F0.0", "B1.0", "B0.0"}};
  EXPECT_EQ(refused(order),
            "o.json: order[0][0]: found F1.0 before F0.0, which hands it its input; "
            "allowed is after it");
  order["order"] = {{"F0.0", "F1.0", "B0.0", "B1.0"}};
  EXPECT_EQ(refused(order),
            "o.json: order[0][2]: found B0.0 before B1.0, which hands it its input; "
            "allowed is after it");
}

TEST(OrderErrors, Completeness) {
  json order = sound();
  order["order"][0] = {"F0.0", "[>F0.0@1]"};
  EXPECT_EQ(refused(order), "o.json: order[0]: has no B0.0 or I0.0; every rank computes each "
                            "micro-batch of each direction");
  order["order"][0] = json::array();
  EXPECT_EQ(refused(order), "o.json: order[0]: has no F0.0; every rank computes each micro-batch "
                            "of each direction");
  order = sound();
  order["order"][1].erase(4);
  EXPECT_EQ(refused(order), "o.json: order[1]: has no W0.0; every rank computes each micro-batch "
                            "of each direction");
}

TEST(OrderErrors, Traffic) {
  json order = sound();
  order["order"][0].insert(order["order"][0].begin() + 1, "[>F0.0@1]");
  EXPECT_EQ(refused(order), "o.json: order[0][2]: found >F0.0@1 a second time; allowed is once");
  order = sound();
  order["order"][0].erase(1);
  EXPECT_EQ(
      refused(order),
      "o.json: order: transfer 0 from rank 0 to rank 1: the one sends nothing more, the other "
      "receives F0.0 (order[1][0]); allowed is the same");
  order = sound();
  order["order"][1][3] = "[<B0.0@0]";
  EXPECT_EQ(refused(order), "o.json: order[1][3]: found <B0.0@0; in 1f1b B0.0 of rank 1 takes "
                            "nothing from rank 0");
  order = sound();
  order["order"][1].push_back("[>F0.0@0]");
  EXPECT_EQ(refused(order), "o.json: order[1][5]: found >F0.0@0; rank 0 has no use for it in 1f1b");
  order = sound();
  order["order"][1][0] = "[<F0.0@0 <F0.0@0]";
  EXPECT_EQ(refused(order), "o.json: order[1][0]: found <F0.0@0 a second time; allowed is once");
}

TEST(OrderErrors, SendsInAnotherOrderThanReceives) {
  json order = {{"schedule", "1f1b"}, {"ranks", 2}, {"micro_batches", 2}};
  order["order"] = {{"F0.0", "F0.1", "[>F0.1@1 >F0.0@1]"}, {"[<F0.0@0 <F0.1@0]", "F0.0", "F0.1"}};
  EXPECT_EQ(
      refused(order),
      "o.json: order: transfer 0 from rank 0 to rank 1: the one sends F0.1 (order[0][2]), the "
      "other receives F0.0 (order[1][0]); allowed is the same");
}

TEST(OrderErrors, Deadlock) {
  json order = dual();
  // Each rank waits for the other's forward chunk before it sends its own.
  order["order"][0][1] = "[<F1.0@1]";
  order["order"][0].insert(order["order"][0].begin() + 2, "[>F0.0@1]");
  order["order"][1][1] = "[<F0.0@0]";
  order["order"][1].insert(order["order"][1].begin() + 2, "[>F1.0@0]");
  const Order read = parseOrder(order.dump(), "o.json");
  try {
    simulateOrder(read, {1, 1, 1, std::nullopt});
    FAIL() << "no deadlock was found";
  } catch (const RunError &error) {
    EXPECT_EQ(std::string(error.what()),
              "o.json: deadlock: rank 0, compute, [<F1.0@1]: waits for rank 1 to send F1.0; "
              "rank 1, compute, [<F0.0@0]: waits for rank 0 to send F0.0");
  }
}

TEST(OrderErrors, Times) {
  const ChunkTimes times = parseTimes("F=1.5,I=2,W=0,pair=3", true, "--times");
  EXPECT_EQ(times.F, 1.5);
  EXPECT_EQ(times.pair.value_or(0), 3);
  EXPECT_FALSE(parseTimes("W=1,I=1,F=1", false, "--times").pair.has_value());
  auto message = [](const std::string &text, bool pair) {
    return refusal([&] { parseTimes(text, pair, "--times"); });
  };
  EXPECT_EQ(message("F=1,I=1,W=1", true),
            "--times: found \"F=1,I=1,W=1\"; needed are F, I, W and pair, as F=1,I=1,W=1,pair=3");
  EXPECT_EQ(message("F=1,I=1", false),
            "--times: found \"F=1,I=1\"; needed are F, I, W, as F=1,I=1,W=1");
  EXPECT_EQ(message("F=1,B=2,I=1,W=1", false),
            "--times: found \"B=2\"; allowed are F, I, W and pair, as F=1,I=1,W=1,pair=3 (B is I + "
            "W)");
  EXPECT_EQ(message("F=1,F=1,I=1,W=1", false), "--times: gives F twice");
  for (const char *value : {"-1", "x", "", "1x", "nan", "inf", "1e300"})
    EXPECT_EQ(message("F=" + std::string(value) + ",I=1,W=1", false),
              "--times: found F=" + std::string(value) + "; allowed are 0 to 1e12");
}

} // namespace
