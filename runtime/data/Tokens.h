// SPDX-License-Identifier: Apache-2.0
//
// Streams of token ids on disk: text read as bytes, and Megatron's .bin/.idx pairs
// (megatron/core/datasets/indexed_dataset.py, index version 1).

#ifndef HADAL_RUNTIME_DATA_TOKENS_H
#define HADAL_RUNTIME_DATA_TOKENS_H

#include <cstdint>
#include <memory>
#include <string>

namespace hadal::rt {

/// One long sequence of token ids.
class TokenStream {
public:
  virtual ~TokenStream() = default;
  virtual std::int64_t size() const = 0;
  /// Copies ids [begin, begin + count). Throws InputError for an id outside the vocabulary, naming
  /// its position.
  virtual void read(std::int64_t begin, std::int64_t count, std::int32_t *out) const = 0;
};

/// A text file, one id a byte.
std::unique_ptr<TokenStream> openText(const std::string &path);

/// A Megatron pair PREFIX.bin and PREFIX.idx; `path` is any of PREFIX, PREFIX.bin, PREFIX.idx. The
/// stream is the sequences in index order. Throws InputError for a bad magic, version or dtype,
/// sizes that do not add up, and pointers that leave the .bin file.
std::unique_ptr<TokenStream> openMegatron(const std::string &path, std::int64_t vocabulary);

/// Whether `path` names a Megatron pair.
bool isMegatron(const std::string &path);

} // namespace hadal::rt

#endif
