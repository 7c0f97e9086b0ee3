// SPDX-License-Identifier: Apache-2.0
//
// The SAX side of JSON input: nlohmann's parser checks the grammar and calls back once per token,
// and a cursor that walks the same text gives each value its line and column.

#include "frontend/Json.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>

namespace hadal {

namespace {

constexpr size_t kShownCharacters = 60;    ///< of a value
constexpr size_t kMessageCharacters = 600; ///< of each part of a message

bool isContinuation(unsigned char c) { return (c & 0xc0) == 0x80; }

/// Length of the valid UTF-8 sequence at `text[i]`, 0 if there is none.
size_t utf8Length(std::string_view text, size_t i) {
  unsigned char c = text[i];
  size_t length = c < 0x80                ? 1
                  : c >= 0xc2 && c < 0xe0 ? 2
                  : (c & 0xf0) == 0xe0    ? 3
                  : c >= 0xf0 && c < 0xf5 ? 4
                                          : 0;
  if (length == 0 || i + length > text.size())
    return 0;
  for (size_t k = 1; k < length; ++k)
    if (!isContinuation(text[i + k]))
      return 0;
  return length;
}

/// Printable on one line: control characters and bytes that are not UTF-8 become \xNN.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    unsigned char c = text[i];
    size_t length = utf8Length(text, i);
    if (length == 0 || c < 0x20 || c == 0x7f) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\x%02x", c);
      out += buffer;
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out;
}

/// The beginning of a long text, cut between characters.
std::string shortened(std::string_view text, size_t limit = kShownCharacters) {
  if (text.size() <= limit)
    return std::string(text);
  size_t end = limit;
  while (end > 0 && isContinuation(text[end]))
    --end;
  return std::string(text.substr(0, end)) + "...";
}

/// Builds the tree. Tokens arrive in file order, so the place of the next one is found by skipping
/// from the end of the last.
class TreeBuilder : public nlohmann::json_sax<nlohmann::json> {
public:
  TreeBuilder(std::string_view text, const std::string &file) : text(text), file(file) {
    if (text.substr(0, 3) == "\xef\xbb\xbf")
      cursor = 3;
  }

  JsonValue root;
  std::optional<InputError> error;

  bool null() override { return place(JsonValue()); }
  bool boolean(bool x) override {
    JsonValue value;
    value.kind = JsonValue::Kind::Bool;
    value.boolean = x;
    return place(std::move(value));
  }
  bool number_integer(number_integer_t x) override { return placeInteger(x); }
  bool number_unsigned(number_unsigned_t x) override {
    return x <= static_cast<uint64_t>(INT64_MAX) ? placeInteger(static_cast<int64_t>(x))
                                                 : placeFloat(static_cast<double>(x));
  }
  bool number_float(number_float_t x, const string_t &) override { return placeFloat(x); }
  bool string(string_t &x) override {
    JsonValue value;
    value.kind = JsonValue::Kind::String;
    value.text = x;
    return place(std::move(value));
  }
  bool binary(binary_t &) override { return false; }
  bool start_object(std::size_t) override { return open(JsonValue::Kind::Object); }
  bool start_array(std::size_t) override { return open(JsonValue::Kind::Array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t &name) override {
    toToken();
    JsonValue &object = *stack.back();
    if (object.member(name)) {
      refuse(pathTo(name), "the key " + quoteJson(shortened(name)) + " a second time",
             "each key once");
      return false;
    }
    object.keys.push_back(name);
    skipToken();
    return true;
  }

  bool parse_error(std::size_t position, const std::string &,
                   const nlohmann::detail::exception &reason) override {
    // The reason reads "[json.exception.parse_error.101] parse error at line 1, column 2: what";
    // the place is ours.
    std::string what = reason.what();
    size_t start = what.find("] ");
    start = start == std::string::npos ? 0 : start + 2;
    if (what.compare(start, 11, "parse error") == 0) {
      size_t colon = what.find(": ", start);
      start = colon == std::string::npos ? start : colon + 2;
    }
    size_t target = position == 0 ? 0 : std::min(position - 1, text.size());
    if (target < cursor) // a number out of range is reported without a position
      target = cursor;
    moveTo(target);
    refuse(stack.empty() ? "" : pathTo({}),
           "invalid JSON (" + printable(shortenedReason(what.substr(start))) + ")",
           "one valid JSON document in UTF-8");
    return false;
  }

private:
  /// nlohmann repeats the last text it read, which may be a whole long string.
  static std::string shortenedReason(std::string what) {
    size_t last = what.find("last read: '");
    if (last == std::string::npos)
      return what;
    size_t from = last + 12, to = what.rfind('\'');
    if (to == std::string::npos || to < from)
      return what;
    return what.substr(0, from) + shortened(what.substr(from, to - from)) + what.substr(to);
  }

  void moveTo(size_t target) {
    for (; cursor < target; ++cursor)
      if (text[cursor] == '\n') {
        ++line;
        lineStart = cursor + 1;
      }
  }

  void toToken() {
    size_t at = cursor;
    while (at < text.size() && std::strchr(" \t\r\n,:]}", text[at]))
      ++at;
    moveTo(at);
  }

  /// Past the token at the cursor; the text is known to be valid up to its end.
  void skipToken() {
    size_t end = cursor + 1;
    if (text[cursor] == '"') {
      while (end < text.size() && text[end] != '"')
        end += text[end] == '\\' ? 2 : 1;
      ++end;
    } else if (text[cursor] != '{' && text[cursor] != '[') {
      while (end < text.size() && !std::strchr(" \t\r\n,:]}", text[end]))
        ++end;
    }
    cursor = std::min(end, text.size());
  }

  std::string pathTo(std::optional<std::string> key) const {
    std::string path;
    for (size_t i = 0; i + 1 < stack.size(); ++i)
      appendStep(path, *stack[i]);
    if (!stack.empty() && key)
      path += (path.empty() ? "" : ".") + *key;
    else if (!stack.empty() && !stack.back()->keys.empty())
      path += (path.empty() ? "" : ".") + stack.back()->keys.back();
    return path;
  }
  static void appendStep(std::string &path, const JsonValue &parent) {
    if (parent.kind == JsonValue::Kind::Array)
      path += "[" + std::to_string(parent.elements.size() - 1) + "]";
    else
      path += (path.empty() ? "" : ".") + parent.keys.back();
  }

  void refuse(std::string place, std::string found, std::string allowed) {
    error = InputError{file, line, std::move(place), std::move(found), std::move(allowed)};
  }

  JsonValue &attach(JsonValue value) {
    toToken();
    value.line = line;
    value.column = static_cast<int>(cursor - lineStart) + 1;
    if (stack.empty())
      return root = std::move(value);
    stack.back()->elements.push_back(std::move(value));
    return stack.back()->elements.back();
  }
  bool place(JsonValue value) {
    JsonValue &placed = attach(std::move(value));
    size_t start = cursor;
    skipToken();
    if (placed.isNumber())
      placed.text = text.substr(start, cursor - start);
    return true;
  }
  bool placeInteger(int64_t x) {
    JsonValue value;
    value.kind = JsonValue::Kind::Integer;
    value.integer = x;
    value.number = static_cast<double>(x);
    return place(std::move(value));
  }
  bool placeFloat(double x) {
    JsonValue value;
    value.kind = JsonValue::Kind::Float;
    value.number = x;
    return place(std::move(value));
  }
  bool open(JsonValue::Kind kind) {
    if (stack.size() >= kJsonNestingLimit) {
      toToken();
      refuse("", "values nested deeper than " + std::to_string(kJsonNestingLimit),
             "at most " + std::to_string(kJsonNestingLimit) + " levels");
      return false;
    }
    JsonValue value;
    value.kind = kind;
    // A parent's elements grow only while none of its children is open, so these pointers stay
    // valid.
    stack.push_back(&attach(std::move(value)));
    skipToken();
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  std::string_view text;
  const std::string &file;
  std::vector<JsonValue *> stack;
  size_t cursor = 0, lineStart = 0;
  int line = 1;
};

} // namespace

std::string InputError::message() const {
  std::string out = file;
  if (line > 0)
    out += ":" + std::to_string(line);
  out += ": ";
  if (!place.empty())
    out += shortened(place, 2 * kShownCharacters) + ": ";
  return printable(out + "found " + shortened(found, kMessageCharacters) +
                   "; allowed: " + shortened(allowed, kMessageCharacters));
}

std::optional<int64_t> JsonValue::asInteger() const {
  if (kind == Kind::Integer)
    return integer;
  constexpr double exactLimit = 9007199254740992.0; // 2^53: every integer below is exact in f64
  if (kind == Kind::Float && std::abs(number) <= exactLimit && number == std::floor(number))
    return static_cast<int64_t>(number);
  return std::nullopt;
}

const JsonValue *JsonValue::member(std::string_view key) const {
  for (size_t i = 0; i < keys.size() && i < elements.size(); ++i)
    if (keys[i] == key)
      return &elements[i];
  return nullptr;
}

std::string JsonValue::describe() const {
  switch (kind) {
  case Kind::Null:
    return "null";
  case Kind::Bool:
    return boolean ? "true" : "false";
  case Kind::Integer:
  case Kind::Float:
    return shortened(text);
  case Kind::String:
    return quoteJson(shortened(text)) + " (a string)";
  case Kind::Array:
    return elements.empty() ? "an empty list" : "a list of " + std::to_string(elements.size());
  case Kind::Object:
    return "an object";
  }
  return "";
}

Checked<std::string> readTextFile(const std::string &path) {
  auto refused = [&](std::string found) {
    return InputError{path, 0, "", std::move(found), "a readable file"};
  };
  struct stat info;
  if (::stat(path.c_str(), &info) != 0)
    return refused(errno == ENOENT ? "no such file"
                                   : std::string("an error: ") + std::strerror(errno));
  if (S_ISDIR(info.st_mode))
    return refused("a folder");
  std::FILE *handle = std::fopen(path.c_str(), "rb");
  if (!handle)
    return refused(std::string("an error: ") + std::strerror(errno));
  std::string content;
  char buffer[65536];
  size_t count = 0;
  do {
    count = std::fread(buffer, 1, sizeof buffer, handle);
    content.append(buffer, count);
  } while (count == sizeof buffer);
  bool failed = std::ferror(handle);
  std::fclose(handle);
  if (failed)
    return refused("a read error");
  return content;
}

Checked<JsonValue> parseJson(std::string_view text, const std::string &file) {
  // nlohmann takes a NUL for the end of the input and would accept anything behind it.
  if (size_t at = text.find('\0'); at != text.npos) {
    int line = 1 + static_cast<int>(std::count(text.begin(), text.begin() + at, '\n'));
    return InputError{file, line, "", "a NUL byte", "one valid JSON document in UTF-8"};
  }
  TreeBuilder builder(text, file);
  bool parsed = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  if (builder.error)
    return *builder.error;
  if (!parsed)
    return InputError{file, 0, "", "invalid JSON", "one valid JSON document in UTF-8"};
  return std::move(builder.root);
}

std::string quoteJson(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", c);
      out += buffer;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string printNumber(double x) {
  if (x == std::floor(x) && std::abs(x) < 1e15)
    return std::to_string(static_cast<int64_t>(x));
  char buffer[32];
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, x);
    if (std::strtod(buffer, nullptr) == x)
      break;
  }
  return buffer;
}

} // namespace hadal
