// SPDX-License-Identifier: Apache-2.0
//
// JSON input with places: a file becomes an ordered tree whose values know their line and column,
// and typed readers take fields out of it, so that every refusal names file, line, JSON path, what
// was found and what is allowed. Nothing here throws; the first error of a file wins and later
// reads return harmless values.

#ifndef HADAL_FRONTEND_JSON_H
#define HADAL_FRONTEND_JSON_H

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hadal {

/// Why an input was refused. `place` is a JSON path such as `optimizer.learning_rate[0].steps`;
/// empty for the file as a whole. `line` counts from 1; 0 if there is none.
struct InputError {
  std::string file;
  int line = 0;
  std::string place, found, allowed;

  /// `FILE:LINE: PLACE: found FOUND; allowed: ALLOWED` in one line, printable whatever bytes the
  /// input held.
  std::string message() const;
};

/// A value, or the reason why there is none.
template <typename T> class Checked {
public:
  Checked(T value) : content(std::move(value)) {}
  Checked(InputError error) : content(std::move(error)) {}
  explicit operator bool() const { return content.index() == 0; }
  T &operator*() { return *std::get_if<0>(&content); }
  const T &operator*() const { return *std::get_if<0>(&content); }
  T *operator->() { return std::get_if<0>(&content); }
  const T *operator->() const { return std::get_if<0>(&content); }
  const InputError &error() const { return *std::get_if<1>(&content); }

private:
  std::variant<T, InputError> content;
};

/// One JSON value. Objects keep their members in file order (`keys[i]` names `elements[i]`).
struct JsonValue {
  enum class Kind : uint8_t { Null, Bool, Integer, Float, String, Array, Object };
  Kind kind = Kind::Null;
  bool boolean = false;
  int64_t integer = 0; ///< of kind Integer (numbers beyond 64 signed bits are of kind Float)
  double number = 0;   ///< of kinds Integer and Float
  std::string text;    ///< content of a string; a number as it was written
  int line = 0, column = 0;
  std::vector<std::string> keys;
  std::vector<JsonValue> elements;

  bool isNumber() const { return kind == Kind::Integer || kind == Kind::Float; }
  /// The number as an integer, if it is one: 7, 7.0 and 7e0 alike.
  std::optional<int64_t> asInteger() const;
  const JsonValue *member(std::string_view key) const;
  /// What a message says of this value: `"silu" (a string)`, `a list of 3`, `null`, ...
  std::string describe() const;
};

/// Arrays and objects may nest this deep.
constexpr int kJsonNestingLimit = 64;

/// The whole content of `path`; refused if it is missing, unreadable or a folder.
Checked<std::string> readTextFile(const std::string &path);

/// Parses one JSON document. Refused: invalid or truncated JSON, text after the document, invalid
/// UTF-8, a key that stands twice in an object, nesting deeper than kJsonNestingLimit, numbers
/// beyond f64. `file` is the name messages use.
Checked<JsonValue> parseJson(std::string_view text, const std::string &file);

/// `text` as a JSON string with its quotes.
std::string quoteJson(std::string_view text);

/// The shortest decimal that reads back as exactly `x`.
std::string printNumber(double x);

/// The closed range of an integer field.
struct IntegerRange {
  int64_t low = 0, high = INT64_MAX;
  std::string describe() const;
};

/// The range of a number field: low (or above low) to high (or below high); finite.
struct NumberRange {
  double low = 0, high = 1e300;
  bool aboveLow = false, belowHigh = false;
  bool contains(double x) const;
  std::string describe() const;
};

/// What reading one file gathers: the first error, and warnings (whole lines as InputError::message
/// has them).
struct InputReport {
  std::string file;
  std::optional<InputError> error;
  std::vector<std::string> warnings;

  /// Keeps the first error only.
  void refuse(int line, std::string place, std::string found, std::string allowed);
};

/// Takes typed fields out of one JSON object and remembers which keys were asked for. A field
/// without a fallback is required. After an error every read returns its fallback, or the lowest
/// allowed value.
class ObjectReader {
public:
  /// `value` null or not an object: refused (null only when a caller passes none; then reads give
  /// fallbacks).
  /// `line` is for messages where `value` is null.
  ObjectReader(InputReport &report, const JsonValue *value, std::string path, int line = 0);

  bool has(const std::string &key) const;    ///< present, null included
  bool isNull(const std::string &key) const; ///< present and null
  std::string pathOf(const std::string &key) const;
  int lineOf(const std::string &key) const; ///< of the object itself where the key is absent

  /// The raw value, marked as known; nullptr if absent.
  const JsonValue *take(const std::string &key);
  int64_t integer(const std::string &key, IntegerRange range, std::optional<int64_t> fallback = {});
  /// The same, where null says `fallback` too.
  int64_t integerOrNull(const std::string &key, IntegerRange range, int64_t fallback);
  double number(const std::string &key, NumberRange range, std::optional<double> fallback = {});
  bool boolean(const std::string &key, std::optional<bool> fallback = {});
  /// One of `allowed`; gives its index.
  size_t choice(const std::string &key, const std::vector<std::string> &allowed,
                std::optional<size_t> fallback = {});
  std::vector<int64_t> integers(const std::string &key, IntegerRange range);
  std::vector<double> numbers(const std::string &key, NumberRange range, size_t count,
                              std::vector<double> fallback);
  /// Distinct entries out of `allowed`, as indices in the order given.
  std::vector<size_t> choices(const std::string &key, const std::vector<std::string> &allowed,
                              std::vector<size_t> fallback);
  /// A nested object; where it is absent, a reader whose reads give fallbacks (required fields are
  /// refused).
  ObjectReader object(const std::string &key, bool required = false);

  void refuse(const std::string &key, std::string found, std::string allowed);
  /// Marks keys that may hold anything.
  void ignore(std::initializer_list<const char *> keys);
  /// Every key nobody asked for is an error (a plan) or a warning (a model config).
  void refuseUnknown();
  void warnUnknown();

private:
  const JsonValue *required(const std::string &key, bool hasFallback, const std::string &allowed);
  std::vector<size_t> unknown() const;

  InputReport &report;
  const JsonValue *value;
  std::string path;
  int line;
  std::set<std::string> known;
};

} // namespace hadal

#endif // HADAL_FRONTEND_JSON_H
