// SPDX-License-Identifier: Apache-2.0
//
// Typed fields out of JSON objects: presence, type and range checks whose messages carry the JSON
// path.

#include "frontend/Json.h"

#include <algorithm>
#include <cmath>

namespace hadal {

namespace {

std::string quotedList(const std::vector<std::string> &names) {
  std::string out;
  for (const std::string &name : names)
    out += (out.empty() ? "" : ", ") + quoteJson(name);
  return out;
}

} // namespace

std::string IntegerRange::describe() const {
  if (low == high)
    return std::to_string(low);
  if (high == INT64_MAX)
    return "an integer of at least " + std::to_string(low);
  return "an integer from " + std::to_string(low) + " to " + std::to_string(high);
}

bool NumberRange::contains(double x) const {
  return std::isfinite(x) && (aboveLow ? x > low : x >= low) && (belowHigh ? x < high : x <= high);
}

std::string NumberRange::describe() const {
  if (low == high)
    return printNumber(low);
  std::string out = "a number ";
  out += (aboveLow ? "above " : "of at least ") + printNumber(low);
  if (high < 1e300)
    out += (belowHigh ? " and below " : " and at most ") + printNumber(high);
  return out;
}

void InputReport::refuse(int line, std::string place, std::string found, std::string allowed) {
  if (!error)
    error = InputError{file, line, std::move(place), std::move(found), std::move(allowed)};
}

ObjectReader::ObjectReader(InputReport &report, const JsonValue *value, std::string path, int line)
    : report(report), value(value), path(std::move(path)), line(line) {
  if (value && value->kind != JsonValue::Kind::Object) {
    report.refuse(value->line, this->path, value->describe(), "an object");
    this->value = nullptr;
  }
}

bool ObjectReader::has(const std::string &key) const { return value && value->member(key); }

bool ObjectReader::isNull(const std::string &key) const {
  return has(key) && value->member(key)->kind == JsonValue::Kind::Null;
}

std::string ObjectReader::pathOf(const std::string &key) const {
  return path.empty() ? key : path + "." + key;
}

int ObjectReader::lineOf(const std::string &key) const {
  if (!value)
    return line;
  const JsonValue *member = value->member(key);
  return member ? member->line : value->line;
}

const JsonValue *ObjectReader::take(const std::string &key) {
  known.insert(key);
  return value ? value->member(key) : nullptr;
}

const JsonValue *ObjectReader::required(const std::string &key, bool hasFallback,
                                        const std::string &allowed) {
  const JsonValue *found = take(key);
  if (!found && !hasFallback)
    refuse(key, "nothing (the key is missing)", allowed);
  return found;
}

int64_t ObjectReader::integer(const std::string &key, IntegerRange range,
                              std::optional<int64_t> fallback) {
  const JsonValue *found = required(key, fallback.has_value(), range.describe());
  if (!found)
    return fallback.value_or(range.low);
  std::optional<int64_t> x = found->asInteger();
  if (!x || *x < range.low || *x > range.high) {
    refuse(key, found->describe(), range.describe());
    return fallback.value_or(range.low);
  }
  return *x;
}

int64_t ObjectReader::integerOrNull(const std::string &key, IntegerRange range, int64_t fallback) {
  if (!isNull(key))
    return integer(key, range, fallback);
  take(key);
  return fallback;
}

double ObjectReader::number(const std::string &key, NumberRange range,
                            std::optional<double> fallback) {
  const JsonValue *found = required(key, fallback.has_value(), range.describe());
  if (!found)
    return fallback.value_or(range.low);
  if (!found->isNumber() || !range.contains(found->number)) {
    refuse(key, found->describe(), range.describe());
    return fallback.value_or(range.low);
  }
  return found->number;
}

bool ObjectReader::boolean(const std::string &key, std::optional<bool> fallback) {
  const JsonValue *found = required(key, fallback.has_value(), "true or false");
  if (!found)
    return fallback.value_or(false);
  if (found->kind != JsonValue::Kind::Bool)
    refuse(key, found->describe(), "true or false");
  return found->boolean;
}

size_t ObjectReader::choice(const std::string &key, const std::vector<std::string> &allowed,
                            std::optional<size_t> fallback) {
  const JsonValue *found = required(key, fallback.has_value(), quotedList(allowed));
  if (!found)
    return fallback.value_or(0);
  auto at = std::find(allowed.begin(), allowed.end(), found->text);
  if (found->kind == JsonValue::Kind::String && at != allowed.end())
    return at - allowed.begin();
  refuse(key, found->describe(), quotedList(allowed));
  return fallback.value_or(0);
}

std::vector<int64_t> ObjectReader::integers(const std::string &key, IntegerRange range) {
  std::vector<int64_t> out;
  const JsonValue *found = take(key);
  if (!found)
    return out;
  if (found->kind != JsonValue::Kind::Array) {
    refuse(key, found->describe(), "a list, each " + range.describe());
    return out;
  }
  for (const JsonValue &element : found->elements) {
    std::optional<int64_t> x = element.asInteger();
    if (!x || *x < range.low || *x > range.high)
      report.refuse(element.line, pathOf(key) + "[" + std::to_string(out.size()) + "]",
                    element.describe(), range.describe());
    out.push_back(x.value_or(range.low));
  }
  return out;
}

std::vector<double> ObjectReader::numbers(const std::string &key, NumberRange range, size_t count,
                                          std::vector<double> fallback) {
  const JsonValue *found = take(key);
  if (!found)
    return fallback;
  if (found->kind != JsonValue::Kind::Array || found->elements.size() != count) {
    refuse(key, found->describe(), "a list of " + std::to_string(count) + " numbers");
    return fallback;
  }
  std::vector<double> out;
  for (const JsonValue &element : found->elements) {
    if (!element.isNumber() || !range.contains(element.number))
      report.refuse(element.line, pathOf(key) + "[" + std::to_string(out.size()) + "]",
                    element.describe(), range.describe());
    out.push_back(element.number);
  }
  return out;
}

std::vector<size_t> ObjectReader::choices(const std::string &key,
                                          const std::vector<std::string> &allowed,
                                          std::vector<size_t> fallback) {
  const JsonValue *found = take(key);
  if (!found)
    return fallback;
  std::string list = "a list without repetition of " + quotedList(allowed);
  if (found->kind != JsonValue::Kind::Array) {
    refuse(key, found->describe(), list);
    return fallback;
  }
  std::vector<size_t> out;
  for (const JsonValue &element : found->elements) {
    size_t index = std::find(allowed.begin(), allowed.end(), element.text) - allowed.begin();
    bool repeated = std::find(out.begin(), out.end(), index) != out.end();
    if (element.kind != JsonValue::Kind::String || index == allowed.size() || repeated)
      report.refuse(element.line, pathOf(key) + "[" + std::to_string(out.size()) + "]",
                    element.describe() + (repeated ? ", given before" : ""), list);
    out.push_back(index);
  }
  return out;
}

ObjectReader ObjectReader::object(const std::string &key, bool isRequired) {
  const JsonValue *found = required(key, !isRequired, "an object");
  return ObjectReader(report, found, pathOf(key), lineOf(key));
}

void ObjectReader::refuse(const std::string &key, std::string found, std::string allowed) {
  report.refuse(lineOf(key), pathOf(key), std::move(found), std::move(allowed));
}

void ObjectReader::ignore(std::initializer_list<const char *> keys) {
  known.insert(keys.begin(), keys.end());
}

std::vector<size_t> ObjectReader::unknown() const {
  std::vector<size_t> out;
  for (size_t i = 0; value && i < value->keys.size(); ++i)
    if (!known.count(value->keys[i]))
      out.push_back(i);
  return out;
}

void ObjectReader::refuseUnknown() {
  for (size_t i : unknown()) {
    std::vector<std::string> names(known.begin(), known.end());
    report.refuse(value->elements[i].line, pathOf(value->keys[i]), "an unknown key",
                  "the keys " + quotedList(names));
  }
}

void ObjectReader::warnUnknown() {
  for (size_t i : unknown())
    report.warnings.push_back(InputError{report.file, value->elements[i].line,
                                         pathOf(value->keys[i]), "an unknown key, which is ignored",
                                         "the keys of a deepseek_v3 config.json"}
                                  .message());
}

} // namespace hadal
