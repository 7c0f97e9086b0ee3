// SPDX-License-Identifier: Apache-2.0
//
// See Differential.h.

#include "test/unit/codegen/Differential.h"

#include "codegen/Cpu/Object.h"
#include "dialects/Hadal/Reference/Interpreter.h"
#include "passes/Fuse/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "llvm/ADT/StringExtras.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace hadal::test {

std::string type(const std::vector<int64_t> &shape, const std::string &element) {
  std::string text = "tensor<";
  for (int64_t size : shape)
    text += std::to_string(size) + "x";
  return text + element + ">";
}

// --- components ---

std::string Component::argument(const std::vector<int64_t> &shape, HostTensor value,
                                const std::string &element) {
  std::string name = "%a" + std::to_string(arguments.size());
  arguments.push_back(name + ": " + type(shape, element));
  values.push_back(std::move(value));
  return name;
}
std::string Component::random(const std::vector<int64_t> &shape, double scale) {
  return argument(shape, randomTensor(shape, unsigned(arguments.size()) + 1, scale));
}
std::string Component::ids(const std::vector<int64_t> &shape, const std::vector<int32_t> &values) {
  return argument(shape, tensorOf<int32_t>(shape, values), "i32");
}
std::string Component::scalar(double value) {
  return argument({}, tensorOf<double>({}, {value}), "f64");
}
std::string Component::scalarF32(float value) { return argument({}, tensorOf<float>({}, {value})); }
std::string Component::scalarI32(int32_t value) {
  return argument({}, tensorOf<int32_t>({}, {value}), "i32");
}

std::string Component::text() const {
  std::string types, names;
  for (auto &[name, type] : results) {
    names += (names.empty() ? "" : ", ") + name;
    types += (types.empty() ? "" : ", ") + type;
  }
  return "func.func @component(" + llvm::join(arguments, ", ") + ") -> (" + types + ") {\n" + body +
         "  return " + names + " : " + types + "\n}\n";
}

// --- passes ---

static void loadDialects(MLIRContext &context) {
  context.loadDialect<HadalDialect, func::FuncDialect>();
}

std::string fused(const std::string &text, bool enable) {
  MLIRContext context;
  loadDialects(context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  if (!module)
    throw std::runtime_error("cannot be parsed:\n" + text);
  PassManager manager(&context);
  manager.addPass(createDecomposePass());
  manager.addPass(createFusePass({enable}));
  if (failed(manager.run(*module)))
    throw std::runtime_error("cannot be fused:\n" + text);
  std::string result;
  llvm::raw_string_ostream out(result);
  module->print(out);
  return result;
}

int countKernels(const std::string &text) {
  int count = 0;
  for (size_t at = text.find("hadal.kernel"); at != std::string::npos;
       at = text.find("hadal.kernel", at + 1))
    ++count;
  return count;
}

// --- comparison ---

static double elementOf(const HostTensor &tensor, Type element, int64_t at) {
  if (element.isF32())
    return double(tensor.as<float>()[at]);
  if (element.isF64())
    return tensor.as<double>()[at];
  return element.isInteger(32) ? double(tensor.as<int32_t>()[at])
                               : double(tensor.as<int64_t>()[at]);
}

static reference::TensorPtr referenceOf(const HostTensor &host, Type type) {
  reference::Tensor tensor = reference::zerosOf(type);
  Type element = cast<RankedTensorType>(type).getElementType();
  for (int64_t i = 0; i < host.elements(); ++i)
    if (tensor.isInteger)
      tensor.integers[size_t(i)] = int64_t(elementOf(host, element, i));
    else
      tensor.reals[size_t(i)] = elementOf(host, element, i);
  return std::make_shared<reference::Tensor>(std::move(tensor));
}

static void compare(const HostTensor &got, const reference::Tensor &expected, Type element,
                    double tolerance, const std::string &what) {
  ASSERT_EQ(got.elements(), expected.elements()) << what;
  for (int64_t i = 0; i < got.elements(); ++i) {
    double a = elementOf(got, element, i);
    double b =
        expected.isInteger ? double(expected.integers[size_t(i)]) : expected.reals[size_t(i)];
    double allowed = expected.isInteger ? 0 : tolerance * (1 + std::abs(b));
    ASSERT_TRUE(std::abs(a - b) <= allowed)
        << what << ", element " << i << ": " << a << ", expected " << b;
  }
}

void expectReference(const Component &component, double tolerance) {
  std::string text = component.text();
  SCOPED_TRACE(text);
  MLIRContext context;
  loadDialects(context);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  ASSERT_TRUE(bool(module));
  auto function = *module->getOps<func::FuncOp>().begin();
  reference::Interpreter interpreter(*module);
  reference::Interpreter::Values arguments;
  for (auto [argument, value] : llvm::zip_equal(function.getArguments(), component.values))
    arguments.push_back(referenceOf(value, argument.getType()));
  FailureOr<reference::Interpreter::Values> expected = interpreter.call("component", arguments);
  ASSERT_TRUE(succeeded(expected));
  auto check = [&](const std::vector<HostTensor> &results, const std::string &what) {
    for (size_t i = 0; i < results.size(); ++i)
      compare(results[i], *(*expected)[i],
              cast<RankedTensorType>(function.getResultTypes()[i]).getElementType(), tolerance,
              what + std::to_string(i));
  };
  std::vector<HostTensor> single = KernelHarness(fused(text, false)).run(component.values);
  std::vector<HostTensor> together = KernelHarness(fused(text)).runEveryCut(component.values);
  check(together, "result ");
  for (size_t i = 0; i < single.size(); ++i)
    EXPECT_TRUE(single[i].sameBits(together[i])) << "result " << i << " depends on fusion";
  check(KernelHarness(fused(text), "x86-64-v4", cpu::hostCpu()).run(component.values),
        "wide registers, result ");
}

} // namespace hadal::test
