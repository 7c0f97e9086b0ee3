// SPDX-License-Identifier: Apache-2.0
//
// JSON input: places of values, and everything a file is refused for before its content matters.

#include "frontend/Json.h"

#include "gtest/gtest.h"

#include <fstream>

using namespace hadal;

namespace {

std::string refusal(const std::string &text) {
  Checked<JsonValue> value = parseJson(text, "f.json");
  return value ? "accepted" : value.error().message();
}

TEST(Json, KeepsOrderAndPlaces) {
  Checked<JsonValue> value =
      parseJson("{\"b\": [1, -2.5e3,\n  \"x\\\"y\"],\n \"a\": {\"c\": null}\n}", "f.json");
  ASSERT_TRUE(bool(value));
  EXPECT_EQ(value->keys, (std::vector<std::string>{"b", "a"}));
  const JsonValue &list = value->elements[0];
  EXPECT_EQ(list.line, 1);
  EXPECT_EQ(list.column, 7);
  EXPECT_EQ(list.elements[0].integer, 1);
  EXPECT_EQ(list.elements[1].number, -2500);
  EXPECT_EQ(list.elements[1].text, "-2.5e3");
  EXPECT_EQ(list.elements[1].column, 11);
  EXPECT_EQ(list.elements[2].text, "x\"y");
  EXPECT_EQ(list.elements[2].line, 2);
  EXPECT_EQ(list.elements[2].column, 3);
  EXPECT_EQ(value->elements[1].line, 3);
  EXPECT_EQ(value->elements[1].elements[0].kind, JsonValue::Kind::Null);
}

TEST(Json, PlacesAfterNumbersAtLineEnds) {
  Checked<JsonValue> value = parseJson("[1\n,2\n,\n3]", "f.json");
  ASSERT_TRUE(bool(value));
  EXPECT_EQ(value->elements[0].line, 1);
  EXPECT_EQ(value->elements[1].line, 2);
  EXPECT_EQ(value->elements[2].line, 4);
}

TEST(Json, SkipsAByteOrderMark) {
  Checked<JsonValue> value = parseJson("\xef\xbb\xbf{\"a\": 1}", "f.json");
  ASSERT_TRUE(bool(value));
  EXPECT_EQ(value->elements[0].text, "1");
}

TEST(Json, IntegersAreIntegersHoweverWritten) {
  Checked<JsonValue> value =
      parseJson("[7, 7.0, 70e-1, 7.5, 1e30, 9223372036854775808, -9223372036854775808]", "f.json");
  ASSERT_TRUE(bool(value));
  EXPECT_EQ(value->elements[0].asInteger(), 7);
  EXPECT_EQ(value->elements[1].asInteger(), 7);
  EXPECT_EQ(value->elements[2].asInteger(), 7);
  EXPECT_FALSE(value->elements[3].asInteger());
  EXPECT_FALSE(value->elements[4].asInteger());
  EXPECT_FALSE(value->elements[5].asInteger());
  EXPECT_EQ(value->elements[6].asInteger(), INT64_MIN);
}

TEST(Json, RefusesDuplicateKeys) {
  EXPECT_EQ(refusal("{\"a\": 1,\n \"b\": {\"c\": 1,\n  \"c\": 2}}"),
            "f.json:3: b.c: found the key \"c\" a second time; allowed: each key once");
}

TEST(Json, RefusesTruncatedText) {
  std::string message = refusal("{\"a\": [1,\n 2");
  EXPECT_NE(message.find("f.json:2: "), message.npos) << message;
  EXPECT_NE(message.find("unexpected end of input"), message.npos) << message;
  EXPECT_NE(message.find("allowed: one valid JSON document"), message.npos) << message;
}

/// Every proper prefix of a document that is not itself one is refused, whatever it ends in.
TEST(Json, RefusesEveryPrefix) {
  const std::string text = "{\"a\": [true, null, -1.5e2, \"\\u00e9\xc3\xa9\"], \"b\": {}}";
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(bool(parseJson(text.substr(0, length), "f.json"))) << length;
  EXPECT_TRUE(bool(parseJson(text, "f.json")));
}

TEST(Json, RefusesInvalidText) {
  for (const char *text : {"", " ", "{", "nul", "{\"a\": 1,}", "[1 2]", "{'a': 1}", "1 2",
                           "// x\n1", "[01]", "NaN", "\"a\nb\"", "1e999"})
    EXPECT_NE(refusal(text).find("found invalid JSON ("), std::string::npos)
        << text << " " << refusal(text);
}

TEST(Json, RefusesBytesThatAreNotUtf8) {
  std::string message = refusal("{\"a\": \"\xff\xfe\"}");
  EXPECT_NE(message.find("ill-formed UTF-8"), message.npos) << message;
  for (char c : message)
    EXPECT_LT(static_cast<unsigned char>(c), 0x80) << message;
}

TEST(Json, RefusesNulBytes) {
  EXPECT_EQ(refusal(std::string("{}\n\0[[[", 7)),
            "f.json:2: found a NUL byte; allowed: one valid JSON document in UTF-8");
}

TEST(Json, NestsUpToTheLimitOnly) {
  auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(bool(parseJson(nested(64), "f.json")));
  EXPECT_EQ(refusal("\n" + nested(65)),
            "f.json:2: found values nested deeper than 64; allowed: at most 64 levels");
  EXPECT_NE(refusal(std::string(1000000, '[')).find("nested deeper than 64"), std::string::npos);
}

TEST(Json, MessagesStayShortAndOnOneLine) {
  std::string message = refusal("{\"" + std::string(100000, 'x') + "\" 1}");
  EXPECT_LT(message.size(), 500u);
  EXPECT_EQ(message.find('\n'), message.npos);
}

TEST(Json, RefusesWhatIsNoFile) {
  EXPECT_EQ(readTextFile("no/such/file.json").error().message(),
            "no/such/file.json: found no such file; allowed: a readable file");
  EXPECT_EQ(readTextFile(HADAL_TEST_DIR).error().message(),
            std::string(HADAL_TEST_DIR) + ": found a folder; allowed: a readable file");
}

TEST(Json, PrintsNumbersThatReadBack) {
  EXPECT_EQ(printNumber(1e-6), "1e-06");
  EXPECT_EQ(printNumber(0.1), "0.1");
  EXPECT_EQ(printNumber(2.5), "2.5");
  EXPECT_EQ(std::stod(printNumber(1.0 / 3)), 1.0 / 3);
}

TEST(Json, QuotesText) { EXPECT_EQ(quoteJson("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\""); }

} // namespace
