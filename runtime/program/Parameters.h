// SPDX-License-Identifier: Apache-2.0
//
// A bundle's parameters as a checkpoint names them: stacks of experts one by one.

#ifndef HADAL_RUNTIME_PROGRAM_PARAMETERS_H
#define HADAL_RUNTIME_PROGRAM_PARAMETERS_H

#include "runtime/program/Layout.h"

#include <string>
#include <vector>

namespace hadal::rt {

/// One tensor of a checkpoint and where it lies: `offset` bytes into the parameter's storages
/// (values, gradient and moments are laid out alike).
struct ParameterTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 0;
  std::uint64_t offset = 0;
  const bundle::Parameter *parameter = nullptr;

  float *values(Store &store) const { return in(store, std::int64_t(parameter->storage())); }
  /// Storage `index` is one of the parameter's gradient, moment1, moment2.
  float *in(Store &store, std::int64_t index) const {
    return reinterpret_cast<float *>(store.at(std::uint32_t(index)) + offset);
  }
};

/// All tensors in the order of the parameters.
std::vector<ParameterTensor> parameterTensors(const Bundle &bundle);

/// Reads what a rank holds from `path` (a folder or a file with all of the model's tensors); see
/// Weights.h for what is refused.
void loadWeights(Store &store, ThreadPool &pool, const Layout &layout, const std::string &path);
/// Every parameter whole.
void loadWeights(Store &store, ThreadPool &pool, const std::string &path);

} // namespace hadal::rt

#endif
