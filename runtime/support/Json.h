// SPDX-License-Identifier: Apache-2.0
//
// Reading of the JSON files the runtime itself owns (safetensors headers, indexes, checkpoint
// state): duplicate keys and deep nesting are refused.

#ifndef HADAL_RUNTIME_SUPPORT_JSON_H
#define HADAL_RUNTIME_SUPPORT_JSON_H

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace hadal::rt {

/// Parses `text`; throws InputError naming `file` on bad syntax, a duplicate key or nesting
/// over 64.
nlohmann::json parseJson(std::string_view text, const std::string &file);

} // namespace hadal::rt

#endif
