// SPDX-License-Identifier: Apache-2.0
//
// Expert parallelism in the reference interpreter, by hand: three tokens, two experts each, two
// members with two experts.

#include "dialects/Hadal/Reference/Group.h"
#include "test/unit/dialects/TestFunction.h"

#include <gtest/gtest.h>

using namespace hadal::reference;

namespace {

TensorPtr ids(Shape shape, std::vector<int64_t> values) {
  Array<int64_t> array(std::move(shape));
  array.data = std::move(values);
  return std::make_shared<Tensor>(array);
}
TensorPtr reals(Shape shape, std::vector<double> values) {
  Array<double> array(std::move(shape));
  array.data = std::move(values);
  return std::make_shared<Tensor>(array);
}

TEST(ReferenceExchange, Layout) {
  TestModule module(R"(
    func.func @f(%e: tensor<1x3x2xi32>)
        -> (tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) {
      %c, %o, %t, %s = hadal.exchange_layout %e {expert_count = 4 : i64, members = 2 : i64}
          : tensor<1x3x2xi32>
      return %c, %o, %t, %s : tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>
    })");
  // Token 0 goes to both, token 1 with both its experts to member 1, token 2 to member 0.
  Interpreter::Values found = module.call("f", {ids({1, 3, 2}, {0, 2, 2, 3, 0, 1})});
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0]->integers, (std::vector<int64_t>{2, 2, 3, 3}));
  EXPECT_EQ(found[1]->integers, (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(found[2]->integers, (std::vector<int64_t>{0, 2, 0, 1, -1, -1}));
  EXPECT_EQ(found[3]->integers, (std::vector<int64_t>{0, 2, -1, 3, 1, -1}));
}

constexpr const char *kSort = R"(
    func.func @f(%e: tensor<4x2xi32>, %r: tensor<2x3xi64>, %first: tensor<i32>)
        -> (tensor<3xi64>, tensor<8xi32>, tensor<4x2xi32>) {
      %o, %s, %l = hadal.sort_received %e, %r, %first {expert_count = 2 : i64}
          : tensor<4x2xi32>, tensor<2x3xi64>, tensor<i32>
      return %o, %s, %l : tensor<3xi64>, tensor<8xi32>, tensor<4x2xi32>
    })";

TEST(ReferenceExchange, SortReceived) {
  TestModule module(kSort);
  Interpreter::Values found = module.call(
      "f", {ids({4, 2}, {3, 0, 2, 3, 1, 2, 9, 9}), ids({2, 3}, {0, 2, 3, 0, 3, 4}), ids({}, {2})});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0]->integers, (std::vector<int64_t>{0, 2, 4}));
  found[1] = ids({4}, {found[1]->integers.begin(), found[1]->integers.begin() + 4});
  EXPECT_EQ(found[1]->integers, (std::vector<int64_t>{2, 5, 0, 3}));
  found[2] = ids({6}, {found[2]->integers.begin(), found[2]->integers.begin() + 6});
  EXPECT_EQ(found[2]->integers, (std::vector<int64_t>{2, -1, 0, 3, -1, 1}));
}

TEST(ReferenceExchange, SortReceivedRefusesMoreRowsThanThereAre) {
  TestModule module(kSort);
  module.call(
      "f", {ids({4, 2}, {3, 0, 2, 3, 1, 2, 0, 1}), ids({2, 3}, {0, 2, 5, 0, 3, 4}), ids({}, {2})});
  EXPECT_EQ(module.lastError(),
            "'hadal.sort_received' op expected at most 4 received rows, found 5");
}

TEST(ReferenceExchange, ThereAndBack) {
  TestModule module(R"(
    func.func @p(%x: tensor<1x3x1xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>,
                 %s: tensor<1x3x2xi32>) attributes {hadal.program} {
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
    })");
  Group group(*module, 2, 4);
  // Member 0 as above; member 1 sends its last token to itself and nothing else.
  ASSERT_TRUE(llvm::succeeded(group.call(
      "p", {{reals({1, 3, 1}, {10, 11, 12}), ids({2, 2}, {2, 2, 3, 3}), ids({3}, {0, 2, 4}),
             ids({6}, {0, 2, 0, 1, -1, -1}), ids({1, 3, 2}, {0, 2, -1, 3, 1, -1})},
            {reals({1, 3, 1}, {20, 21, 22}), ids({2, 2}, {0, 1, 0, 2}), ids({3}, {0, 0, 1}),
             ids({6}, {2, -1, -1, -1, -1, -1}), ids({1, 3, 2}, {-1, -1, -1, -1, -1, 0})}})));
  auto first = [&](int64_t member, const char *name, size_t count) {
    const std::vector<double> &all = group[member].outputs.at(name)->reals;
    return std::vector<double>(all.begin(), all.begin() + int64_t(count));
  };
  EXPECT_EQ(group[0].outputs.at("received")->integers, (std::vector<int64_t>{0, 2, 2, 0, 3, 3}));
  EXPECT_EQ(group[1].outputs.at("received")->integers, (std::vector<int64_t>{0, 2, 3, 0, 3, 5}));
  EXPECT_EQ(first(0, "rows", 2), (std::vector<double>{10, 12}));
  EXPECT_EQ(first(1, "rows", 3), (std::vector<double>{10, 11, 22}));
  EXPECT_EQ(first(0, "back", 4), (std::vector<double>{10, 12, 10, 11}));
  EXPECT_EQ(first(1, "back", 1), (std::vector<double>{22}));
}

} // namespace
