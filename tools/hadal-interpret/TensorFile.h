// SPDX-License-Identifier: Apache-2.0
//
// Tensors of the interpreter in safetensors files.

#ifndef HADAL_TOOLS_HADAL_INTERPRET_TENSORFILE_H
#define HADAL_TOOLS_HADAL_INTERPRET_TENSORFILE_H

#include "dialects/Hadal/Reference/Tensor.h"
#include "runtime/checkpoint/Safetensors.h"

#include "mlir/IR/Types.h"

namespace hadal::tools {

/// A tensor as it goes to a file: f32 and FP8 elements are rounded there.
struct StoredTensor {
  rt::DType dtype = rt::DType::F32;
  reference::Tensor tensor;

  /// Appends rows: `more` has the same shape but for the first dimension.
  void append(const reference::Tensor &more);
};

/// Writes a file; it appears only when it is whole. Throws rt::RunError.
void writeTensors(const std::string &path, const std::map<std::string, StoredTensor> &tensors);

/// The values of a tensor of a file, exactly.
reference::Tensor readTensor(const rt::SafetensorsFile &file, const rt::TensorInfo &info);

/// How elements of a type are stored.
rt::DType dtypeOf(mlir::Type element);

} // namespace hadal::tools

#endif // HADAL_TOOLS_HADAL_INTERPRET_TENSORFILE_H
