// SPDX-License-Identifier: Apache-2.0
//
// Kernels whose number of rows is known at the launch only: the same bits as kernels for tensors of
// just that size, and nothing behind the rows is touched (their memory ends at a page without
// access). The order of an exchange's rows.

#include "test/unit/codegen/Differential.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace hadal::test {
namespace {

using llvm::formatv;

/// Rows of a member: how many can be received, how many are, and which of their choices are its
/// own.
struct Member {
  int64_t most, received, chosen, experts;
  int64_t width = 24, inner = 10;
  double own = 0.5; ///< share of the choices
};

/// The order that hadal.sort_received makes.
struct Order {
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> source, slot;
};

Order orderOf(const Member &m, unsigned seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution isOwn(m.own);
  std::vector<std::vector<int32_t>> rows(static_cast<size_t>(m.experts));
  Order order;
  order.slot.assign(static_cast<size_t>(m.received * m.chosen), -1);
  for (int64_t row = 0; row < m.received; ++row) {
    std::vector<int32_t> experts(static_cast<size_t>(m.experts));
    std::iota(experts.begin(), experts.end(), 0);
    std::shuffle(experts.begin(), experts.end(), random);
    for (int64_t k = 0; k < std::min(m.chosen, m.experts); ++k)
      if (k == 0 || isOwn(random)) // a row is received for one expert at least
        rows[static_cast<size_t>(experts[size_t(k)])].push_back(
            static_cast<int32_t>(row * m.chosen + k));
  }
  for (const auto &list : rows) {
    for (int32_t flat : list) {
      order.slot[size_t(flat)] = static_cast<int32_t>(order.source.size());
      order.source.push_back(flat);
    }
    order.offsets.push_back(static_cast<int64_t>(order.source.size()));
  }
  return order;
}

/// Experts of a member forwards and backwards: on tensors of `n` received and `r` routed rows; with
/// marks those are the most.
class MemberText {
public:
  MemberText(const Member &m, int64_t n, int64_t r, bool marks) : n(n), r(r), m(m), marks(marks) {}

  std::string write() {
    std::string wide = rows(n, m.width), routed = rows(r, m.width), inner = rows(r, m.inner),
                column = type({r});
    std::string tables = type({r}, "i32") + ", " + type({n, m.chosen}, "i32");
    std::string offsets = type({m.experts + 1}, "i64");
    std::string stack = type({m.experts, m.inner, m.width}),
                back = type({m.experts, m.width, m.inner});
    op("%rows", "hadal.dispatch %x, %s, %l", "routed", wide + ", " + tables);
    op("%rw", "hadal.dispatch_weights %w, %s, %l", "routed", type({n, m.chosen}) + ", " + tables);
    op("%g", "hadal.grouped_linear %rows, %wg, %o", "routed",
       routed + ", " + stack + ", " + offsets);
    op("%u", "hadal.grouped_linear %rows, %wu, %o", "routed",
       routed + ", " + stack + ", " + offsets);
    op("%h", "hadal.swiglu %g, %u scaled_by %rw", "routed", inner + ", " + inner + ", " + column);
    op("%d", "hadal.grouped_linear %h, %wd, %o", "routed", inner + ", " + back + ", " + offsets);
    op("%y", "hadal.combine %d, %s, %l", "received", routed + ", " + tables);
    op("%dr", "hadal.dispatch %dy, %s, %l", "routed", wide + ", " + tables);
    op("%dh", "hadal.grouped_linear %dr, %wd, %o", "routed", routed + ", " + back + ", " + offsets,
       "transpose_weight");
    op("%dg, %du, %dw", "hadal.swiglu_gradient %dh, %g, %u scaled_by %rw", "routed",
       inner + ", " + inner + ", " + inner + ", " + column);
    op("%dws", "hadal.combine_weights %dw, %s, %l", "received", column + ", " + tables);
    op("%aw", "hadal.grouped_weight_gradient %dg, %rows, %o, %wg", "routed",
       inner + ", " + routed + ", " + offsets + ", " + stack);
    results = {{"%y", wide},   {"%g", inner}, {"%h", inner}, {"%dws", type({n, m.chosen})},
               {"%dg", inner}, {"%aw", stack}};
    return formatv(
        "func.func @component(%x: {0}{1}, %dy: {0}{1}, %w: {2}{1}, %s: {3}{4}, %l: {5}{1}, "
        "%o: {6}, %wg: {7}, %wu: {7}, %wd: {8}) -> ({9}) {{\n{10}  return {11} : {12}\n}\n",
        wide, mark("received"), type({n, m.chosen}), type({r}, "i32"), mark("routed"),
        type({n, m.chosen}, "i32"), offsets, stack, back, resultTypes(true), body, resultNames(),
        resultTypes(false));
  }

private:
  std::string rows(int64_t count, int64_t width) { return type({count, width}); }
  std::string mark(const std::string &rows) {
    return marks ? " {hadal.rows = #hadal.rows<" + rows + ">}" : "";
  }
  void op(const std::string &names, const std::string &text, const std::string &rows,
          const std::string &types, const std::string &attribute = "") {
    std::string attributes = attribute;
    if (marks)
      attributes += (attributes.empty() ? "" : ", ") + ("hadal.rows = #hadal.rows<" + rows + ">");
    body += "  " + names + " = " + text + (attributes.empty() ? "" : " {" + attributes + "}") +
            " : " + types + "\n";
  }
  std::string resultNames() {
    std::string text;
    for (auto &[name, type] : results)
      text += (text.empty() ? "" : ", ") + name;
    return text;
  }
  std::string resultTypes(bool marked) {
    std::string text;
    for (auto &[name, type] : results) {
      bool received = name == "%y" || name == "%dws", fixed = name == "%aw";
      text += (text.empty() ? "" : ", ") + type;
      if (marked && !fixed)
        text += mark(received ? "received" : "routed");
    }
    return text;
  }

  int64_t n, r;
  const Member &m;
  bool marks;
  std::string body;
  std::vector<std::pair<std::string, std::string>> results;
};

std::vector<HostTensor> argumentsOf(const Member &m, const Order &order) {
  int64_t n = m.received, r = static_cast<int64_t>(order.source.size());
  return {randomTensor({n, m.width}, 1),
          randomTensor({n, m.width}, 2),
          randomTensor({n, m.chosen}, 3),
          tensorOf<int32_t>({r}, order.source),
          tensorOf<int32_t>({n, m.chosen}, order.slot),
          tensorOf<int64_t>({m.experts + 1}, order.offsets),
          randomTensor({m.experts, m.inner, m.width}, 4),
          randomTensor({m.experts, m.inner, m.width}, 5),
          randomTensor({m.experts, m.width, m.inner}, 6)};
}

const Member kMembers[] = {
    {40, 13, 4, 3}, {40, 40, 2, 3},         {300, 130, 3, 2, 33, 17},     {16, 1, 8, 4},
    {24, 11, 1, 1}, {64, 40, 4, 1, 16, 16}, {128, 100, 8, 4, 64, 40, 0.1}};

TEST(RowCounts, SameBitsAsTensorsOfThatSize) {
  unsigned seed = 0;
  for (const Member &m : kMembers) {
    Order order = orderOf(m, ++seed);
    int64_t routed = static_cast<int64_t>(order.source.size());
    std::vector<HostTensor> arguments = argumentsOf(m, order);
    int64_t most = m.most * std::min(m.chosen, m.experts);
    std::string exact = MemberText(m, m.received, routed, false).write();
    SCOPED_TRACE(exact);
    std::vector<HostTensor> expected = KernelHarness(fused(exact)).run(arguments);
    for (bool fuse : {false, true}) {
      if (!fuse && &m != kMembers)
        continue;
      std::string text = fused(MemberText(m, m.most, most, true).write(), fuse);
      KernelHarness counted(text);
      for (Cut cut : {Cut{1, 0}, Cut{2, 3}}) {
        std::vector<HostTensor> found = counted.run(arguments, cut, {m.received, routed});
        for (size_t i = 0; i < expected.size(); ++i)
          EXPECT_TRUE(found[i].sameBits(expected[i])) << "result " << i << "\n" << text;
      }
    }
  }
}

TEST(RowCounts, NoRowsAtAll) {
  Member m{24, 0, 3, 2};
  Order order = orderOf(m, 1);
  std::vector<HostTensor> arguments = argumentsOf(m, order);
  KernelHarness counted(fused(MemberText(m, m.most, 48, true).write()));
  std::vector<HostTensor> found = counted.run(arguments, {2, 1}, {0, 0});
  EXPECT_EQ(found[0].elements(), 0);
  EXPECT_TRUE(found.back().sameBits(arguments[6])); // the accumulator stays
}

TEST(RowCounts, RowsOfDifferentNumbersShareNoKernel) {
  // One choice, one expert: as many routed as received rows at most.
  Member m{8, 5, 1, 1};
  std::string text = fused(MemberText(m, 8, 8, true).write());
  size_t kernels = 0, marked = 0;
  for (size_t at = text.find("hadal.kernel"); at != text.npos;
       at = text.find("hadal.kernel", at + 1))
    ++kernels;
  for (size_t at = text.find("attributes {hadal.rows"); at != text.npos;
       at = text.find("attributes {hadal.rows", at + 1))
    ++marked;
  EXPECT_EQ(kernels, marked);
}

// --- the order of an exchange ---

TEST(RowCounts, ExchangeLayout) {
  std::mt19937 random(3);
  for (auto [b, t, k, experts, members] : {std::tuple<int, int, int, int, int>{2, 7, 3, 8, 4},
                                           {1, 1, 1, 2, 2},
                                           {1, 9, 4, 4, 2},
                                           {3, 2, 2, 6, 3},
                                           {1, 5, 8, 64, 16},
                                           {1, 4, 2, 4, 1}}) {
    std::vector<int32_t> ids;
    for (int i = 0; i < b * t; ++i) {
      std::vector<int32_t> all(static_cast<size_t>(experts));
      std::iota(all.begin(), all.end(), 0);
      std::shuffle(all.begin(), all.end(), random);
      std::sort(all.begin(), all.begin() + k);
      ids.insert(ids.end(), all.begin(), all.begin() + k);
    }
    Component c;
    std::string e = c.ids({b, t, k}, ids);
    c.line(formatv(
        "%c, %o, %t, %s = hadal.exchange_layout {0} {{expert_count = {1} : i64, members = {2} "
        ": i64} : {3}",
        e, experts, members, type({b, t, k}, "i32")));
    c.result("%c", type({2, members}, "i64"));
    c.result("%o", type({members + 1}, "i64"));
    c.result("%t", type({b * t * std::min(k, members)}, "i32"));
    c.result("%s", type({b, t, members}, "i32"));
    std::string rows = c.random({b * t * std::min(k, members), 21});
    c.line(formatv("%y = hadal.combine_members {0}, %s : {1}, {2}", rows,
                   type({b * t * std::min(k, members), 21}), type({b, t, members}, "i32")));
    c.result("%y", type({b, t, 21}));
    expectReference(c, 1e-6);
  }
}

TEST(RowCounts, ExchangeLayoutOfCountsOnly) {
  Component c;
  std::string e = c.ids({1, 3, 2}, {0, 3, 1, 2, 2, 3});
  c.line(formatv(
      "%c, %o, %t, %s = hadal.exchange_layout {0} {{expert_count = 4 : i64, members = 2 : i64} "
      ": tensor<1x3x2xi32>",
      e));
  c.result("%c", "tensor<2x2xi64>");
  expectReference(c);
  std::vector<HostTensor> counts = KernelHarness(fused(c.text())).run(c.values);
  EXPECT_TRUE(counts[0].sameBits(tensorOf<int64_t>({2, 2}, {2, 3, 2, 4})));
}

TEST(RowCounts, SortReceived) {
  std::mt19937 random(9);
  for (auto [most, received, k, all, local] : {std::tuple<int, int, int, int, int>{12, 7, 3, 8, 2},
                                               {5, 5, 2, 6, 3},
                                               {4, 0, 2, 4, 2},
                                               {9, 1, 4, 4, 4}})
    for (int32_t first : {0, all - local}) {
      // Reference and kernel agree where something is defined: all rows received.
      std::vector<int32_t> ids;
      for (int i = 0; i < most; ++i) {
        std::vector<int32_t> experts(static_cast<size_t>(all));
        std::iota(experts.begin(), experts.end(), 0);
        std::shuffle(experts.begin(), experts.end(), random);
        ids.insert(ids.end(), experts.begin(), experts.begin() + k);
      }
      Component c;
      std::string e = c.ids({most, k}, ids);
      std::string r = c.argument({2, 2}, tensorOf<int64_t>({2, 2}, {0, received, 0, 0}), "i64");
      std::string f = c.scalarI32(first);
      c.line(formatv(
          "%o, %s, %l = hadal.sort_received {0}, {1}, {2} {{expert_count = {3} : i64} : {4}, "
          "tensor<2x2xi64>, tensor<i32>",
          e, r, f, local, type({most, k}, "i32")));
      c.result("%o", type({local + 1}, "i64"));
      c.result("%s", type({most * std::min(k, local)}, "i32"));
      c.result("%l", type({most, k}, "i32"));
      std::vector<HostTensor> found = KernelHarness(fused(c.text())).run(c.values);
      const int64_t *offsets = found[0].as<int64_t>();
      const int32_t *source = found[1].as<int32_t>(), *slot = found[2].as<int32_t>();
      int64_t next = 0;
      for (int expert = 0; expert < local; ++expert) {
        EXPECT_EQ(offsets[expert], next);
        for (int32_t flat = 0; flat < received * k; ++flat)
          if (ids[size_t(flat)] == first + expert) {
            EXPECT_EQ(source[next], flat);
            EXPECT_EQ(slot[flat], next++);
          }
      }
      EXPECT_EQ(offsets[local], next);
      for (int32_t flat = 0; flat < received * k; ++flat)
        if (ids[size_t(flat)] < first || ids[size_t(flat)] >= first + local)
          EXPECT_EQ(slot[flat], -1);
    }
}

} // namespace
} // namespace hadal::test
