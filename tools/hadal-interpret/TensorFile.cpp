// SPDX-License-Identifier: Apache-2.0
//
// See TensorFile.h.

#include "tools/hadal-interpret/TensorFile.h"

#include "dialects/Hadal/Reference/Float8.h"
#include "runtime/support/Error.h"

#include "mlir/IR/BuiltinTypes.h"

#include <cstring>
#include <filesystem>
#include <unistd.h>

using hadal::reference::Tensor;

namespace hadal::tools {

void StoredTensor::append(const Tensor &more) {
  if (tensor.shape.empty()) {
    tensor = more;
    return;
  }
  tensor.shape[0] += more.shape[0];
  tensor.reals.insert(tensor.reals.end(), more.reals.begin(), more.reals.end());
  tensor.integers.insert(tensor.integers.end(), more.integers.begin(), more.integers.end());
}

template <typename To, typename From>
static std::vector<unsigned char> bytesOf(const std::vector<From> &values) {
  std::vector<unsigned char> bytes(values.size() * sizeof(To));
  for (size_t i = 0; i < values.size(); ++i) {
    To value = To(values[i]);
    std::memcpy(bytes.data() + i * sizeof(To), &value, sizeof(To));
  }
  return bytes;
}

static std::vector<unsigned char> encode(const StoredTensor &stored) {
  switch (stored.dtype) {
  case rt::DType::F64:
    return bytesOf<double>(stored.tensor.reals);
  case rt::DType::I64:
    return bytesOf<int64_t>(stored.tensor.integers);
  case rt::DType::I32:
    return bytesOf<int32_t>(stored.tensor.integers);
  case rt::DType::F8E4M3:
  case rt::DType::F8E5M2: {
    bool e5m2 = stored.dtype == rt::DType::F8E5M2;
    reference::Float8 format = e5m2 ? reference::kE5M2 : reference::kE4M3;
    std::vector<unsigned char> bytes;
    bytes.reserve(stored.tensor.reals.size());
    for (double value : stored.tensor.reals)
      bytes.push_back(format.encode(value));
    return bytes;
  }
  default:
    return bytesOf<float>(stored.tensor.reals);
  }
}

void writeTensors(const std::string &path, const std::map<std::string, StoredTensor> &tensors) {
  std::vector<rt::TensorInfo> infos;
  for (const auto &[name, stored] : tensors) {
    rt::TensorInfo info;
    info.name = name;
    info.dtype = stored.dtype;
    info.shape.assign(stored.tensor.shape.begin(), stored.tensor.shape.end());
    infos.push_back(std::move(info));
  }
  std::string temporary = path + ".tmp-" + std::to_string(::getpid());
  rt::SafetensorsWriter writer(temporary, std::move(infos));
  for (const auto &[name, stored] : tensors) {
    std::vector<unsigned char> bytes = encode(stored);
    writer.append(bytes.data(), bytes.size());
  }
  writer.finish();
  std::error_code failed;
  std::filesystem::rename(temporary, path, failed);
  if (failed)
    throw rt::RunError(path + ": cannot be written: " + failed.message());
}

template <typename From, typename To>
static void readInto(const unsigned char *data, std::vector<To> &out) {
  for (size_t i = 0; i < out.size(); ++i) {
    From value;
    std::memcpy(&value, data + i * sizeof(From), sizeof(From));
    out[i] = To(value);
  }
}

Tensor readTensor(const rt::SafetensorsFile &file, const rt::TensorInfo &info) {
  const unsigned char *data = file.data(info);
  Tensor out;
  out.shape.assign(info.shape.begin(), info.shape.end());
  out.isInteger = info.dtype == rt::DType::I64 || info.dtype == rt::DType::I32;
  if (out.isInteger) {
    out.integers.resize(size_t(info.elements));
    if (info.dtype == rt::DType::I64)
      readInto<int64_t>(data, out.integers);
    else
      readInto<int32_t>(data, out.integers);
    return out;
  }
  out.reals.resize(size_t(info.elements));
  if (info.dtype == rt::DType::F64) {
    readInto<double>(data, out.reals);
    return out;
  }
  std::vector<float> narrow(size_t(info.elements));
  rt::toF32(info.dtype, data, info.elements, narrow.data());
  out.reals.assign(narrow.begin(), narrow.end());
  return out;
}

rt::DType dtypeOf(mlir::Type element) {
  if (element.isF64())
    return rt::DType::F64;
  if (element.isInteger(64))
    return rt::DType::I64;
  if (element.isInteger(32))
    return rt::DType::I32;
  if (llvm::isa<mlir::Float8E4M3FNType>(element))
    return rt::DType::F8E4M3;
  if (llvm::isa<mlir::Float8E5M2Type>(element))
    return rt::DType::F8E5M2;
  return rt::DType::F32;
}

} // namespace hadal::tools
