// SPDX-License-Identifier: Apache-2.0
//
// exp, log and sigmoid of generated code against f64: dense samples of all bit patterns, borders,
// infinities, NaN.

#include "codegen/Cpu/VectorMath.h"
#include "codegen/Cpu/Object.h"
#include "codegen/Cpu/Passes.h"
#include "runtime/device/CpuDevice.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

using namespace mlir;

namespace hadal {
namespace {

using Emit = Value (*)(cpu::KernelBuilder &, Value);

/// A function of a vector, run over memory: operand 0 to operand 1. With `scalar` one element at a
/// time.
class Function {
public:
  Function(Emit emit, bool scalar) {
    context.loadDialect<LLVM::LLVMDialect, arith::ArithDialect, scf::SCFDialect,
                        vector::VectorDialect, cf::ControlFlowDialect, math::MathDialect>();
    OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
    build(*module, emit, scalar);
    PassManager manager(&context);
    cpu::buildLowering(manager);
    EXPECT_TRUE(succeeded(manager.run(*module)));
    FailureOr<std::string> object = cpu::buildSharedObject(*module, cpu::hostCpu());
    EXPECT_TRUE(succeeded(object));
    library = rt::KernelLibrary(*object, "test");
    code = library.find("f");
  }

  std::vector<float> operator()(const std::vector<float> &input) const {
    std::vector<float> output(input.size());
    void *pointers[] = {const_cast<float *>(input.data()), output.data()};
    rt::KernelArguments arguments{pointers, nullptr};
    code(&arguments, 0, int64_t(input.size()), nullptr);
    return output;
  }

private:
  void build(ModuleOp module, Emit emit, bool scalar) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    Location loc = module.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&context);
    Type i64 = builder.getI64Type();
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&context),
                                            {pointer, i64, i64, pointer});
    auto function = LLVM::LLVMFuncOp::create(builder, loc, "f", type);
    builder.setInsertionPointToStart(function.addEntryBlock(builder));
    cpu::Target target = cpu::targetOf(cpu::hostCpu());
    cpu::KernelBuilder b(loc, builder, target);
    Value table = b.load(pointer, function.getArgument(0), b.index(0));
    Value from = b.load(pointer, table, b.index(0)), to = b.load(pointer, table, b.index(1));
    Value count = b.toIndex(function.getArgument(2));
    if (scalar)
      b.loop(b.index(0), count, 1,
             [&](Value at) { b.store(emit(b, b.loadF32(from, at)), to, at); });
    else
      b.vectorLoop(count, [&](Value at, Value mask) {
        b.storeVector(emit(b, b.loadVector(from, at, mask)), to, at, mask);
      });
    LLVM::ReturnOp::create(b, ValueRange());
  }

  MLIRContext context;
  rt::KernelLibrary library;
  rt::KernelFunction code = nullptr;
};

/// Every 4099th bit pattern (NaN left out), and what lies around the borders.
std::vector<float> samples() {
  std::vector<float> values;
  for (uint64_t bits = 0; bits < (uint64_t(1) << 32); bits += 4099) {
    uint32_t word = uint32_t(bits);
    float value;
    std::memcpy(&value, &word, 4);
    if (!std::isnan(value))
      values.push_back(value);
  }
  for (int i = -400000; i <= 400000; ++i)
    values.push_back(float(i) * 2.7e-4f);
  for (int i = -2000; i <= 2000; ++i)
    values.push_back(1.0f + float(i) * 6e-8f);
  float infinity = std::numeric_limits<float>::infinity();
  for (float value :
       {0.0f, -0.0f, infinity, -infinity, 88.722839f, 88.7229f, 89.0f, -87.34f, -103.97f, -104.0f,
        1.17549435e-38f, 1e-45f, 3.4028235e38f, 0.70710678f, 1.41421356f})
    values.push_back(value);
  return values;
}

/// The distance in units of the last place of the exact value (rounded to f32's grid, denormals
/// included).
double ulps(float got, double exact) {
  if (std::isnan(exact))
    return std::isnan(got) ? 0 : INFINITY;
  float nearest = float(exact);
  if (std::isinf(nearest) || std::isinf(got))
    return got == nearest || std::abs(exact) > 3.40282e38 ? 0 : INFINITY;
  int exponent = std::max(exact == 0 ? -126 : std::ilogb(exact), -126);
  return std::abs(double(got) - exact) / std::ldexp(1.0, exponent - 23);
}

void check(const char *name, Emit emit, double (*exact)(double)) {
  std::vector<float> input = samples();
  std::vector<float> output = Function(emit, false)(input), single = Function(emit, true)(input);
  double worst = 0;
  float at = 0;
  for (size_t i = 0; i < input.size(); ++i) {
    double error = ulps(output[i], exact(double(input[i])));
    if (!(error <= worst)) {
      worst = error;
      at = input[i];
    }
    ASSERT_EQ(std::memcmp(&output[i], &single[i], 4) != 0 && !std::isnan(output[i]), false)
        << name << ": one lane and many differ at " << input[i];
  }
  EXPECT_LE(worst, 2.0) << name << " at " << at;
  ::testing::Test::RecordProperty(name, std::to_string(worst));
  std::vector<float> nan = Function(emit, false)({std::nanf(""), 1.0f});
  EXPECT_TRUE(std::isnan(nan[0])) << name;
  EXPECT_FALSE(std::isnan(nan[1])) << name;
}

TEST(VectorMath, Exp) {
  check("exp", cpu::emitExp, [](double x) { return std::exp(x); });
}
TEST(VectorMath, Log) {
  check("log", cpu::emitLog, [](double x) { return std::log(x); });
}
TEST(VectorMath, Sigmoid) {
  check("sigmoid", cpu::emitSigmoid,
        [](double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); });
}
TEST(VectorMath, ExpOfMinusInfinityIsZero) {
  std::vector<float> y =
      Function(cpu::emitExp, false)({-INFINITY, INFINITY, 0.0f, -200.0f, 200.0f});
  EXPECT_EQ(y, (std::vector<float>{0.0f, INFINITY, 1.0f, 0.0f, INFINITY}));
}

} // namespace
} // namespace hadal
