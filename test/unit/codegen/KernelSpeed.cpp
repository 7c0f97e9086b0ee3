// SPDX-License-Identifier: Apache-2.0
//
// Speed of product kernels on this machine: GFLOP/s of the best of several runs, for shapes given
// as kind:rows:depth:columns (kind: linear, transposed, gradient).

#include "test/unit/codegen/KernelHarness.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

using namespace hadal::test;

namespace {

struct Shape {
  std::string kind;
  int64_t rows, depth, columns;
};

std::string tensor(std::vector<int64_t> sizes) {
  std::string text = "tensor<";
  for (int64_t size : sizes)
    text += std::to_string(size) + "x";
  return text + "f32>";
}

std::vector<std::vector<int64_t>> operandShapes(const Shape &s) {
  if (s.kind == "gradient")
    return {{s.rows, s.depth}, {s.rows, s.columns}, {s.depth, s.columns}};
  if (s.kind == "transposed")
    return {{s.rows, s.depth}, {s.depth, s.columns}};
  if (s.kind == "add")
    return {{s.rows, s.depth}, {s.columns, s.depth}, {s.rows, s.columns}};
  return {{s.rows, s.depth}, {s.columns, s.depth}};
}

std::string moduleOf(const Shape &s) {
  std::string arguments, types, blockArguments, values;
  for (auto [i, shape] : llvm::enumerate(operandShapes(s))) {
    std::string n = std::to_string(i), comma = i ? ", " : "";
    arguments += comma + "%a" + n + ": " + tensor(shape);
    blockArguments += comma + "%b" + n + ": " + tensor(shape);
    types += comma + tensor(shape);
    values += comma + "%a" + n;
  }
  bool gradient = s.kind == "gradient";
  std::string result = gradient ? tensor({s.depth, s.columns}) : tensor({s.rows, s.columns});
  std::string op = gradient ? "hadal.weight_gradient %b0, %b1, %b2" : "hadal.linear %b0, %b1";
  if (s.kind == "transposed")
    op += " {transpose_weight}";
  std::string operands = types, last = "%c";
  if (s.kind == "add") {
    operands = tensor(operandShapes(s)[0]) + ", " + tensor(operandShapes(s)[1]);
    last = "%d";
  }
  std::string add =
      s.kind == "add" ? "\n%d = hadal.add %c, %b2 : " + result + ", " + result : std::string();
  return "func.func @f(" + arguments + ") -> " + result + " {\n%r = hadal.kernel(" + values +
         ") : (" + types + ") -> " + result + " {\n^bb0(" + blockArguments + "):\n%c = " + op +
         " : " + operands + add + "\nhadal.yield " + last + " : " + result +
         "\n}\nreturn %r : " + result + "\n}\n";
}

} // namespace

int main(int argc, char **argv) {
  int threads = std::getenv("THREADS") ? int(std::strtol(std::getenv("THREADS"), nullptr, 10)) : 1;
  bool cold = std::getenv("COLD");
  for (int i = 1; i < argc; ++i) {
    Shape shape;
    char colon;
    std::istringstream text(argv[i]);
    std::getline(text, shape.kind, ':');
    text >> shape.rows >> colon >> shape.depth >> colon >> shape.columns;
    KernelHarness harness(moduleOf(shape));
    if (const char *path = std::getenv("DUMP")) { // the shared object, to look at its code
      FILE *file = std::fopen(path, "wb");
      std::fwrite(harness.object().data(), 1, harness.object().size(), file);
      std::fclose(file);
    }
    std::vector<HostTensor> operands;
    for (const std::vector<int64_t> &sizes : operandShapes(shape))
      operands.push_back(randomTensor(sizes, unsigned(operands.size())));
    double flops = 2.0 * double(shape.rows) * double(shape.depth) * double(shape.columns);
    double seconds = harness.bestSeconds(operands, int(std::max(5.0, (cold ? 4e9 : 2e10) / flops)),
                                         threads, cold);
    std::printf("%-28s %7.1f GFLOP/s  %8.3f ms\n", argv[i], flops / seconds * 1e-9, seconds * 1e3);
  }
}
