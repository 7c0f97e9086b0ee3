// SPDX-License-Identifier: Apache-2.0
//
// Tensors beyond 2^31 elements, as DeepSeek-V3's stacks of experts are: 64-bit offsets all the way.
// Their memory is mapped and not touched but for the places that a kernel has to find.

#include "test/unit/codegen/KernelHarness.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace hadal;
using namespace hadal::test;

namespace {

constexpr int64_t kExperts = (int64_t(1) << 20) + 2, kOut = 40, kIn = 64, kRows = 5;
static_assert(kExperts * kOut * kIn > (int64_t(1) << 31));

/// The one kernel of a harness, called on memory of the test's own.
void call(KernelHarness &harness, std::vector<void *> pointers) {
  KernelOp kernel =
      *(*harness.module().getOps<mlir::func::FuncOp>().begin()).getOps<KernelOp>().begin();
  LaunchAttr launch = *kernel.getLaunch();
  rt::KernelLibrary library(harness.object(), "test");
  std::vector<int64_t> sizes(launch.getSizes().begin(), launch.getSizes().end());
  rt::KernelArguments arguments{pointers.data(), sizes.data()};
  rt::Memory scratch(uint64_t(launch.getScratch()) + 64);
  rt::KernelFunction code = library.find(launch.getSymbol().str());
  ASSERT_TRUE(code);
  code(&arguments, 0, launch.getGrid(), scratch.data());
}

float *floats(const rt::Memory &memory) { return reinterpret_cast<float *>(memory.data()); }

/// Offsets of a stack whose last expert alone has rows.
rt::Memory offsetsOfLast() {
  rt::Memory offsets(uint64_t(kExperts + 1) * 8);
  reinterpret_cast<int64_t *>(offsets.data())[kExperts] = kRows;
  return offsets;
}

TEST(LargeSizes, AnExpertBehindTwoToThe31) {
  KernelHarness harness(R"(
    func.func @f(%x: tensor<5x64xf32>, %w: tensor<1048578x40x64xf32>, %o: tensor<1048579xi64>) -> tensor<5x40xf32> {
      %r = hadal.kernel(%x, %w, %o) : (tensor<5x64xf32>, tensor<1048578x40x64xf32>, tensor<1048579xi64>) -> tensor<5x40xf32> {
      ^bb0(%a: tensor<5x64xf32>, %b: tensor<1048578x40x64xf32>, %c: tensor<1048579xi64>):
        %d = hadal.grouped_linear %a, %b, %c : tensor<5x64xf32>, tensor<1048578x40x64xf32>, tensor<1048579xi64>
        hadal.yield %d : tensor<5x40xf32>
      }
      return %r : tensor<5x40xf32>
    })");
  rt::Memory rows(kRows * kIn * 4), weight(uint64_t(kExperts * kOut * kIn) * 4),
      out(kRows * kOut * 4);
  rt::Memory offsets = offsetsOfLast();
  std::fill_n(floats(rows), kRows * kIn, 1.0f);
  float *last = floats(weight) + (kExperts - 1) * kOut * kIn;
  for (int64_t o = 0; o < kOut; ++o)
    std::fill_n(last + o * kIn, kIn, float(o + 1));
  call(harness, {rows.data(), weight.data(), offsets.data(), out.data()});
  for (int64_t i = 0; i < kRows * kOut; ++i)
    ASSERT_EQ(floats(out)[i], float(kIn * (i % kOut + 1))) << i;
}

TEST(LargeSizes, AnExpertsGradientBehindTwoToThe31) {
  KernelHarness harness(R"(
    func.func @f(%g: tensor<5x40xf32>, %x: tensor<5x64xf32>, %o: tensor<1048579xi64>, %w: tensor<1048578x40x64xf32>) -> tensor<1048578x40x64xf32> {
      %r = hadal.kernel(%g, %x, %o, %w) : (tensor<5x40xf32>, tensor<5x64xf32>, tensor<1048579xi64>, tensor<1048578x40x64xf32>) -> tensor<1048578x40x64xf32> {
      ^bb0(%a: tensor<5x40xf32>, %b: tensor<5x64xf32>, %c: tensor<1048579xi64>, %e: tensor<1048578x40x64xf32>):
        %d = hadal.grouped_weight_gradient %a, %b, %c, %e : tensor<5x40xf32>, tensor<5x64xf32>, tensor<1048579xi64>, tensor<1048578x40x64xf32>
        hadal.yield %d : tensor<1048578x40x64xf32>
      }
      return %r : tensor<1048578x40x64xf32>
    })");
  rt::Memory gradient(kRows * kOut * 4), rows(kRows * kIn * 4),
      sums(uint64_t(kExperts * kOut * kIn) * 4);
  rt::Memory offsets = offsetsOfLast();
  std::fill_n(floats(gradient), kRows * kOut, 2.0f);
  std::fill_n(floats(rows), kRows * kIn, 3.0f);
  call(harness, {gradient.data(), rows.data(), offsets.data(), sums.data()});
  const float *last = floats(sums) + (kExperts - 1) * kOut * kIn;
  for (int64_t i = 0; i < kOut * kIn; ++i)
    ASSERT_EQ(last[i], float(kRows * 6)) << i;
  EXPECT_EQ(last[-1], 0.0f);
}

TEST(LargeSizes, ARowOfATableBehindTwoToThe31) {
  KernelHarness harness(R"(
    func.func @f(%i: tensor<1x3xi32>, %t: tensor<33554434x72xf32>) -> tensor<1x2x72xf32> {
      %r = hadal.kernel(%i, %t) : (tensor<1x3xi32>, tensor<33554434x72xf32>) -> tensor<1x2x72xf32> {
      ^bb0(%a: tensor<1x3xi32>, %b: tensor<33554434x72xf32>):
        %d = hadal.embedding %a, %b {offset = 1 : i64, tokens = 2 : i64} : tensor<1x3xi32>, tensor<33554434x72xf32>
        hadal.yield %d : tensor<1x2x72xf32>
      }
      return %r : tensor<1x2x72xf32>
    })");
  constexpr int64_t kTable = 33554434, kWidth = 72;
  static_assert(kTable * kWidth > (int64_t(1) << 31));
  rt::Memory ids(3 * 4), table(uint64_t(kTable * kWidth) * 4), out(2 * kWidth * 4);
  const int32_t chosen[] = {0, int32_t(kTable - 1), int32_t(kTable - 2)};
  std::memcpy(ids.data(), chosen, sizeof chosen);
  float *last = floats(table) + (kTable - 2) * kWidth;
  std::iota(last, last + 2 * kWidth, 1.0f);
  call(harness, {ids.data(), table.data(), out.data()});
  for (int64_t i = 0; i < kWidth; ++i) {
    ASSERT_EQ(floats(out)[i], float(kWidth + i + 1));
    ASSERT_EQ(floats(out)[kWidth + i], float(i + 1));
  }
}

} // namespace
