// SPDX-License-Identifier: Apache-2.0
//
// What ranks hold: groups, windows, experts, who writes.

#include "runtime/program/Layout.h"
#include "test/unit/runtime/HandMadeBundle.h"
#include "test/unit/runtime/TestFolder.h"

#include <map>

using namespace hadal::rt;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

const HeldTensor *find(const Layout &layout, const std::string &name) {
  for (const HeldTensor &tensor : layout.tensors())
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

class Layouts : public testing::Test {
protected:
  std::unique_ptr<Bundle> make(const TestLayout &layout, bool roles = true) {
    const std::string path = folder / ("b" + std::to_string(made++) + ".hadal");
    writeHandMadeBundle(path, layout, roles);
    return std::make_unique<Bundle>(path, /*execute=*/false);
  }
  TestFolder folder;
  int made = 0;
};

TEST_F(Layouts, GridAndGroups) {
  auto bundle = make({"dualpipe", 4, 4, 2});
  Layout layout(*bundle, 14); // pipeline rank 3, replica 2
  EXPECT_EQ(layout.place().pipelineRank, 3);
  EXPECT_EQ(layout.place().replica, 2);
  EXPECT_EQ(layout.place().member, 0);
  EXPECT_EQ(layout.grid().ranks(), 16);
  EXPECT_THAT(layout.grid().expertGroup(14), ElementsAre(14, 15));
  EXPECT_THAT(layout.grid().expertGroup(13), ElementsAre(12, 13));
  EXPECT_EQ(layout.firstExpert(8), 0);
  EXPECT_EQ(Layout(*bundle, 15).firstExpert(8), 4);
  int holders = -1, expertHolders = -1;
  for (std::uint32_t i = 0; i < countOf(bundle->table().groups()); ++i) {
    const auto &group = *bundle->table().groups()->Get(i);
    if (group.pipeline_ranks()->Get(0) == 3)
      (group.scope() == hadal::bundle::GroupScope::holders ? holders : expertHolders) = int(i);
  }
  ASSERT_GE(holders, 0);
  ASSERT_GE(expertHolders, 0);
  // The rank of direction 0's stage comes first.
  EXPECT_THAT(layout.members(std::uint32_t(holders)), ElementsAre(12, 13, 14, 15, 0, 1, 2, 3));
  EXPECT_EQ(layout.position(std::uint32_t(holders)), 2);
  EXPECT_THAT(layout.members(std::uint32_t(expertHolders)), ElementsAre(12, 14, 0, 2));
  EXPECT_THAT(Layout(*bundle, 3).members(std::uint32_t(expertHolders)), ElementsAre(13, 15, 1, 3));
  EXPECT_EQ(Layout(*bundle, 3).position(std::uint32_t(expertHolders)), 3);
  EXPECT_EQ(Layout(*bundle, 4).position(std::uint32_t(holders)), -1);
}

TEST_F(Layouts, WindowsOfATensor) {
  auto bundle = make({"1f1b", 1, 3, 1});
  // 210,300 elements are 4 blocks: three holders get 2, 2 and 0 of them.
  const std::int64_t begins[] = {0, 131072, 210300}, ends[] = {131072, 210300, 210300};
  for (int rank = 0; rank < 3; ++rank) {
    Layout layout(*bundle, rank);
    const HeldTensor *tensor = find(layout, "model.embed_tokens.weight");
    ASSERT_TRUE(tensor);
    EXPECT_EQ(tensor->begin, begins[rank]);
    EXPECT_EQ(tensor->end, ends[rank]);
    EXPECT_EQ(tensor->momentOffset, 0);
    EXPECT_EQ(tensor->first, rank == 0);
  }
}

TEST_F(Layouts, WindowsBeginWithinExperts) {
  auto bundle = make({"1f1b", 1, 4, 2});
  // A member's 4 experts of 19,781 elements are 79,124: two blocks for two holders.
  Layout layout(*bundle, 3);
  EXPECT_EQ(find(layout, "model.layers.0.mlp.experts.3.up_proj.weight"), nullptr);
  const std::string experts = "model.layers.0.mlp.experts.";
  const HeldTensor *sixth = find(layout, experts + "6.up_proj.weight"),
                   *seventh = find(layout, experts + "7.up_proj.weight");
  ASSERT_TRUE(sixth && seventh);
  EXPECT_EQ(sixth->offset, 2 * 19781);
  EXPECT_EQ(sixth->begin, sixth->end);
  EXPECT_EQ(seventh->begin, 65536 - 3 * 19781);
  EXPECT_EQ(seventh->end, 19781);
  EXPECT_EQ(seventh->momentOffset, 0);
  EXPECT_THAT(seventh->shape, ElementsAre(131, 151));
  Layout other(*bundle, 1);
  const HeldTensor *begun = find(other, experts + "7.up_proj.weight");
  ASSERT_TRUE(begun);
  EXPECT_EQ(begun->begin, 0);
  EXPECT_EQ(begun->end, 65536 - 3 * 19781);
  EXPECT_EQ(begun->momentOffset, 3 * 19781);
  EXPECT_TRUE(begun->first);
}

/// What all ranks of a layout hold of a tensor.
struct Coverage {
  std::int64_t elements = 0;
  int writers = 0;
  std::map<std::int64_t, std::int64_t> parts;
};

TEST_F(Layouts, EveryTensorHasOneWriterAndEveryMomentOneHolder) {
  for (const TestLayout &layout :
       {TestLayout{"1f1b", 1, 1, 1}, TestLayout{"1f1b", 3, 2, 1}, TestLayout{"zb1p", 2, 6, 2},
        TestLayout{"dualpipe", 2, 1, 1}, TestLayout{"dualpipe", 4, 4, 4},
        TestLayout{"dualpipev", 2, 2, 2}, TestLayout{"dualpipe", 2, 8, 8}}) {
    SCOPED_TRACE(layout.text());
    auto bundle = make(layout);
    std::map<std::string, Coverage> all;
    for (int rank = 0; rank < layout.ranks(); ++rank) {
      Layout ranks(*bundle, rank);
      for (const HeldTensor &tensor : ranks.tensors()) {
        Coverage &coverage = all[tensor.name];
        coverage.elements = tensor.elements;
        coverage.writers += tensor.first;
        if (tensor.moment1Storage >= 0 && tensor.begin < tensor.end) {
          EXPECT_TRUE(coverage.parts.emplace(tensor.begin, tensor.end).second) << tensor.name;
        }
      }
    }
    EXPECT_EQ(all.size(), Layout::whole(*bundle).tensors().size());
    for (const auto &[name, coverage] : all) {
      EXPECT_EQ(coverage.writers, 1) << name;
      std::int64_t at = 0;
      for (const auto &[begin, end] : coverage.parts) {
        EXPECT_EQ(begin, at) << name;
        at = end;
      }
      EXPECT_EQ(at, coverage.parts.empty() ? 0 : coverage.elements) << name;
    }
  }
}

TEST_F(Layouts, OneRankWithAndWithoutRoles) {
  auto with = make({}), without = make({}, /*roles=*/false);
  Layout a(*with, 0), b(*without, 0);
  EXPECT_TRUE(a.role());
  EXPECT_FALSE(b.role());
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    EXPECT_EQ(a.tensors()[i].name, b.tensors()[i].name);
    EXPECT_EQ(a.tensors()[i].storage, b.tensors()[i].storage);
    EXPECT_EQ(a.tensors()[i].moment2Storage, b.tensors()[i].moment2Storage);
    EXPECT_EQ(a.tensors()[i].end, a.tensors()[i].elements);
    EXPECT_TRUE(a.tensors()[i].first);
  }
}

TEST_F(Layouts, RefusesRanksThatAreNotThere) {
  auto bundle = make({"1f1b", 2, 2, 1});
  EXPECT_THAT(refusal([&] { Layout(*bundle, 4); }), HasSubstr("is made for 4 ranks"));
  auto bare = make({"1f1b", 2, 2, 1}, /*roles=*/false);
  EXPECT_THAT(refusal([&] { Layout(*bare, 3); }),
              HasSubstr("does not say what pipeline rank 1 holds"));
}

} // namespace
