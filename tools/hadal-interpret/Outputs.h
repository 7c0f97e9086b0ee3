// SPDX-License-Identifier: Apache-2.0
//
// What a model run writes: the outputs of @evaluate over a step, in the order of its rows.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_OUTPUTS_H
#define HADAL_TOOLS_HADAL_INTERPRET_OUTPUTS_H

#include "tools/hadal-interpret/Step.h"
#include "tools/hadal-interpret/TensorFile.h"

namespace hadal::tools {

class Outputs {
public:
  std::map<std::string, StoredTensor> tensors;

  /// What one micro-batch of one replica gave. Throws rt::InputError.
  void add(const std::map<std::string, reference::TensorPtr> &outputs);
  /// Puts the losses into the tensors, as means over the micro-batches of all replicas.
  void finish(const ModelInputs &inputs);
  /// gradient.NAME of every trained parameter, experts one by one; zeros where none was computed.
  void addGradients(const ModelSpec &spec, const Gradients &gradients);

private:
  void appendRows(const std::string &name, rt::DType dtype, reference::Tensor tensor);
  void addCounts(const std::string &name, const reference::Tensor &counts);
  void addLosses(const std::string &name, std::vector<double> values);

  double main = 0, balanceSum = 0;
  std::map<int64_t, double> mtp; // by depth
};

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_OUTPUTS_H
