// SPDX-License-Identifier: Apache-2.0
//
// See Safetensors.h.

#include "runtime/checkpoint/Safetensors.h"

#include "runtime/support/Error.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cstring>

namespace hadal::rt {

using nlohmann::json;

namespace {

/// One file's header being read: errors name the file, and the tensor where there is one.
class HeaderReader {
public:
  HeaderReader(const MappedFile &file) : file(file) {}

  std::vector<TensorInfo> read() {
    const std::uint64_t headerBytes = headerLength();
    dataBegin = 8 + headerBytes;
    std::string_view text(reinterpret_cast<const char *>(file.data()) + 8, headerBytes);
    json header = parseJson(text, file.path());
    if (!header.is_object())
      throw InputError(file.path(), "the header is not a JSON object");
    std::vector<TensorInfo> tensors;
    for (const auto &[name, value] : header.items())
      if (name != "__metadata__")
        tensors.push_back(readTensor(name, value));
    checkLayout(tensors);
    return tensors;
  }

private:
  [[noreturn]] void refuse(const std::string &tensor, const std::string &message) const {
    throw InputError(file.path(), "tensor " + tensor + ": " + message);
  }

  std::uint64_t headerLength() const {
    if (file.size() < 8)
      throw InputError(file.path(),
                       "is " + std::to_string(file.size()) +
                           " bytes long; a safetensors file starts with 8 bytes of header length");
    std::uint64_t length;
    std::memcpy(&length, file.data(), 8);
    constexpr std::uint64_t kLimit = 100'000'000; // the format's own limit
    if (length > kLimit || length > file.size() - 8)
      throw InputError(
          file.path(),
          "header length " + std::to_string(length) + " does not fit; the file has " +
              std::to_string(file.size()) +
              " bytes and a header at most 100000000 (truncated, or no safetensors file)");
    return length;
  }

  TensorInfo readTensor(const std::string &name, const json &value) const {
    if (!value.is_object())
      refuse(name, "its description is not a JSON object");
    TensorInfo tensor;
    tensor.name = name;
    for (const auto &[key, field] : value.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        refuse(name, "unknown key \"" + key + "\"; allowed are dtype, shape, data_offsets");
    if (!value.contains("dtype") || !value["dtype"].is_string())
      refuse(name, "has no dtype");
    auto dtype = parseDtype(value["dtype"].get_ref<const std::string &>());
    if (!dtype)
      refuse(name,
             "dtype " + value["dtype"].get<std::string>() +
                 " is not supported; supported are F64 F32 BF16 F16 I64 I32 U8 F8_E4M3 F8_E5M2");
    tensor.dtype = *dtype;
    tensor.shape = integers(name, value, "shape");
    std::vector<std::int64_t> offsets = integers(name, value, "data_offsets");
    auto elements = elementCount(tensor.shape);
    std::int64_t bytes = 0;
    if (!elements || __builtin_mul_overflow(*elements, dtypeBytes(*dtype), &bytes))
      refuse(name, "shape " + shapeText(tensor.shape) + " is too large");
    if (offsets.size() != 2 || offsets[0] > offsets[1])
      refuse(name, "data_offsets " + shapeText(offsets) + " are not a range");
    if (std::uint64_t(offsets[1]) > file.size() - dataBegin)
      refuse(name, "data_offsets " + shapeText(offsets) + " lie outside the file's " +
                       std::to_string(file.size() - dataBegin) + " bytes of data (truncated?)");
    if (offsets[1] - offsets[0] != bytes)
      refuse(name, "has " + std::to_string(offsets[1] - offsets[0]) + " bytes; shape " +
                       shapeText(tensor.shape) + " of " + dtypeName(*dtype) + " needs " +
                       std::to_string(bytes));
    tensor.elements = *elements;
    tensor.begin = dataBegin + std::uint64_t(offsets[0]);
    tensor.end = dataBegin + std::uint64_t(offsets[1]);
    return tensor;
  }

  std::vector<std::int64_t> integers(const std::string &name, const json &value,
                                     const char *key) const {
    if (!value.contains(key) || !value[key].is_array())
      refuse(name, std::string("has no ") + key);
    std::vector<std::int64_t> result;
    for (const json &item : value[key]) {
      if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::uint64_t(INT64_MAX))
        refuse(name, std::string(key) + " holds " + item.dump() + "; allowed are integers from 0");
      result.push_back(item.get<std::int64_t>());
    }
    return result;
  }

  void checkLayout(std::vector<TensorInfo> &tensors) const {
    std::sort(tensors.begin(), tensors.end(), [](const TensorInfo &a, const TensorInfo &b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    std::uint64_t at = dataBegin;
    for (const TensorInfo &tensor : tensors) {
      if (tensor.begin < at)
        refuse(tensor.name, "its data overlap those of another tensor");
      if (tensor.begin > at)
        refuse(tensor.name, "there is a hole of " + std::to_string(tensor.begin - at) +
                                " bytes before its data");
      at = tensor.end;
    }
    if (at != file.size())
      throw InputError(file.path(), "has " + std::to_string(file.size() - at) +
                                        " bytes after the data of the last tensor");
  }

  const MappedFile &file;
  std::uint64_t dataBegin = 0;
};

} // namespace

SafetensorsFile::SafetensorsFile(const std::string &path) : file(path) {
  all = HeaderReader(file).read();
  for (std::size_t i = 0; i < all.size(); ++i)
    byName.emplace(all[i].name, i);
}

const TensorInfo *SafetensorsFile::find(const std::string &name) const {
  auto found = byName.find(name);
  return found == byName.end() ? nullptr : &all[found->second];
}

const TensorInfo &SafetensorsFile::get(const std::string &name) const {
  if (const TensorInfo *tensor = find(name))
    return *tensor;
  throw InputError(path(), "tensor " + name + ": is missing");
}

SafetensorsWriter::SafetensorsWriter(const std::string &path, std::vector<TensorInfo> tensors)
    : file(path), name(path) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  std::uint64_t at = 0;
  for (TensorInfo &tensor : tensors) {
    auto elements = elementCount(tensor.shape);
    if (!elements || header.contains(tensor.name))
      throw RunError(path + ": tensor " + tensor.name + ": cannot be written twice or with shape " +
                     shapeText(tensor.shape));
    std::uint64_t end = at + std::uint64_t(*elements) * std::uint64_t(dtypeBytes(tensor.dtype));
    header[tensor.name] = {
        {"dtype", dtypeName(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  expected = at;
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::uint64_t length = text.size();
  file.write(&length, 8);
  file.write(text.data(), text.size());
  expected += 8 + length;
}

void SafetensorsWriter::append(const void *data, std::uint64_t bytes) { file.write(data, bytes); }

void SafetensorsWriter::finish() {
  if (file.size() != expected)
    throw RunError(name + ": " + std::to_string(file.size()) + " bytes written of " +
                   std::to_string(expected) + " announced");
  file.finish();
}

} // namespace hadal::rt
