// SPDX-License-Identifier: Apache-2.0
//
// Runs a component through fusion and the CPU's kernels and compares it with the reference
// interpreter in f64.

#ifndef HADAL_TEST_UNIT_CODEGEN_DIFFERENTIAL_H
#define HADAL_TEST_UNIT_CODEGEN_DIFFERENTIAL_H

#include "test/unit/codegen/KernelHarness.h"

namespace hadal::test {

/// "tensor<2x3xf32>".
std::string type(const std::vector<int64_t> &shape, const std::string &element = "f32");

/// A component under construction: arguments with their values, the text of its body, what it
/// returns.
class Component {
public:
  /// Adds an argument; its name is returned.
  std::string argument(const std::vector<int64_t> &shape, HostTensor value,
                       const std::string &element = "f32");
  /// Random values in [-scale, scale).
  std::string random(const std::vector<int64_t> &shape, double scale = 1.0);
  std::string ids(const std::vector<int64_t> &shape, const std::vector<int32_t> &values);
  std::string scalar(double value); ///< f64 of rank 0
  std::string scalarF32(float value);
  std::string scalarI32(int32_t value);
  void line(const std::string &text) { body += "  " + text + "\n"; }
  void result(const std::string &name, const std::string &type) {
    results.emplace_back(name, type);
  }

  /// The module's text, with the ops as they are.
  std::string text() const;
  std::vector<HostTensor> values;

private:
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> results;
  std::string body;
};

/// The same module with kernels formed.
std::string fused(const std::string &text, bool enable = true);
/// Kernels in a module's text.
int countKernels(const std::string &text);

/// Runs the component op by op and fused, for every cut of the grids and for wide registers, and
/// expects each float within `tolerance` of (1 + |reference|), integers equal, and the same bits
/// whether ops share a kernel or not.
void expectReference(const Component &component, double tolerance = 2e-6);

} // namespace hadal::test

#endif // HADAL_TEST_UNIT_CODEGEN_DIFFERENTIAL_H
