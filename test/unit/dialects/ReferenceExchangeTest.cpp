// SPDX-License-Identifier: Apache-2.0
//
// What a member of an expert group does by itself, by hand: the layout of an exchange, the order of
// what was received, the sum over members.

#include "test/unit/dialects/TestFunction.h"

#include <gtest/gtest.h>

using namespace hadal::reference;

namespace {

using Ids = std::vector<int64_t>;

/// The first elements: what is behind them is undefined.
Ids first(const TensorPtr &tensor, size_t count) {
  return Ids(tensor->integers.begin(), tensor->integers.begin() + int64_t(count));
}

// --- exchange_layout ---

TEST(ReferenceExchange, Layout) {
  TestModule module(R"(
    func.func @f(%e: tensor<1x3x2xi32>)
        -> (tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) {
      %c, %o, %t, %s = hadal.exchange_layout %e {expert_count = 4 : i64, members = 2 : i64}
          : tensor<1x3x2xi32>
      return %c, %o, %t, %s : tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>
    })");
  // Token 0 goes to both, token 1 with both its experts to member 1, token 2 to member 0.
  Interpreter::Values found = module.call("f", {integers({1, 3, 2}, {0, 2, 2, 3, 0, 1})});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]->integers, (Ids{2, 2, 3, 3}));
  EXPECT_EQ(found[1]->integers, (Ids{0, 2, 4}));
  EXPECT_EQ(found[2]->integers, (Ids{0, 2, 0, 1, -1, -1}));
  EXPECT_EQ(found[3]->integers, (Ids{0, 2, -1, 3, 1, -1}));
}

constexpr const char *kThreeMembers = R"(
    func.func @f(%e: tensor<2x2x1xi32>)
        -> (tensor<2x3xi64>, tensor<4xi64>, tensor<4xi32>, tensor<2x2x3xi32>) {
      %c, %o, %t, %s = hadal.exchange_layout %e {expert_count = 6 : i64, members = 3 : i64}
          : tensor<2x2x1xi32>
      return %c, %o, %t, %s : tensor<2x3xi64>, tensor<4xi64>, tensor<4xi32>, tensor<2x2x3xi32>
    })";

TEST(ReferenceExchange, LayoutWhereOneExpertGetsAllTokens) {
  TestModule module(kThreeMembers);
  Interpreter::Values found = module.call("f", {integers({2, 2, 1}, {3, 3, 3, 3})});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]->integers, (Ids{0, 4, 0, 0, 4, 0}));
  EXPECT_EQ(found[1]->integers, (Ids{0, 0, 4, 4}));
  EXPECT_EQ(found[2]->integers, (Ids{0, 1, 2, 3}));
  EXPECT_EQ(found[3]->integers, (Ids{-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1}));
}

TEST(ReferenceExchange, LayoutWhereAMemberGetsNone) {
  TestModule module(kThreeMembers);
  Interpreter::Values found = module.call("f", {integers({2, 2, 1}, {5, 0, 1, 5})});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]->integers, (Ids{2, 0, 2, 2, 0, 2}));
  EXPECT_EQ(found[1]->integers, (Ids{0, 2, 2, 4}));
  EXPECT_EQ(found[2]->integers, (Ids{1, 2, 0, 3}));
  EXPECT_EQ(found[3]->integers, (Ids{-1, -1, 2, 0, -1, -1, 1, -1, -1, -1, -1, 3}));
}

TEST(ReferenceExchange, LayoutRefusesAnUnknownExpert) { // C2
  TestModule module(kThreeMembers);
  module.call("f", {integers({2, 2, 1}, {5, 0, 6, 5})});
  EXPECT_EQ(module.lastError(), "'hadal.exchange_layout' op expected experts from 0 to 5, found 6 "
                                "at flat index 2");
}

// --- sort_received ---

class SortReceived : public testing::Test {
protected:
  /// Of two members, the one with experts 2 and 3.
  Interpreter::Values sort(Ids experts, Ids received) {
    return module.call("f", {integers({4, 2}, std::move(experts)),
                             integers({2, 3}, std::move(received)), integerScalar(2)});
  }

  TestModule module{R"(
    func.func @f(%e: tensor<4x2xi32>, %r: tensor<2x3xi64>, %first: tensor<i32>)
        -> (tensor<3xi64>, tensor<8xi32>, tensor<4x2xi32>) {
      %o, %s, %l = hadal.sort_received %e, %r, %first {expert_count = 2 : i64}
          : tensor<4x2xi32>, tensor<2x3xi64>, tensor<i32>
      return %o, %s, %l : tensor<3xi64>, tensor<8xi32>, tensor<4x2xi32>
    })"};
};

TEST_F(SortReceived, ByExpertThenRow) {
  Interpreter::Values found = sort({3, 0, 2, 3, 1, 2, 9, 9}, {0, 2, 3, 0, 3, 4});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]->integers, (Ids{0, 2, 4}));
  EXPECT_EQ(first(found[1], 4), (Ids{2, 5, 0, 3}));
  EXPECT_EQ(first(found[2], 6), (Ids{2, -1, 0, 3, -1, 1}));
}

TEST_F(SortReceived, NothingReceived) {
  Interpreter::Values found = sort({2, 3, 2, 3, 2, 3, 2, 3}, {0, 0, 0, 0, 0, 0});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]->integers, (Ids{0, 0, 0}));
}

TEST_F(SortReceived, OneExpertGetsAllRows) {
  Interpreter::Values found = sort({3, 0, 3, 1, 0, 3, 1, 3}, {0, 1, 4, 0, 1, 4});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]->integers, (Ids{0, 0, 4}));
  EXPECT_EQ(first(found[1], 4), (Ids{0, 2, 5, 7}));
  EXPECT_EQ(found[2]->integers, (Ids{0, -1, 1, -1, -1, 2, -1, 3}));
}

TEST_F(SortReceived, EveryPlaceIsTaken) {
  Interpreter::Values found = sort({3, 2, 2, 3, 2, 3, 3, 2}, {0, 2, 4, 0, 4, 8});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]->integers, (Ids{0, 4, 8}));
  EXPECT_EQ(found[1]->integers, (Ids{1, 2, 4, 7, 0, 3, 5, 6}));
  EXPECT_EQ(found[2]->integers, (Ids{4, 0, 1, 5, 2, 6, 7, 3}));
}

TEST_F(SortReceived, RefusesMoreRowsThanThereAre) { // C2
  sort({3, 4, 2, 3, 1, 2, 0, 1}, {0, 2, 5, 0, 3, 4});
  EXPECT_EQ(module.lastError(),
            "'hadal.sort_received' op expected at most 4 received rows, found 5");
}

TEST_F(SortReceived, RefusesOtherRoutedRowsThanTheCountsSay) {
  sort({3, 0, 2, 3, 1, 2, 9, 9}, {0, 2, 3, 0, 3, 5});
  EXPECT_EQ(module.lastError(), "'hadal.sort_received' op expected 5 routed rows, found 4");
}

// --- combine_members ---

class CombineMembers : public testing::Test {
protected:
  Interpreter::Values combine(std::vector<double> rows, Ids slot,
                              Precision precision = Precision::F64) {
    return module.call("f", {reals({5, 1}, std::move(rows)), integers({1, 2, 3}, std::move(slot))},
                       precision);
  }

  TestModule module{R"(
    func.func @f(%r: tensor<5x1xf32>, %s: tensor<1x2x3xi32>) -> tensor<1x2x1xf32> {
      %y = hadal.combine_members %r, %s : tensor<5x1xf32>, tensor<1x2x3xi32>
      return %y : tensor<1x2x1xf32>
    })"};
};

TEST_F(CombineMembers, AddsTheRowsOfATokenAlone) {
  Interpreter::Values found = combine({1, 20, 300, NAN, NAN}, {-1, 1, -1, 0, -1, 2});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->reals, (std::vector<double>{20, 301}));
}

TEST_F(CombineMembers, AddsMembersInAscendingOrder) {
  // 2^24 + 1 is no f32: it rounds to 2^24, and 1 + 1 does not.
  const double large = 16777216;
  Interpreter::Values found = combine({large, 1, 1, 1, large}, {0, 1, 2, 2, 3, 4}, Precision::F32);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]->reals, (std::vector<double>{large, large + 2}));
}

TEST_F(CombineMembers, RefusesARowThatIsNotThere) {
  combine({1, 2, 3, 4, 5}, {0, 1, 2, 3, 5, -1});
  EXPECT_EQ(module.lastError(),
            "'hadal.combine_members' op expected send_slot from -1 to 4, found 5");
}

} // namespace
