// SPDX-License-Identifier: Apache-2.0
//
// See Rows.h.

#include "runtime/data/Rows.h"

#include "runtime/checkpoint/Safetensors.h"
#include "runtime/data/ByteTokenizer.h"
#include "runtime/support/Error.h"
#include "runtime/support/Random.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace hadal::rt {

namespace {

/// A `tokens` file: its rows in their order, once.
class TableRows : public Rows {
public:
  TableRows(const std::string &path, const RowOptions &options)
      : table(readTokenTable(path, options.vocabulary)) {
    if (table.columns != options.tokens + 1)
      throw InputError(path, "tokens: shape " + shapeText({table.rows, table.columns}) +
                                 "; rows need " + std::to_string(options.tokens + 1) +
                                 " ids (micro_batch.tokens and one more target)");
    if (options.validationFraction >= 1)
      held = table.rows * table.columns;
  }
  void read(std::int64_t row, std::int32_t *out) const override {
    std::copy_n(table.ids.begin() + row * table.columns, table.columns, out);
  }
  std::int64_t limit() const override { return table.rows; }
  std::int64_t perEpoch() const override { return table.rows; }
  std::int64_t heldOutTokens() const override { return held; }
  void readHeldOut(std::int64_t window, std::int64_t count, std::int32_t *out) const override {
    read(window * table.rows / count, out);
  }

private:
  TokenTable table;
  std::int64_t held = 0;
};

/// Windows of a stream: training windows start every T tokens, shuffled anew in every epoch.
class StreamRows : public Rows {
public:
  StreamRows(std::unique_ptr<TokenStream> from, const std::string &path, const RowOptions &options)
      : stream(std::move(from)), tokens(options.tokens), seed(options.seed) {
    std::int64_t total = stream->size();
    held = options.validationFraction >= 1
               ? total
               : std::int64_t(double(total) * options.validationFraction);
    windows = (total - held - 1) / tokens;
    if (options.validationFraction < 1 && total - held < tokens + 1)
      throw InputError(
          path, "holds " + std::to_string(total) + " tokens, " + std::to_string(total - held) +
                    " of them for training; one row needs " + std::to_string(tokens + 1));
  }
  void read(std::int64_t row, std::int32_t *out) const override {
    std::int64_t epoch = row / windows;
    auto window =
        permute(seed, std::uint64_t(epoch), std::uint64_t(windows), std::uint64_t(row % windows));
    stream->read(std::int64_t(window) * tokens, tokens + 1, out);
  }
  std::int64_t limit() const override { return -1; }
  std::int64_t perEpoch() const override { return windows; }
  std::int64_t heldOutTokens() const override { return held; }
  void readHeldOut(std::int64_t window, std::int64_t count, std::int32_t *out) const override {
    std::int64_t slack = held - (tokens + 1);
    // 128 bits: a large corpus times the number of windows passes 2^63.
    std::int64_t offset =
        count > 1 ? std::int64_t(static_cast<__int128>(slack) * window / (count - 1)) : 0;
    stream->read(stream->size() - held + offset, tokens + 1, out);
  }

private:
  std::unique_ptr<TokenStream> stream;
  std::int64_t tokens, held = 0, windows = 0;
  std::uint64_t seed;
};

} // namespace

TokenTable readTokenTable(const std::string &path, std::int64_t vocabulary) {
  SafetensorsFile file(path);
  const TensorInfo &info = file.get("tokens");
  if (info.shape.size() != 2 || (info.dtype != DType::I64 && info.dtype != DType::I32))
    throw InputError(path, std::string("tokens: is ") + dtypeName(info.dtype) + " " +
                               shapeText(info.shape) +
                               "; allowed is I64 or I32 [rows, tokens + 1]");
  TokenTable table{info.shape[0], info.shape[1], {}};
  table.ids.resize(std::size_t(info.elements));
  const unsigned char *data = file.data(info);
  for (std::int64_t i = 0; i < info.elements; ++i) {
    std::int64_t id;
    if (info.dtype == DType::I64) {
      std::memcpy(&id, data + i * 8, 8);
    } else {
      std::int32_t narrow;
      std::memcpy(&narrow, data + i * 4, 4);
      id = narrow;
    }
    if (id < 0 || id >= vocabulary)
      throw InputError(path, "tokens[" + std::to_string(i / table.columns) + ", " +
                                 std::to_string(i % table.columns) + "]: is " + std::to_string(id) +
                                 "; allowed are 0 to " + std::to_string(vocabulary - 1));
    table.ids[std::size_t(i)] = std::int32_t(id);
  }
  return table;
}

std::unique_ptr<Rows> openRows(const std::string &path, const RowOptions &options) {
  if (isMegatron(path))
    return std::make_unique<StreamRows>(openMegatron(path, options.vocabulary), path, options);
  std::filesystem::path file(path);
  if (file.extension() == ".safetensors")
    return std::make_unique<TableRows>(path, options);
  auto text = openText(path);
  ByteTokenizer::requireUsable(options.vocabulary, options.weights, path);
  return std::make_unique<StreamRows>(std::move(text), path, options);
}

} // namespace hadal::rt
