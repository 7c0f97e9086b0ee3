// SPDX-License-Identifier: Apache-2.0
//
// Chrome traces: the events as a reader gets them.

#include "runtime/trace/ChromeTrace.h"
#include "test/unit/runtime/TestFolder.h"

#include <nlohmann/json.hpp>

using namespace hadal::rt;
using nlohmann::json;

namespace {

/// The events of a trace that `write` writes.
template <typename Write> json events(Write write) {
  TestFolder folder;
  ChromeTrace trace(folder / "t.json");
  write(trace);
  trace.finish();
  std::ifstream file(folder / "t.json");
  return json::parse(file)["traceEvents"];
}

json ofPhase(const json &all, const char *phase) {
  json found = json::array();
  for (const json &event : all)
    if (event["ph"] == phase)
      found.push_back(event);
  return found;
}

TEST(ChromeTrace, AnEmptyOneIsJson) {
  EXPECT_TRUE(events([](ChromeTrace &) {}).empty());
}

TEST(ChromeTrace, NumbersOfProcessesAndTracks) {
  json all = events([](ChromeTrace &trace) {
    for (int rank = 0; rank < 2; ++rank) {
      auto process = trace.process("rank " + std::to_string(rank), rank);
      trace.track(process, "compute");
      trace.track(process, "communication");
    }
  });
  std::set<std::int64_t> threads, processes;
  for (const json &event : all) {
    EXPECT_EQ(event["ph"], "M");
    if (event["name"] == "thread_name")
      EXPECT_TRUE(threads.insert(event["tid"].get<std::int64_t>()).second);
    if (event["name"] == "process_name")
      EXPECT_TRUE(processes.insert(event["pid"].get<std::int64_t>()).second);
  }
  EXPECT_EQ(threads.size(), 4u);
  EXPECT_EQ(processes.size(), 2u);
  for (std::int64_t number : threads)
    EXPECT_FALSE(processes.count(number)) << "would be taken for a main thread";
  EXPECT_FALSE(processes.count(0));
}

TEST(ChromeTrace, SlicesKeepNanosecondsAndTouch) {
  json all = events([](ChromeTrace &trace) {
    auto track = trace.track(trace.process("rank 0", 0), "compute");
    for (int i = 0; i < 100; ++i)
      trace.slice(track, "s", "c", i / 3.0, (i + 1) / 3.0);
    trace.slice(track, "long", "c", 3e9 + 0.0015, 3e9 + 0.004, {{"bytes", "12"}});
  });
  json slices = ofPhase(all, "X");
  ASSERT_EQ(slices.size(), 101u);
  auto ns = [](const json &us) { return std::llround(us.get<double>() * 1000); };
  for (std::size_t i = 1; i < 100; ++i)
    EXPECT_EQ(ns(slices[i]["ts"]), ns(slices[i - 1]["ts"]) + ns(slices[i - 1]["dur"]));
  EXPECT_EQ(ns(slices[100]["ts"]), 3000000000002);
  EXPECT_EQ(ns(slices[100]["dur"]), 2);
  EXPECT_EQ(slices[100]["args"]["bytes"], "12");
}

TEST(ChromeTrace, TextIsEscaped) {
  const std::string odd = "a \"b\" \\ \n\t\x01 \u00b5s";
  json all = events([&](ChromeTrace &trace) {
    auto track = trace.track(trace.process(odd, 0), odd);
    trace.slice(track, odd, odd, 0, 1, {{odd, odd}});
    trace.slice(track, "broken \xff utf-8", "c", 1, 2);
  });
  EXPECT_EQ(all[0]["args"]["name"], odd);
  json slices = ofPhase(all, "X");
  EXPECT_EQ(slices[0]["name"], odd);
  EXPECT_EQ(slices[0]["cat"], odd);
  EXPECT_EQ(slices[0]["args"][odd], odd);
  EXPECT_EQ(slices[1]["name"], "broken \ufffd utf-8");
}

/// Both ends within their slices, the beginning no later than the end.
void expectArrow(double fromStart, double fromEnd, double toStart, double toEnd) {
  json all = events([&](ChromeTrace &trace) {
    auto process = trace.process("rank 0", 0);
    auto from = trace.slice(trace.track(process, "a"), "from", "c", fromStart, fromEnd);
    auto to = trace.slice(trace.track(process, "b"), "to", "c", toStart, toEnd);
    EXPECT_TRUE(trace.flow("message", from, to));
    EXPECT_TRUE(trace.flow("message", from, to));
  });
  json begins = ofPhase(all, "s"), ends = ofPhase(all, "f"), slices = ofPhase(all, "X");
  ASSERT_EQ(begins.size(), 2u);
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_NE(begins[0]["id"], begins[1]["id"]);
  for (std::size_t i = 0; i < 2; ++i) {
    const double leaves = begins[i]["ts"], arrives = ends[i]["ts"];
    EXPECT_EQ(begins[i]["id"], ends[i]["id"]);
    EXPECT_EQ(begins[i]["tid"], slices[0]["tid"]);
    EXPECT_EQ(ends[i]["tid"], slices[1]["tid"]);
    EXPECT_EQ(begins[i]["name"], ends[i]["name"]);
    EXPECT_EQ(begins[i]["cat"], ends[i]["cat"]);
    EXPECT_EQ(ends[i]["bp"], "e");
    EXPECT_LE(leaves, arrives);
    EXPECT_GE(leaves, fromStart);
    EXPECT_LT(leaves, fromEnd);
    EXPECT_GE(arrives, toStart);
    EXPECT_LT(arrives, toEnd);
  }
}

TEST(ChromeTrace, Arrows) {
  expectArrow(0, 1, 1, 2);
  expectArrow(0, 1, 5, 6);
  expectArrow(5, 8, 2, 8);  // the receive waits
  expectArrow(0, 10, 1, 3); // the send goes on
  expectArrow(0, 0.001, 0, 0.001);
}

TEST(ChromeTrace, ArrowsThatCannotBeAreLeftOut) {
  json all = events([](ChromeTrace &trace) {
    auto process = trace.process("rank 0", 0);
    auto first = trace.track(process, "a"), second = trace.track(process, "b");
    auto point = trace.slice(first, "point", "c", 1, 1), later = trace.slice(first, "x", "c", 5, 6),
         early = trace.slice(second, "early", "c", 2, 3);
    EXPECT_FALSE(trace.flow("message", point, later));
    EXPECT_FALSE(trace.flow("message", later, point));
    EXPECT_FALSE(trace.flow("message", later, early)); // back in time
  });
  EXPECT_TRUE(ofPhase(all, "s").empty());
  EXPECT_TRUE(ofPhase(all, "f").empty());
}

TEST(ChromeTraceErrors, Files) {
  EXPECT_THAT(refusal([] { ChromeTrace("/nowhere/t.json"); }),
              testing::HasSubstr("/nowhere/t.json: cannot be written: No such file"));
  ChromeTrace full("/dev/full");
  auto track = full.track(full.process("rank 0", 0), "compute");
  for (int i = 0; i < 1000; ++i)
    full.slice(track, "s", "c", i, i + 1);
  EXPECT_THROW(full.finish(), RunError);
}

} // namespace
