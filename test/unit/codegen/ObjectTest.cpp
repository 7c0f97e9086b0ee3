// SPDX-License-Identifier: Apache-2.0
//
// Shared objects: features of CPUs, bytes that depend on the module only, several in one process.

#include "test/unit/codegen/KernelHarness.h"

#include "codegen/Cpu/Object.h"
#include "codegen/Cpu/Passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace hadal;
using namespace hadal::test;
using ::testing::Contains;
using ::testing::Not;

namespace {

const char *kModule = R"(
  func.func @f(%x: tensor<5x8xf32>, %w: tensor<8x8xf32>) -> tensor<5x8xf32> {
    %0 = hadal.kernel(%x, %w) : (tensor<5x8xf32>, tensor<8x8xf32>) -> tensor<5x8xf32> {
    ^bb0(%a: tensor<5x8xf32>, %b: tensor<8x8xf32>):
      %c = hadal.linear %a, %b : tensor<5x8xf32>, tensor<8x8xf32>
      hadal.yield %c : tensor<5x8xf32>
    }
    return %0 : tensor<5x8xf32>
  })";

TEST(Object, KnowsCpus) {
  EXPECT_TRUE(cpu::isKnownCpu("znver3"));
  EXPECT_TRUE(cpu::isKnownCpu(cpu::hostCpu()));
  EXPECT_FALSE(cpu::isKnownCpu("cray-1"));
  EXPECT_FALSE(cpu::isKnownCpu(""));
  EXPECT_THAT(cpu::cpuFeatures("znver3"), Contains("fma"));
  EXPECT_THAT(cpu::cpuFeatures("znver3"), Not(Contains("avx512f")));
  EXPECT_EQ(cpu::targetOf("znver3").lanes, 8);
  EXPECT_EQ(cpu::targetOf("skylake-avx512").lanes, 16);
  EXPECT_EQ(cpu::targetOf("sapphirerapids").registers, 32);
}

TEST(Object, BytesDependOnTheModuleOnly) {
  KernelHarness first(kModule), second(kModule);
  EXPECT_EQ(first.object(), second.object());
  // No folder of this machine in it.
  EXPECT_EQ(first.object().find("/tmp"), std::string::npos);
  EXPECT_EQ(first.object().find("hadal-kernels"), std::string::npos);
}

TEST(Object, SeveralLiveInOneProcess) {
  HostTensor x = randomTensor({5, 8}, 1), w = randomTensor({8, 8}, 2);
  KernelHarness first(kModule);
  HostTensor before = first.run({x, w})[0];
  KernelHarness second(kModule);
  EXPECT_TRUE(second.run({x, w})[0].sameBits(before));
  EXPECT_TRUE(first.run({x, w})[0].sameBits(before));
}

TEST(Object, IsBuiltForOtherCpus) {
  for (const char *cpu : {"skylake-avx512", "znver5", "haswell"}) {
    KernelHarness harness(kModule, cpu);
    EXPECT_EQ(harness.object().substr(1, 3), "ELF") << cpu;
  }
}

} // namespace
