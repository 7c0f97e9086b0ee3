// SPDX-License-Identifier: Apache-2.0
//
// See Json.h.

#include "runtime/support/Json.h"

#include "runtime/support/Error.h"

#include <set>
#include <vector>

namespace hadal::rt {

nlohmann::json parseJson(std::string_view text, const std::string &file) {
  using nlohmann::json;
  std::vector<std::set<std::string>> keys;
  auto watch = [&](int depth, json::parse_event_t event, json &value) {
    if (depth > 64)
      throw InputError(file, "JSON nests deeper than 64 levels");
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      if (!keys.back().insert(value.get<std::string>()).second)
        throw InputError(file, "duplicate JSON key \"" + value.get<std::string>() + "\"");
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception &error) {
    std::string what = error.what();
    // nlohmann prefixes its own error id: "[json.exception.parse_error.101] parse error at ..."
    auto close = what.find("] ");
    throw InputError(file,
                     "not valid JSON: " + (close == what.npos ? what : what.substr(close + 2)));
  }
}

} // namespace hadal::rt
