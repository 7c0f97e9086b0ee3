// SPDX-License-Identifier: Apache-2.0
//
// See Order.h: reading of orders. What they mean is checked in OrderCheck.cpp.

#include "runtime/simulate/Order.h"

#include "runtime/simulate/OrderCheck.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace hadal::rt {

constexpr int kMostRanks = 4096, kMostMicroBatches = 1000000;

std::string OrderTransfer::text() const {
  return (send ? ">" : "<") + part.text() + "@" + std::to_string(peer);
}

std::string OrderStep::text() const {
  std::string joined;
  for (const ChunkPart &part : parts)
    joined += (joined.empty() ? "" : "+") + part.text();
  for (const OrderTransfer &transfer : batch)
    joined += (joined.empty() ? "[" : " ") + transfer.text();
  return batch.empty() ? joined : joined + "]";
}

bool Order::hasPairs() const {
  for (const auto &rank : steps)
    for (const OrderStep &step : rank)
      if (step.parts.size() == 2)
        return true;
  return false;
}

bool Order::trains() const {
  for (const auto &rank : steps)
    for (const OrderStep &step : rank)
      for (const ChunkPart &part : step.parts)
        if (part.kind != 'F')
          return true;
  return false;
}

int Order::wholeMicroBatch(const ChunkPart &part) const {
  return part.microBatch + (schedule == "dualpipe" ? part.direction * chunks() : 0);
}

int sourceOf(const Order &order, const ChunkPart &part, int rank) {
  const bool folded = order.schedule == "dualpipev";
  // Forward chunks of direction 0 and gradients of direction 1 go down the ranks, the others up.
  const bool down = (part.kind == 'F') == (part.direction == 0);
  if (down)
    return rank - 1; // -1: rank 0 has the data of direction 0 and the loss of direction 1
  if (rank + 1 < order.ranks)
    return rank + 1;
  // Folded, the last rank hands on to itself: F0 to F1, B1 to B0.
  return folded ? rank : -1;
}

namespace {

/// Reads an order and remembers where it is for messages.
class Reader {
public:
  Reader(const nlohmann::json &json, Order &order) : json(json), order(order) {}

  void read() {
    if (!json.is_object())
      fail("", "found " + std::string(json.type_name()) + "; an order is an object");
    for (const auto &[key, value] : json.items())
      if (key != "schedule" && key != "ranks" && key != "micro_batches" && key != "order")
        fail("", "found key \"" + key + "\"; allowed are " + kKeys);
    readSchedule();
    order.ranks = number("ranks", kMostRanks);
    order.microBatches = number("micro_batches", kMostMicroBatches);
    if (order.schedule == "dualpipe" && order.microBatches % 2)
      fail("micro_batches",
           "found " + std::to_string(order.microBatches) + "; dualpipe needs an even number");
    const auto &rows = member("order");
    if (!rows.is_array() || rows.size() != std::size_t(order.ranks))
      fail("order", "found " +
                        (rows.is_array() ? std::to_string(rows.size()) + " lists"
                                         : std::string(rows.type_name())) +
                        "; allowed is one list for each of the " + std::to_string(order.ranks) +
                        " ranks");
    order.steps.resize(rows.size());
    for (std::size_t rank = 0; rank < rows.size(); ++rank)
      readRank(rows[rank], int(rank));
  }

private:
  static constexpr const char *kKeys = "schedule, ranks, micro_batches, order";

  [[noreturn]] void fail(const std::string &place, const std::string &what) const {
    throw InputError(order.file, (place.empty() ? "" : place + ": ") + what);
  }

  const nlohmann::json &member(const char *key) const {
    if (!json.contains(key))
      fail("", "has no key \"" + std::string(key) + "\"; needed are " + kKeys);
    return json[key];
  }

  void readSchedule() {
    const auto &value = member("schedule");
    const std::string name = value.is_string() ? value.get<std::string>() : value.dump();
    if (!value.is_string() ||
        (name != "1f1b" && name != "zb1p" && name != "dualpipe" && name != "dualpipev"))
      fail("schedule", "found " + name + "; allowed are 1f1b, zb1p, dualpipe, dualpipev");
    order.schedule = name;
  }

  int number(const char *key, int most) const {
    const auto &value = member(key);
    if (!value.is_number_integer() || value.get<std::int64_t>() < 1 ||
        value.get<std::int64_t>() > most)
      fail(key, "found " + value.dump() + "; allowed are 1 to " + std::to_string(most));
    return value.get<int>();
  }

  void readRank(const nlohmann::json &row, int rank) {
    const std::string place = "order[" + std::to_string(rank) + "]";
    if (!row.is_array())
      fail(place, "found " + std::string(row.type_name()) + "; allowed is a list of strings");
    for (std::size_t i = 0; i < row.size(); ++i) {
      here = orderPlace(rank, i);
      if (!row[i].is_string())
        fail(here, "found " + row[i].dump() + "; allowed is a string");
      entry = row[i].get<std::string>();
      order.steps[std::size_t(rank)].push_back(entry.rfind('[', 0) == 0 ? readBatch(rank)
                                                                        : readChunk());
    }
  }

  [[noreturn]] void malformed(const std::string &why) const {
    fail(here, "found \"" + entry + "\"; " + why);
  }

  OrderStep readBatch(int rank) const {
    OrderStep step;
    if (entry.size() < 3 || entry.back() != ']')
      malformed("allowed is a batch of transfers, as [>F0.3@1 <B1.2@1]");
    std::istringstream words(entry.substr(1, entry.size() - 2));
    for (std::string word; words >> word;) {
      const std::size_t at = word.find('@');
      OrderTransfer transfer;
      if ((word[0] != '>' && word[0] != '<') || at == word.npos ||
          !integer(word.substr(at + 1), transfer.peer))
        malformed("transfers are >PART@RANK (send) and <PART@RANK (receive), as >F0.3@1");
      transfer.send = word[0] == '>';
      transfer.part = part(word.substr(1, at - 1), "FB");
      if (transfer.peer >= order.ranks || transfer.peer == rank)
        malformed("allowed are ranks 0 to " + std::to_string(order.ranks - 1) + " but the own");
      step.batch.push_back(transfer);
    }
    if (step.batch.empty())
      malformed("a batch has one transfer at least");
    return step;
  }

  OrderStep readChunk() const {
    OrderStep step;
    const std::size_t plus = entry.find('+');
    if (plus == entry.npos) {
      step.parts = {part(entry, "FBIW")};
      return step;
    }
    step.parts = {part(entry.substr(0, plus), "FBIW"), part(entry.substr(plus + 1), "FBIW")};
    if (step.parts[0].kind != 'F' || step.parts[1].kind != 'B')
      malformed("a pair is F and B, as F0.3+B1.2");
    return step;
  }

  static bool integer(const std::string &text, int &value) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && value >= 0 && !text.empty();
  }

  ChunkPart part(const std::string &text, const std::string &kinds) const {
    ChunkPart part;
    const std::size_t dot = text.find('.');
    if (dot == text.npos || kinds.find(text[0]) == kinds.npos ||
        !integer(text.substr(1, dot - 1), part.direction) ||
        !integer(text.substr(dot + 1), part.microBatch))
      malformed("parts are one of " + kinds + ", the direction and the micro-batch, as F0.3");
    part.kind = text[0];
    const int directions = order.schedule.rfind("dualpipe", 0) == 0 ? 2 : 1;
    if (part.direction >= directions)
      malformed("directions of " + order.schedule + " are 0" + (directions == 2 ? " and 1" : ""));
    if (part.microBatch >= order.chunks())
      malformed("micro-batches of a direction are 0 to " + std::to_string(order.chunks() - 1));
    return part;
  }

  const nlohmann::json &json;
  Order &order;
  std::string here, entry;
};

} // namespace

Order parseOrder(const std::string &text, const std::string &file) {
  Order order;
  order.file = file;
  const nlohmann::json json = parseJson(text, file);
  Reader(json, order).read();
  checkOrder(order);
  return order;
}

Order loadOrder(const std::string &file) { return parseOrder(readFile(file), file); }

// --- times ------------------------------------------------------------------------------------

static double duration(const std::string &key, const std::string &text, const std::string &flag) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double value = -1;
  if (!(stream >> value) || !stream.eof() || !(value >= 0) || value > 1e12)
    throw InputError(flag, "found " + key + "=" + text + "; allowed are 0 to 1e12");
  return value;
}

ChunkTimes parseTimes(const std::string &text, bool needPair, const std::string &flag) {
  std::optional<double> F, I, W, pair;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const std::size_t equals = item.find('=');
    const std::string key = item.substr(0, equals);
    std::optional<double> *slot = key == "F"      ? &F
                                  : key == "I"    ? &I
                                  : key == "W"    ? &W
                                  : key == "pair" ? &pair
                                                  : nullptr;
    if (!slot || equals == item.npos)
      throw InputError(flag, "found \"" + item +
                                 "\"; allowed are F, I, W and pair, as F=1,I=1,W=1,pair=3 (B is "
                                 "I + W)");
    if (*slot)
      throw InputError(flag, "gives " + key + " twice");
    *slot = duration(key, item.substr(equals + 1), flag);
  }
  if (!F || !I || !W || (needPair && !pair))
    throw InputError(flag,
                     "found \"" + text + "\"; needed are F, I, W" +
                         (needPair ? " and pair, as F=1,I=1,W=1,pair=3" : ", as F=1,I=1,W=1"));
  ChunkTimes times{*F, *I, *W, pair};
  return times;
}

double ChunkTimes::of(const OrderStep &step) const {
  if (step.parts.size() == 2)
    return pair.value_or(F + I + W);
  switch (step.parts.empty() ? ' ' : step.parts[0].kind) {
  case 'F':
    return F;
  case 'B':
    return I + W;
  case 'I':
    return I;
  case 'W':
    return W;
  default:
    return 0;
  }
}

} // namespace hadal::rt
