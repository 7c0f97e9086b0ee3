// SPDX-License-Identifier: Apache-2.0
//
// Token streams and rows.

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/data/ByteTokenizer.h"
#include "runtime/data/Rows.h"
#include "runtime/support/Random.h"
#include "test/unit/runtime/TestFolder.h"

#include <numeric>
#include <set>

using namespace hadal::rt;
using testing::HasSubstr;

namespace {

template <typename T> void put(std::string &out, T value) {
  out.append(reinterpret_cast<const char *>(&value), sizeof value);
}

std::string indexOf(std::uint8_t code, const std::vector<std::int32_t> &lengths,
                    const std::vector<std::int64_t> &pointers,
                    const std::vector<std::int64_t> &documents, std::uint64_t version = 1) {
  std::string out("MMIDIDX\0\0", 9);
  put(out, version);
  put(out, code);
  put(out, std::uint64_t(lengths.size()));
  put(out, std::uint64_t(documents.size()));
  for (auto length : lengths)
    put(out, length);
  for (auto pointer : pointers)
    put(out, pointer);
  for (auto document : documents)
    put(out, document);
  return out;
}

TEST(Megatron, ReadsSequencesInIndexOrder) {
  TestFolder folder;
  std::string data;
  for (std::uint16_t id = 0; id < 10; ++id)
    put(data, std::uint16_t(id * 100));
  folder.write("d.bin", data);
  folder.write("d.idx", indexOf(8, {3, 0, 4}, {8, 0, 0}, {0, 1, 3}));
  for (const char *name : {"d", "d.bin", "d.idx"}) {
    ASSERT_TRUE(isMegatron(folder / name));
    auto stream = openMegatron(folder / name, 1000);
    ASSERT_EQ(stream->size(), 7);
    std::vector<std::int32_t> ids(7);
    stream->read(0, 7, ids.data());
    EXPECT_EQ(ids, (std::vector<std::int32_t>{400, 500, 600, 0, 100, 200, 300}));
    stream->read(2, 3, ids.data());
    EXPECT_EQ(ids[1], 0);
  }
  std::vector<std::int32_t> ids(7);
  EXPECT_THAT(refusal([&] { openMegatron(folder / "d", 600)->read(0, 7, ids.data()); }),
              HasSubstr("token 2 of the stream is 600; allowed are 0 to 599"));
}

TEST(Megatron, RefusesBadIndexes) {
  TestFolder folder;
  folder.write("d.bin", std::string(8, '\1'));
  auto expect = [&](const std::string &index, const char *message) {
    folder.write("d.idx", index);
    EXPECT_THAT(refusal([&] { openMegatron(folder / "d", 100); }), HasSubstr(message));
  };
  const std::string good = indexOf(4, {2}, {0}, {0, 1});
  expect("no", "is not a Megatron index");
  expect(indexOf(4, {2}, {0}, {0, 1}, 2), "index version 2");
  expect(indexOf(7, {2}, {0}, {0, 1}), "dtype code 7");
  expect(good.substr(0, good.size() - 1), "need");
  expect(good + "x", "need");
  expect(indexOf(4, {3}, {0}, {0, 1}), "sequence 0: 3 tokens at byte 0 leave");
  expect(indexOf(4, {-1}, {0}, {0, 1}), "sequence 0");
  expect(indexOf(4, {1}, {-4}, {0, 1}), "sequence 0");
  expect(indexOf(4, {2}, {0}, {0, 2}), "document bound 1 is 2");
  std::string huge = good;
  std::uint64_t many = std::uint64_t(1) << 62;
  std::memcpy(&huge[18], &many, 8);
  expect(huge, "need");
}

RowOptions options(std::int64_t tokens, double fraction = 0) {
  RowOptions made;
  made.tokens = tokens;
  made.vocabulary = 259;
  made.seed = 5;
  made.validationFraction = fraction;
  return made;
}

std::vector<std::int32_t> rowOf(const Rows &rows, std::int64_t row, std::int64_t tokens) {
  std::vector<std::int32_t> ids(std::size_t(tokens) + 1);
  rows.read(row, ids.data());
  return ids;
}

TEST(Rows, TextIsShuffledByEpochAndKeepsTheEnd) {
  TestFolder folder;
  std::string text;
  for (int i = 0; i < 200; ++i)
    text += char(i);
  auto rows = openRows(folder.write("t.txt", text), options(4, 0.1));
  EXPECT_EQ(rows->limit(), -1);
  EXPECT_EQ(rows->heldOutTokens(), 20);
  ASSERT_EQ(rows->perEpoch(), 44); // (180 - 1) / 4
  std::vector<std::vector<std::int32_t>> order(2);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::set<std::int32_t> starts;
    for (int row = 0; row < 44; ++row) {
      auto ids = rowOf(*rows, epoch * 44 + row, 4);
      EXPECT_EQ(ids[0] % 4, 0);
      for (int i = 1; i < 5; ++i)
        EXPECT_EQ(ids[std::size_t(i)], ids[0] + i);
      EXPECT_LT(ids[4], 180);
      starts.insert(ids[0]);
      order[std::size_t(epoch)].push_back(ids[0]);
    }
    EXPECT_EQ(starts.size(), 44u) << "every window once an epoch";
  }
  EXPECT_NE(order[0], order[1]);
  std::int32_t window[5];
  rows->readHeldOut(0, 64, window);
  EXPECT_EQ(window[0], 180);
  rows->readHeldOut(63, 64, window);
  EXPECT_EQ(window[4], 199);
}

TEST(Rows, RefusesTooLittleText) {
  TestFolder folder;
  std::string path = folder.write("t.txt", "abcd");
  EXPECT_EQ(openRows(path, options(3))->perEpoch(), 1);
  EXPECT_THAT(refusal([&] { openRows(path, options(4)); }), HasSubstr("one row needs 5"));
  EXPECT_THAT(refusal([&] { openRows(folder.write("e.txt", ""), options(4)); }),
              HasSubstr("holds 0 tokens"));
  RowOptions small = options(3);
  small.vocabulary = 258;
  EXPECT_THAT(refusal([&] { openRows(path, small); }), HasSubstr("--prompt-ids"));
  folder.write("tokenizer.json", "{}");
  RowOptions foreign = options(3);
  foreign.weights = folder.path();
  EXPECT_THAT(refusal([&] { openRows(path, foreign); }), HasSubstr("tokenizer.json"));
  EXPECT_THAT(refusal([&] { openRows(folder / "none.txt", options(4)); }),
              HasSubstr("cannot be opened"));
}

std::string tokensFile(const TestFolder &folder, std::vector<std::int64_t> ids,
                       std::int64_t columns) {
  TensorInfo info;
  info.name = "tokens";
  info.dtype = DType::I64;
  info.shape = {std::int64_t(ids.size()) / columns, columns};
  std::string path = folder / "tokens.safetensors";
  std::filesystem::remove(path);
  SafetensorsWriter writer(path, {info});
  writer.append(ids.data(), ids.size() * 8);
  writer.finish();
  return path;
}

TEST(Rows, TokensAreUsedAsTheyAre) {
  TestFolder folder;
  std::string path = tokensFile(folder, {1, 2, 3, 4, 5, 6}, 3);
  auto rows = openRows(path, options(2, 0.5));
  EXPECT_EQ(rows->limit(), 2);
  EXPECT_EQ(rows->heldOutTokens(), 0);
  EXPECT_EQ(rowOf(*rows, 1, 2), (std::vector<std::int32_t>{4, 5, 6}));
  EXPECT_THAT(refusal([&] { openRows(path, options(3)); }), HasSubstr("tokens: shape [2, 3]"));
  EXPECT_THAT(refusal([&] { openRows(tokensFile(folder, {1, 259}, 2), options(1)); }),
              HasSubstr("tokens[0, 1]: is 259; allowed are 0 to 258"));
  EXPECT_THAT(refusal([&] { openRows(tokensFile(folder, {-1, 0}, 2), options(1)); }),
              HasSubstr("tokens[0, 0]: is -1"));
}

TEST(Random, PhiloxKnownAnswers) {
  // Random123's kat_vectors for philox4x32-10.
  auto zero = philox(0, 0, 0);
  EXPECT_EQ(zero[0], 0x6627e8d5u);
  EXPECT_EQ(zero[3], 0x9b00dbd8u);
  auto ones = philox(~0ull, ~0ull, ~0ull);
  EXPECT_EQ(ones[0], 0x408f276du);
  EXPECT_EQ(ones[3], 0x6d5451fdu);
}

TEST(Random, PermutationsOfEverySize) {
  for (std::uint64_t size : {1, 2, 3, 5, 17, 64, 257}) {
    std::set<std::uint64_t> seen;
    for (std::uint64_t i = 0; i < size; ++i) {
      std::uint64_t at = permute(9, 1, size, i);
      EXPECT_LT(at, size);
      seen.insert(at);
    }
    EXPECT_EQ(seen.size(), size);
  }
  EXPECT_LT(permute(9, 1, std::uint64_t(5) << 33, 12345), std::uint64_t(5) << 33);
}

TEST(ByteTokenizer, RoundTrip) {
  std::string text("a\0\xff", 3), back;
  for (std::int32_t id : ByteTokenizer::encode(text))
    back += ByteTokenizer::decode(id);
  EXPECT_EQ(back, text);
  EXPECT_EQ(ByteTokenizer::decode(ByteTokenizer::kEos), "");
}

} // namespace
