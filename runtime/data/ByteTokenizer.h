// SPDX-License-Identifier: Apache-2.0
//
// Text as bytes: ids 0 to 255, then bos 256, eos 257, pad 258.

#ifndef HADAL_RUNTIME_DATA_BYTETOKENIZER_H
#define HADAL_RUNTIME_DATA_BYTETOKENIZER_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hadal::rt {

class ByteTokenizer {
public:
  static constexpr std::int64_t kBos = 256, kEos = 257, kPad = 258, kVocabulary = 259;

  /// Throws InputError when text cannot be used: a vocabulary below 259, or weights from a folder
  /// (empty: none) that brings a tokenizer.json of its own. `what` names the flag or file.
  static void requireUsable(std::int64_t vocabulary, const std::string &weights,
                            const std::string &what);

  static std::vector<std::int32_t> encode(std::string_view text);
  /// The byte of an id; ids from 256 up have no text.
  static std::string decode(std::int64_t id);
};

} // namespace hadal::rt

#endif
