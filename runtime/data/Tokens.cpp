// SPDX-License-Identifier: Apache-2.0
//
// See Tokens.h.

#include "runtime/data/Tokens.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

namespace hadal::rt {

namespace {

class TextStream : public TokenStream {
public:
  explicit TextStream(const std::string &path) : file(path) {}
  std::int64_t size() const override { return std::int64_t(file.size()); }
  void read(std::int64_t begin, std::int64_t count, std::int32_t *out) const override {
    std::copy_n(file.data() + begin, count, out);
  }

private:
  MappedFile file;
};

enum class Code : std::uint8_t { U8 = 1, I8, I16, I32, I64, F64, F32, U16 };

int codeBytes(Code code) {
  switch (code) {
  case Code::U8:
  case Code::I8:
    return 1;
  case Code::I16:
  case Code::U16:
    return 2;
  case Code::I32:
    return 4;
  case Code::I64:
    return 8;
  default:
    return 0; // F32 and F64 hold no ids
  }
}

template <typename T> T load(const unsigned char *at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

class MegatronStream : public TokenStream {
public:
  MegatronStream(const std::string &prefix, std::int64_t vocabulary)
      : index(prefix + ".idx"), tokens(prefix + ".bin"), vocabulary(vocabulary) {
    readHeader();
    readSequences();
  }

  std::int64_t size() const override { return starts.back(); }

  void read(std::int64_t begin, std::int64_t count, std::int32_t *out) const override {
    auto sequence = std::upper_bound(starts.begin(), starts.end(), begin) - starts.begin() - 1;
    for (std::int64_t at = begin; at < begin + count; ++at) {
      while (at >= starts[std::size_t(sequence) + 1])
        ++sequence;
      std::uint64_t offset = std::uint64_t(pointers[std::size_t(sequence)]) +
                             std::uint64_t(at - starts[std::size_t(sequence)]) * bytes;
      std::int64_t id = element(tokens.data() + offset);
      if (id < 0 || id >= vocabulary)
        throw InputError(tokens.path(), "token " + std::to_string(at) + " of the stream is " +
                                            std::to_string(id) + "; allowed are 0 to " +
                                            std::to_string(vocabulary - 1));
      *out++ = std::int32_t(id);
    }
  }

private:
  [[noreturn]] void refuse(const std::string &message) const {
    throw InputError(index.path(), message);
  }

  void readHeader() {
    static const char kMagic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0};
    if (index.size() < kHeader || std::memcmp(index.data(), kMagic, sizeof kMagic) != 0)
      refuse("is not a Megatron index (it does not start with MMIDIDX)");
    auto version = load<std::uint64_t>(index.data() + 9);
    if (version != 1)
      refuse("has index version " + std::to_string(version) + "; supported is 1");
    auto found = index.data()[17];
    code = Code(found);
    bytes = std::uint64_t(codeBytes(code));
    if (!bytes)
      refuse("has dtype code " + std::to_string(found) +
             "; allowed are 1 (uint8), 2 (int8), 3 (int16), 4 (int32), 5 (int64), 8 (uint16)");
    sequences = load<std::uint64_t>(index.data() + 18);
    documents = load<std::uint64_t>(index.data() + 26);
    std::uint64_t room = index.size() - kHeader;
    if (sequences > room / 12 || documents > room / 8 || sequences * 12 + documents * 8 != room)
      refuse("has " + std::to_string(index.size()) + " bytes; " + std::to_string(sequences) +
             " sequences and " + std::to_string(documents) + " document bounds need " +
             std::to_string(kHeader + sequences * 12 + documents * 8));
  }

  void readSequences() {
    const unsigned char *lengths = index.data() + kHeader, *offsets = lengths + sequences * 4,
                        *bounds = offsets + sequences * 8;
    starts.push_back(0);
    for (std::uint64_t i = 0; i < sequences; ++i) {
      auto length = load<std::int32_t>(lengths + i * 4);
      auto pointer = load<std::int64_t>(offsets + i * 8);
      if (length < 0 || pointer < 0 || std::uint64_t(pointer) > tokens.size() ||
          std::uint64_t(length) * bytes > tokens.size() - std::uint64_t(pointer))
        refuse("sequence " + std::to_string(i) + ": " + std::to_string(length) +
               " tokens at byte " + std::to_string(pointer) + " leave " + tokens.path() +
               " with its " + std::to_string(tokens.size()) + " bytes");
      pointers.push_back(pointer);
      starts.push_back(starts.back() + length);
    }
    std::int64_t last = 0;
    for (std::uint64_t i = 0; i < documents; ++i) {
      auto bound = load<std::int64_t>(bounds + i * 8);
      if (bound < last || std::uint64_t(bound) > sequences)
        refuse("document bound " + std::to_string(i) + " is " + std::to_string(bound) +
               "; bounds ascend from 0 to " + std::to_string(sequences));
      last = bound;
    }
  }

  std::int64_t element(const unsigned char *at) const {
    switch (code) {
    case Code::U8:
      return *at;
    case Code::I8:
      return load<std::int8_t>(at);
    case Code::I16:
      return load<std::int16_t>(at);
    case Code::U16:
      return load<std::uint16_t>(at);
    case Code::I32:
      return load<std::int32_t>(at);
    default:
      return load<std::int64_t>(at);
    }
  }

  // magic 9, version 8, dtype 1, sequence count 8, document bound count 8
  static constexpr std::uint64_t kHeader = 34;
  MappedFile index, tokens;
  std::int64_t vocabulary;
  Code code = Code::U8;
  std::uint64_t bytes = 0, sequences = 0, documents = 0;
  std::vector<std::int64_t> starts, pointers;
};

std::string megatronPrefix(const std::string &path) {
  std::filesystem::path file(path);
  if (file.extension() == ".bin" || file.extension() == ".idx")
    return file.replace_extension().string();
  return path;
}

} // namespace

std::unique_ptr<TokenStream> openText(const std::string &path) {
  return std::make_unique<TextStream>(path);
}

std::unique_ptr<TokenStream> openMegatron(const std::string &path, std::int64_t vocabulary) {
  return std::make_unique<MegatronStream>(megatronPrefix(path), vocabulary);
}

bool isMegatron(const std::string &path) {
  std::error_code failed;
  std::string prefix = megatronPrefix(path);
  return prefix != path ||
         (!std::filesystem::exists(path, failed) && std::filesystem::exists(path + ".idx", failed));
}

} // namespace hadal::rt
