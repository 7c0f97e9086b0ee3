// SPDX-License-Identifier: Apache-2.0
//
// A measured pair replayed, small pairs by hand, and what is refused of a pair's file.

#include "runtime/simulate/Pair.h"
#include "runtime/simulate/Report.h"
#include "test/unit/runtime/TestFolder.h"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

using namespace hadal::rt;
using nlohmann::json;

namespace {

TEST(Pair, ReplaysTheMeasuredOne) {
  const PairTimes measured = loadPair(std::string(HADAL_TEST_DIR) + "/overlap/h800-ep64-4k.json");
  const PairTimes simulated = simulatePair(measured);
  ASSERT_EQ(simulated.size(), 40u);
  EXPECT_NEAR(makespanOf(simulated), 129000, 0.03 * 129000);
  for (std::size_t i = 0; i < measured.size(); ++i) {
    EXPECT_LE(std::abs(simulated[i].start - measured[i].start), 1500)
        << pairPartName(measured[i].part) << " of layer " << measured[i].layer;
    EXPECT_DOUBLE_EQ(simulated[i].end - simulated[i].start, measured[i].end - measured[i].start);
  }
  const json report = json::parse(pairReport(simulated));
  EXPECT_EQ(report["makespan_us"], makespanOf(simulated));
  EXPECT_EQ(report["components"].size(), 40u);
  EXPECT_EQ(report["components"][1]["component"], "attn(F)");
  std::ostringstream table;
  printPair(measured, simulated, table);
  EXPECT_THAT(table.str(), testing::HasSubstr("measured 129012 us"));
}

json component(int layer, const char *name, double length) {
  return {{"layer", layer}, {"component", name}, {"start_us", 5}, {"end_us", 5 + length}};
}

std::string file(std::initializer_list<json> components) {
  return json{{"components", components}}.dump();
}

/// Starts by name and layer.
std::map<std::string, double> starts(const std::string &text) {
  std::map<std::string, double> found;
  for (const PairComponent &c : simulatePair(parsePair(text, "p.json")))
    found[pairPartName(c.part) + std::to_string(c.layer)] = c.start;
  return found;
}

TEST(Pair, EachWaitsForWhatItNeeds) {
  auto at = starts(
      file({component(0, "combine(B)", 10), component(0, "attn(F)", 1), component(0, "mlp(B)", 2),
            component(0, "dispatch(F)", 4), component(0, "dispatch(B)", 3),
            component(0, "mlp(W)", 2), component(0, "mlp(F)", 1), component(0, "attn(B)", 5),
            component(0, "attn(W)", 1), component(0, "combine(F)", 20)}));
  EXPECT_EQ(at["attn(F)0"], 0);
  EXPECT_EQ(at["mlp(B)0"], 10);      // combine(B)
  EXPECT_EQ(at["dispatch(F)0"], 10); // the stream: attn(F) ended at 1
  EXPECT_EQ(at["dispatch(B)0"], 14); // the stream: mlp(B) ended at 12
  EXPECT_EQ(at["mlp(W)0"], 12);
  EXPECT_EQ(at["mlp(F)0"], 14);  // dispatch(F), the stream too
  EXPECT_EQ(at["attn(B)0"], 17); // dispatch(B)
  EXPECT_EQ(at["attn(W)0"], 22);
  EXPECT_EQ(at["combine(F)0"], 17);
}

TEST(Pair, LayersFollowEachOther) {
  auto at = starts(file({component(0, "attn(F)", 1), component(0, "dispatch(F)", 2),
                         component(0, "mlp(F)", 3), component(0, "combine(F)", 4),
                         component(1, "attn(F)", 1), component(1, "dispatch(F)", 2),
                         component(1, "mlp(F)", 3), component(1, "combine(F)", 4)}));
  EXPECT_EQ(at["combine(F)0"], 6);
  EXPECT_EQ(at["attn(F)1"], 10);
  EXPECT_EQ(at["combine(F)1"], 16);
}

TEST(Pair, ASurplusRunsAloneAndDenseLayersHaveNoTransfers) {
  auto at =
      starts(file({component(0, "attn(F)", 2), component(0, "mlp(F)", 2), component(0, "mlp(B)", 3),
                   component(0, "mlp(W)", 1), component(0, "attn(B)", 1),
                   component(0, "attn(W)", 1), component(1, "mlp(B)", 3), component(1, "mlp(W)", 1),
                   component(1, "attn(B)", 1), component(1, "attn(W)", 1)}));
  EXPECT_EQ(at["mlp(B)0"], 2);
  EXPECT_EQ(at["mlp(F)0"], 6); // behind mlp(B) and mlp(W)
  EXPECT_EQ(at["mlp(B)1"], 10);
  EXPECT_EQ(at["attn(W)1"], 15);
}

std::string refused(const json &pair) {
  return refusal([&] { parsePair(pair.dump(), "p.json"); });
}

json sound() { return {{"components", {component(0, "attn(F)", 1), component(0, "mlp(F)", 2)}}}; }

TEST(PairErrors, Form) {
  EXPECT_EQ(parsePair(sound().dump(), "p.json").size(), 2u);
  EXPECT_EQ(refused(json::array()), "p.json: the pair: found array; allowed is an object");
  EXPECT_EQ(refused(json::object()),
            "p.json: components: needed is a list of one component at least");
  json pair = sound();
  pair["layers"] = 4;
  EXPECT_EQ(refused(pair),
            "p.json: the pair: found key \"layers\"; allowed are source, unit, "
            "pair_span_us, compute_streams_busy_us, comm_stream_busy_us, components");
  pair = sound();
  pair["components"][1] = 5;
  EXPECT_EQ(refused(pair), "p.json: components[1]: found number; allowed is an object");
  pair = sound();
  pair["components"][0]["start"] = 5;
  EXPECT_EQ(refused(pair), "p.json: components[0]: found key \"start\"; allowed are layer, "
                           "component, stream, start_us, end_us, busy_us");
}

TEST(PairErrors, Values) {
  auto with = [](const char *key, const json &value) {
    json pair = sound();
    pair["components"][0][key] = value;
    return refused(pair);
  };
  EXPECT_EQ(with("layer", -1),
            "p.json: components[0].layer: found -1; needed is a number from 0 to 1e15");
  EXPECT_EQ(with("layer", 0.5), "p.json: components[0].layer: found 0.5; allowed are 0 to 100000");
  EXPECT_EQ(with("start_us", "0"),
            "p.json: components[0].start_us: found \"0\"; needed is a number from 0 to 1e15");
  EXPECT_EQ(with("end_us", 4), "p.json: components[0].end_us: found 4, before start_us");
  EXPECT_EQ(with("stream", "comm"),
            "p.json: components[0].stream: found \"comm\"; allowed for attn(F) is \"compute\"");
  EXPECT_EQ(with("component", "attn"),
            "p.json: components[0].component: found \"attn\"; allowed are combine(B), attn(F), "
            "mlp(B), dispatch(F), dispatch(B), mlp(W), mlp(F), attn(B), attn(W), combine(F)");
  json pair = sound();
  pair["components"][1].erase("end_us");
  EXPECT_EQ(refused(pair),
            "p.json: components[1].end_us: found nothing; needed is a number from 0 to 1e15");
}

TEST(PairErrors, Completeness) {
  json pair = sound();
  pair["components"].push_back(component(0, "attn(F)", 1));
  EXPECT_EQ(refused(pair), "p.json: components: found attn(F) of layer 0 twice; allowed is once");
  pair = sound();
  pair["components"].push_back(component(2, "attn(F)", 1));
  EXPECT_EQ(refused(pair), "p.json: components: has none of layer 1; layers are counted from 0 "
                           "without gaps");
  pair = sound();
  pair["components"].push_back(component(0, "dispatch(F)", 1));
  EXPECT_EQ(refused(pair), "p.json: components: layer 0 has dispatch(F) but no combine(F)");
  pair["components"] = {component(0, "mlp(F)", 1)};
  EXPECT_EQ(refused(pair), "p.json: components: layer 0 has mlp(F) but no attn(F)");
  pair["components"] = {component(0, "combine(B)", 1), component(0, "dispatch(B)", 1)};
  EXPECT_EQ(refused(pair), "p.json: components: layer 0 has combine(B) but no mlp(B)");
}

} // namespace
