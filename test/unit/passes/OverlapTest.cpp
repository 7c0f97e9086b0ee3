// SPDX-License-Identifier: Apache-2.0
//
// Orders of components inside an overlapped pair.

#include "passes/Schedule/Overlap.h"

#include <gtest/gtest.h>

#include <string>

using namespace hadal::pipe;

namespace {

using Steps = std::vector<OverlapStep>;

OverlapStep step(ComponentKind kind, ComponentPhase phase, int64_t layer, double cost = 1,
                 std::vector<size_t> after = {}) {
  return {kind, phase, layer, cost, std::move(after)};
}

constexpr auto F = ComponentPhase::Forward, B = ComponentPhase::Backward,
               W = ComponentPhase::WeightGradient;
constexpr auto Attention = ComponentKind::Attention, Dispatch = ComponentKind::Dispatch,
               Mlp = ComponentKind::Mlp, Combine = ComponentKind::Combine,
               Other = ComponentKind::Other;

/// A chunk of these layers, each step behind the last but for weight gradients.
Steps forwardChunk(std::vector<int64_t> layers, double exchange = 1) {
  Steps steps;
  for (int64_t layer : layers)
    for (ComponentKind kind : {Attention, Dispatch, Mlp, Combine}) {
      std::vector<size_t> after;
      if (!steps.empty())
        after.push_back(steps.size() - 1);
      double cost = kind == Dispatch || kind == Combine ? exchange : 1;
      steps.push_back(step(kind, F, layer, cost, after));
    }
  return steps;
}

Steps backwardChunk(std::vector<int64_t> layers, double exchange = 1) {
  Steps steps;
  std::vector<size_t> last;
  for (int64_t layer : layers)
    for (auto [kind, phase] :
         {std::pair(Combine, B), std::pair(Mlp, B), std::pair(Mlp, W), std::pair(Dispatch, B),
          std::pair(Other, B), std::pair(Attention, B), std::pair(Attention, W)}) {
      double cost = kind == Dispatch || kind == Combine ? exchange : 1;
      steps.push_back(step(kind, phase, kind == Other ? -1 : layer, cost, last));
      if (phase == B)
        last = {steps.size() - 1};
    }
  return steps;
}

std::string text(const Steps &forward, const Steps &backward,
                 const std::vector<OverlapSlot> &order) {
  std::string all;
  for (const OverlapSlot &slot : order) {
    const OverlapStep &of = slot.backward ? backward[slot.step] : forward[slot.step];
    const char *names[] = {"attn", "dispatch", "mlp", "combine", "other"};
    all += std::string(all.empty() ? "" : " ") + names[size_t(of.kind)] + "(" +
           "FBW"[size_t(of.phase)] + ")" + (of.layer < 0 ? "" : std::to_string(of.layer));
  }
  return all;
}

TEST(Overlap, PublishedOrderOfOneLayer) {
  Steps forward = forwardChunk({0}), backward = backwardChunk({9});
  EXPECT_EQ(text(forward, backward, overlapAsPublished(forward, backward)),
            "combine(B)9 attn(F)0 mlp(B)9 dispatch(F)0 dispatch(B)9 mlp(W)9 mlp(F)0 other(B) "
            "attn(B)9 attn(W)9 combine(F)0");
}

TEST(Overlap, SurplusRunsAlone) {
  Steps forward = forwardChunk({0, 1}), backward = backwardChunk({9});
  std::string order = text(forward, backward, overlapAsPublished(forward, backward));
  EXPECT_EQ(order.substr(order.find("combine(F)0")),
            "combine(F)0 attn(F)1 dispatch(F)1 mlp(F)1 combine(F)1");
  Steps more = backwardChunk({9, 8, 7});
  order = text(forward, more, overlapAsPublished(forward, more));
  EXPECT_EQ(order.substr(order.find("combine(F)1")),
            "combine(F)1 combine(B)7 mlp(B)7 dispatch(B)7 mlp(W)7 other(B) attn(B)7 attn(W)7");
}

TEST(Overlap, OutsideTheLayers) {
  Steps forward = forwardChunk({0}), backward = backwardChunk({9});
  forward.insert(forward.begin(), step(Other, F, -1));
  forward.push_back(step(Other, F, -1));
  backward.insert(backward.begin(), step(Other, B, -1));
  std::string order = text(forward, backward, overlapAsPublished(forward, backward));
  EXPECT_EQ(order.substr(0, order.find("combine(B)")), "other(F) other(B) ");
  EXPECT_EQ(order.substr(order.find("combine(F)")), "combine(F)0 other(F)");
}

TEST(Overlap, TimeOnTwoStreams) {
  Steps forward = forwardChunk({0}, 2), backward;
  // attn 1, dispatch 2, mlp 1, combine 2, one behind the other.
  EXPECT_DOUBLE_EQ(
      timeOfOverlap(forward, backward, {{false, 0}, {false, 1}, {false, 2}, {false, 3}}), 6);
  backward = {step(Mlp, B, 9, 4)};
  // In turn it waits behind the forward mlp; before that it runs beside the dispatch.
  EXPECT_DOUBLE_EQ(
      timeOfOverlap(forward, backward, {{false, 0}, {false, 1}, {false, 2}, {false, 3}, {true, 0}}),
      8);
  EXPECT_DOUBLE_EQ(
      timeOfOverlap(forward, backward, {{false, 0}, {true, 0}, {false, 1}, {false, 2}, {false, 3}}),
      8);
}

/// A legal order of all steps.
void expectLegal(const Steps &forward, const Steps &backward,
                 const std::vector<OverlapSlot> &order) {
  ASSERT_EQ(order.size(), forward.size() + backward.size());
  std::vector<bool> done[2] = {std::vector<bool>(forward.size()),
                               std::vector<bool>(backward.size())};
  for (const OverlapSlot &slot : order) {
    for (size_t needed : (slot.backward ? backward : forward)[slot.step].after)
      EXPECT_TRUE(done[slot.backward][needed]);
    EXPECT_FALSE(done[slot.backward][slot.step]);
    done[slot.backward][slot.step] = true;
  }
}

TEST(Overlap, SearchIsNeverWorse) {
  for (double exchange : {0.1, 0.5, 1.0, 1.7, 3.0})
    for (int64_t layers : {1, 2, 4}) {
      std::vector<int64_t> up, down;
      for (int64_t layer = 0; layer < layers; ++layer) {
        up.push_back(layer);
        down.insert(down.begin(), layer);
      }
      Steps forward = forwardChunk(up, exchange), backward = backwardChunk(down, exchange);
      std::vector<OverlapSlot> published = overlapAsPublished(forward, backward),
                               searched = searchOverlap(forward, backward);
      expectLegal(forward, backward, published);
      expectLegal(forward, backward, searched);
      EXPECT_LE(timeOfOverlap(forward, backward, searched),
                timeOfOverlap(forward, backward, published));
    }
}

TEST(Overlap, SearchFindsBetter) {
  // The backward chunk computes only: the published order puts it where nothing is hidden.
  Steps forward = forwardChunk({0}, 4), backward;
  for (int i = 0; i < 8; ++i)
    backward.push_back(
        step(Attention, B, 9, 1, i ? std::vector<size_t>{size_t(i - 1)} : std::vector<size_t>()));
  const double published = timeOfOverlap(forward, backward, overlapAsPublished(forward, backward));
  const double searched = timeOfOverlap(forward, backward, searchOverlap(forward, backward));
  EXPECT_LT(searched, published);
  EXPECT_LE(searched, 11); // 10 of exchanges and what they wait for, at most one step late
}

} // namespace
