// SPDX-License-Identifier: Apache-2.0
//
// See ByteTokenizer.h.

#include "runtime/data/ByteTokenizer.h"

#include "runtime/support/Error.h"

#include <filesystem>

namespace hadal::rt {

void ByteTokenizer::requireUsable(std::int64_t vocabulary, const std::string &weights,
                                  const std::string &what) {
  if (vocabulary < kVocabulary)
    throw InputError(what,
                     "text needs the byte tokenizer's 259 ids, and the model's vocabulary has " +
                         std::to_string(vocabulary) +
                         "; give token ids (--prompt-ids, or --data with tokens or .bin/.idx)");
  namespace fs = std::filesystem;
  std::error_code failed;
  if (weights.empty())
    return;
  fs::path tokenizer = fs::path(weights) / "tokenizer.json";
  if (!fs::is_directory(weights, failed))
    tokenizer = fs::path(weights).parent_path() / "tokenizer.json";
  if (fs::exists(tokenizer, failed))
    throw InputError(tokenizer.string(),
                     "Hugging Face tokenizers are not supported, only bytes as ids; give token ids "
                     "(--prompt-ids, or --data with tokens or .bin/.idx)");
}

std::vector<std::int32_t> ByteTokenizer::encode(std::string_view text) {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size());
  for (unsigned char byte : text)
    ids.push_back(byte);
  return ids;
}

std::string ByteTokenizer::decode(std::int64_t id) {
  return id >= 0 && id < 256 ? std::string(1, char(static_cast<unsigned char>(id))) : std::string();
}

} // namespace hadal::rt
