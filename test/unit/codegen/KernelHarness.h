// SPDX-License-Identifier: Apache-2.0
//
// Runs kernels for tests: compiles a function of hadal.kernel ops for this machine, loads the
// shared object and executes the kernels in order on given tensors. Memory ends at a page that
// nobody may touch, so that a kernel that reads or writes behind a tensor crashes; scratch is
// checked for writes behind its end.

#ifndef HADAL_TEST_UNIT_CODEGEN_KERNELHARNESS_H
#define HADAL_TEST_UNIT_CODEGEN_KERNELHARNESS_H

#include "runtime/device/CpuDevice.h"

#include "dialects/Hadal/Hadal.h"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hadal::test {

/// A dense tensor of host elements.
struct HostTensor {
  std::vector<int64_t> shape;
  size_t elementBytes = 4;
  std::vector<char> bytes;

  int64_t elements() const;
  template <typename T> T *as() { return reinterpret_cast<T *>(bytes.data()); }
  template <typename T> const T *as() const { return reinterpret_cast<const T *>(bytes.data()); }
  float *f32() { return as<float>(); }
  const float *f32() const { return as<float>(); }
  double *f64() { return as<double>(); }
  const double *f64() const { return as<double>(); }

  bool sameBits(const HostTensor &other) const {
    return shape == other.shape && bytes == other.bytes;
  }
};

/// f32 values in [-scale, scale) that depend on the seed only.
HostTensor randomTensor(std::vector<int64_t> shape, unsigned seed, double scale = 1.0);
template <typename T>
HostTensor tensorOf(std::vector<int64_t> shape, const std::vector<T> &values) {
  HostTensor tensor{std::move(shape), sizeof(T), std::vector<char>(values.size() * sizeof(T))};
  if (!values.empty()) // where there are none, the pointers may be null
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
  return tensor;
}
/// The largest |a - b| / (1 + |b|) over f32 elements; infinite where shapes differ or a value is
/// not a number.
double largestError(const HostTensor &got, const HostTensor &expected);

/// How a grid is cut.
struct Cut {
  int threads = 1;
  int64_t chunk = 0; ///< 0: what the pool does by itself
};

/// How many rows a run has, where values and kernels are marked with `hadal.rows`: their memory has
/// no more.
struct RowCounts {
  int64_t received = -1, routed = -1; ///< -1: the most there can be
};

class KernelHarness {
public:
  /// `text`: a module with one function. Throws std::runtime_error with the diagnostics. `machine`:
  /// another CPU to make the machine code for; so code written for wide registers runs on machines
  /// that have none.
  explicit KernelHarness(const std::string &text, std::string cpu = "", std::string machine = "");
  ~KernelHarness();

  /// The function's results for these arguments.
  std::vector<HostTensor> run(const std::vector<HostTensor> &arguments, Cut cut = {},
                              RowCounts counts = {});
  /// The same for several cuts of the grids; throws where bits differ between them.
  std::vector<HostTensor> runEveryCut(const std::vector<HostTensor> &arguments);
  /// The best time of all kernels together of `repeats` runs, in seconds; `cold`: with other data
  /// in the caches.
  double bestSeconds(const std::vector<HostTensor> &arguments, int repeats, int threads,
                     bool cold = false);

  mlir::ModuleOp module() { return *owner; }
  const std::string &object() const { return bytes; }
  double compileSeconds = 0;

private:
  struct Memory;
  double execute(std::map<void *, std::shared_ptr<Memory>> &memories, Cut cut);
  /// The rows of a value that a mark says are counted at the launch; -1: as its type says.
  int64_t rowsOf(mlir::Attribute mark) const;
  /// The shape of an argument, or of a result of a kernel, for this run.
  std::vector<int64_t> shapeOf(mlir::Value value);
  std::map<void *, std::shared_ptr<Memory>> bind(const std::vector<HostTensor> &arguments);

  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> owner;
  mlir::func::FuncOp function;
  std::string bytes;
  rt::KernelLibrary library;
  bool measuring = false;
  RowCounts counts;
  std::map<void *, mlir::Attribute>
      marks; ///< of values, from arguments and results of the function
};

} // namespace hadal::test

#endif // HADAL_TEST_UNIT_CODEGEN_KERNELHARNESS_H
