// SPDX-License-Identifier: Apache-2.0
//
// Training and validation rows: T inputs and their targets, shifted by one, as T + 1 ids. Row
// numbers count from the start of training and know no layout (ranks, micro-batches): a step takes
// the next micro_batches x data_parallel x sequences rows.

#ifndef HADAL_RUNTIME_DATA_ROWS_H
#define HADAL_RUNTIME_DATA_ROWS_H

#include "runtime/data/Tokens.h"

#include <memory>
#include <string>
#include <vector>

namespace hadal::rt {

struct RowOptions {
  std::int64_t tokens = 0;     // T
  std::int64_t vocabulary = 0; // ids are 0 to vocabulary - 1
  std::uint64_t seed = 0;      // of the shuffle
  double validationFraction = 0.05;
  std::string weights; // --weights, whose folder may bring a tokenizer.json
};

class Rows {
public:
  virtual ~Rows() = default;
  /// Writes the T + 1 ids of row `row` (from 0).
  virtual void read(std::int64_t row, std::int32_t *out) const = 0;
  /// The number of rows there are, or -1 when they start again at the end.
  virtual std::int64_t limit() const = 0;
  /// Rows of one pass over the data.
  virtual std::int64_t perEpoch() const = 0;
  /// Validation windows: `count` of them, spread evenly over what is held out. 0 when nothing is.
  virtual std::int64_t heldOutTokens() const = 0;
  virtual void readHeldOut(std::int64_t window, std::int64_t count, std::int32_t *out) const = 0;
};

/// Opens `path`: a `tokens` safetensors file (used as it is), a Megatron .bin/.idx pair or a text
/// file (both cut into windows, shuffled by seed and epoch, the last validationFraction of their
/// tokens held out). With a validationFraction of 1 all of it is held out, a `tokens` file too.
/// Throws InputError naming the file.
std::unique_ptr<Rows> openRows(const std::string &path, const RowOptions &options);

/// A tensor `tokens` of a safetensors file, I64 or I32 [rows, columns], checked against the
/// vocabulary.
struct TokenTable {
  std::int64_t rows = 0, columns = 0;
  std::vector<std::int32_t> ids;
};
TokenTable readTokenTable(const std::string &path, std::int64_t vocabulary);

} // namespace hadal::rt

#endif
