// SPDX-License-Identifier: Apache-2.0
//
// The safetensors file format (github.com/huggingface/safetensors): 8 bytes header length, a JSON
// header {name: {dtype, shape, data_offsets}}, tensor data without holes. Reader (mapped, strictly
// checked) and streaming writer.

#ifndef HADAL_RUNTIME_CHECKPOINT_SAFETENSORS_H
#define HADAL_RUNTIME_CHECKPOINT_SAFETENSORS_H

#include "runtime/checkpoint/DType.h"
#include "runtime/support/File.h"

#include <map>
#include <string>
#include <vector>

namespace hadal::rt {

/// One tensor as a file describes it. Offsets are bytes within the whole file.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 0;
  std::uint64_t begin = 0, end = 0;
};

class SafetensorsFile {
public:
  /// Maps and checks a file. Throws InputError naming file and tensor for: a header that does not
  /// fit, bad JSON, duplicate names, unknown dtypes, sizes that do not match the shape, offsets
  /// that overlap, leave holes or lie outside.
  explicit SafetensorsFile(const std::string &path);

  const std::string &path() const { return file.path(); }
  /// In the order of their data.
  const std::vector<TensorInfo> &tensors() const { return all; }
  const TensorInfo *find(const std::string &name) const;
  /// Like find, but throws InputError when the tensor is not there.
  const TensorInfo &get(const std::string &name) const;
  const unsigned char *data(const TensorInfo &tensor) const { return file.data() + tensor.begin; }

private:
  MappedFile file;
  std::vector<TensorInfo> all;
  std::map<std::string, std::size_t> byName;
};

/// Writes one file: all tensors are announced first, then their bytes follow in that order.
class SafetensorsWriter {
public:
  /// `tensors`: name, dtype and shape are read, elements and offsets are filled in here. Throws
  /// RunError when the file exists or cannot be written.
  SafetensorsWriter(const std::string &path, std::vector<TensorInfo> tensors);
  /// The next bytes of the data section, in the order of the announced tensors.
  void append(const void *data, std::uint64_t bytes);
  /// Checks that everything announced was written, and makes the file durable.
  void finish();

  std::uint64_t size() const { return file.size(); }
  std::string checksum() const { return file.checksum(); }

private:
  DurableFile file;
  std::string name;
  std::uint64_t expected = 0;
};

} // namespace hadal::rt

#endif
