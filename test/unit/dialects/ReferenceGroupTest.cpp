// SPDX-License-Identifier: Apache-2.0
//
// Rows that move between the members of an expert group, by hand: three tokens each on two members.

#include "dialects/Hadal/Reference/Group.h"
#include "test/unit/dialects/TestFunction.h"

#include <gtest/gtest.h>

using namespace hadal::reference;

namespace {

using Ids = std::vector<int64_t>;
using Rows = std::vector<double>;

/// What a member sends: its tokens, and their layout as hadal.exchange_layout gives it.
struct Sent {
  Rows tokens;
  Ids counts, offsets, order;
  Ids received = {0, 0, 0, 0, 0, 0}; ///< where it is given
};

class ReferenceGroup : public testing::Test {
protected:
  /// Calls a program on two members; an error is kept.
  bool call(llvm::StringRef program, const std::vector<Sent> &members) {
    std::vector<Interpreter::Values> arguments;
    for (Sent member : members) {
      member.order.resize(6, -1);
      arguments.push_back({reals({1, 3, 1}, member.tokens), integers({2, 2}, member.counts),
                           integers({3}, member.offsets), integers({6}, member.order),
                           integers({1, 3, 2}, Ids(6, -1)), integers({2, 3}, member.received)});
    }
    mlir::ScopedDiagnosticHandler handler(
        (*module).getContext(), [&](mlir::Diagnostic &diagnostic) { error = diagnostic.str(); });
    return llvm::succeeded(group.call(program, arguments));
  }

  const Ids &received(int64_t member) { return group[member].outputs.at("received")->integers; }
  /// The first rows of an output: what is behind them is undefined.
  Rows first(int64_t member, const char *name, size_t count) {
    const Rows &all = group[member].outputs.at(name)->reals;
    for (size_t row = count; row < all.size(); ++row)
      EXPECT_TRUE(std::isnan(all[row])) << name << " on member " << member << ", row " << row;
    return Rows(all.begin(), all.begin() + int64_t(count));
  }

  TestModule module{R"(
    func.func @there_and_back(%x: tensor<1x3x1xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>,
                              %t: tensor<6xi32>, %s: tensor<1x3x2xi32>, %unused: tensor<2x3xi64>)
        attributes {hadal.program} {
      %rows, %r = hadal.exchange scatter layer 0 (%x) sent(%c, %o, %t, %s)
          {members = 2 : i64, phase = #hadal.phase<F>}
          : (tensor<1x3x1xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>)
          -> (tensor<6x1xf32>, tensor<2x3xi64>)
      %back = hadal.exchange gather layer 0 (%rows) sent(%c, %o, %t, %s) received(%r)
          {members = 2 : i64, phase = #hadal.phase<F>}
          : (tensor<6x1xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>,
             tensor<2x3xi64>) -> tensor<6x1xf32>
      hadal.output "rows", %rows : tensor<6x1xf32>
      hadal.output "received", %r : tensor<2x3xi64>
      hadal.output "back", %back : tensor<6x1xf32>
      return
    }
    func.func @received(%x: tensor<1x3x1xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>,
                        %t: tensor<6xi32>, %s: tensor<1x3x2xi32>, %r: tensor<2x3xi64>)
        attributes {hadal.program} {
      %rows = hadal.exchange scatter layer 0 (%x) sent(%c, %o, %t, %s) received(%r)
          {members = 2 : i64, phase = #hadal.phase<B>}
          : (tensor<1x3x1xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>,
             tensor<2x3xi64>) -> tensor<6x1xf32>
      hadal.output "rows", %rows : tensor<6x1xf32>
      return
    })"};
  Group group{*module, 2, 4};
  std::string error;

  // Token 0 to both members, token 1 to member 1 with two experts, token 2 to member 0.
  const Sent all{{10, 11, 12}, {2, 2, 3, 3}, {0, 2, 4}, {0, 2, 0, 1}};
  // The last token to member 1, and nothing else.
  const Sent one{{20, 21, 22}, {0, 1, 0, 2}, {0, 0, 1}, {2}};
  const Sent nothing{{30, 31, 32}, {0, 0, 0, 0}, {0, 0, 0}, {}};
};

TEST_F(ReferenceGroup, MovesRowsThereAndBack) {
  ASSERT_TRUE(call("there_and_back", {all, one}));
  EXPECT_EQ(received(0), (Ids{0, 2, 2, 0, 3, 3}));
  EXPECT_EQ(received(1), (Ids{0, 2, 3, 0, 3, 5}));
  EXPECT_EQ(first(0, "rows", 2), (Rows{10, 12}));
  EXPECT_EQ(first(1, "rows", 3), (Rows{10, 11, 22}));
  EXPECT_EQ(first(0, "back", 4), (Rows{10, 12, 10, 11}));
  EXPECT_EQ(first(1, "back", 1), (Rows{22}));
}

TEST_F(ReferenceGroup, OrdersReceivedRowsBySourceMember) {
  ASSERT_TRUE(call("there_and_back", {one, all}));
  EXPECT_EQ(received(1), (Ids{0, 1, 3, 0, 2, 5}));
  EXPECT_EQ(first(1, "rows", 3), (Rows{22, 10, 11}));
  EXPECT_EQ(first(0, "back", 1), (Rows{22}));
  EXPECT_EQ(first(1, "back", 4), (Rows{10, 12, 10, 11}));
}

TEST_F(ReferenceGroup, AMemberSendsNothing) {
  ASSERT_TRUE(call("there_and_back", {nothing, all}));
  EXPECT_EQ(received(0), (Ids{0, 0, 2, 0, 0, 3}));
  EXPECT_EQ(first(0, "rows", 2), (Rows{10, 12}));
  EXPECT_EQ(first(0, "back", 0), (Rows{}));
  EXPECT_EQ(first(1, "back", 4), (Rows{10, 12, 10, 11}));
}

TEST_F(ReferenceGroup, AMemberGetsNothing) {
  const Sent home{{40, 41, 42}, {0, 3, 0, 3}, {0, 0, 3}, {0, 1, 2}};
  ASSERT_TRUE(call("there_and_back", {home, one}));
  EXPECT_EQ(received(0), (Ids{0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(received(1), (Ids{0, 3, 4, 0, 3, 5}));
  EXPECT_EQ(first(0, "rows", 0), (Rows{}));
  EXPECT_EQ(first(1, "rows", 4), (Rows{40, 41, 42, 22}));
  EXPECT_EQ(first(0, "back", 3), (Rows{40, 41, 42}));
}

TEST_F(ReferenceGroup, AMemberGetsEveryTokenOfAll) {
  const Sent home{{40, 41, 42}, {3, 0, 3, 0}, {0, 3, 3}, {0, 1, 2}};
  const Sent other{{50, 51, 52}, {3, 0, 6, 0}, {0, 3, 3}, {0, 1, 2}};
  ASSERT_TRUE(call("there_and_back", {home, other}));
  EXPECT_EQ(received(0), (Ids{0, 3, 6, 0, 3, 9}));
  EXPECT_EQ(first(0, "rows", 6), (Rows{40, 41, 42, 50, 51, 52}));
  EXPECT_EQ(first(1, "rows", 0), (Rows{}));
  EXPECT_EQ(first(1, "back", 3), (Rows{50, 51, 52}));
}

TEST_F(ReferenceGroup, GoesByTheCountsThatWereExchanged) {
  Sent a = all, b = one;
  a.received = {0, 2, 2, 0, 3, 3};
  b.received = {0, 2, 3, 0, 3, 5};
  ASSERT_TRUE(call("received", {a, b}));
  EXPECT_EQ(first(0, "rows", 2), (Rows{10, 12}));
  EXPECT_EQ(first(1, "rows", 3), (Rows{10, 11, 22}));
  b.received = {0, 2, 4, 0, 3, 5};
  EXPECT_FALSE(call("received", {a, b}));
  EXPECT_EQ(error,
            "'hadal.exchange' op member 1: expected as many received rows as are sent to it");
}

TEST_F(ReferenceGroup, RefusesLayoutsThatDoNotFit) {
  auto refusal = [&](const Sent &sent) {
    EXPECT_FALSE(call("there_and_back", {all, sent}));
    return llvm::StringRef(error).substr(llvm::StringRef("'hadal.exchange' op ").size()).str();
  };
  EXPECT_EQ(refusal({{1, 2, 3}, {0, 1, 0, 1}, {1, 1, 2}, {0, 0}}),
            "member 1: expected send_offsets from 0, found 1");
  EXPECT_EQ(refusal({{1, 2, 3}, {0, 1, 0, 1}, {0, 0, 2}, {0, 1}}),
            "member 1: expected send_offsets to be the running sums of send_counts");
  EXPECT_EQ(refusal({{1, 2, 3}, {0, 4, 0, 4}, {0, 0, 4}, {0, 1, 2, 0}}),
            "member 1: expected at most 3 tokens for member 1 and a routed row of each, found 4 "
            "tokens and 4 rows");
  EXPECT_EQ(refusal({{1, 2, 3}, {2, 0, 1, 0}, {0, 2, 2}, {0, 1}}),
            "member 1: expected at most 3 tokens for member 0 and a routed row of each, found 2 "
            "tokens and 1 rows");
  EXPECT_EQ(refusal({{1, 2, 3}, {0, 1, 0, 1}, {0, 0, 1}, {3}}),
            "member 1: expected send_token from 0 to 2, found 3");
  EXPECT_EQ(refusal({{1, 2, 3}, {0, 1, 0, 1}, {0, 0, 1}, {}}),
            "member 1: expected send_token from 0 to 2, found -1");
}

TEST_F(ReferenceGroup, RefusesAnotherNumberOfMembers) {
  Group three(*module, 3, 6);
  mlir::ScopedDiagnosticHandler handler(
      (*module).getContext(), [&](mlir::Diagnostic &diagnostic) { error = diagnostic.str(); });
  Interpreter::Values values;
  for (mlir::Type type : module.function("there_and_back").getArgumentTypes())
    values.push_back(std::make_shared<Tensor>(zerosOf(type)));
  EXPECT_TRUE(failed(three.call("there_and_back", {values, values, values})));
  EXPECT_EQ(error, "'hadal.exchange' op expected a group of 2 members, found 3 ranks");
}

} // namespace
