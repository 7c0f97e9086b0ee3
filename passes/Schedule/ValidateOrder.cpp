// SPDX-License-Identifier: Apache-2.0
//
// Proof that an order of a schedule can be run.

#include "passes/Schedule/Order.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"

#include <map>
#include <set>

using namespace hadal::pipe;
using llvm::StringRef;

namespace {

/// "0.3" of "F0.3".
std::string chunkOf(StringRef part) { return part.drop_front().str(); }

/// The transfers of "[>F0.3@1 <B1.0@2]".
llvm::SmallVector<StringRef> transfersOf(StringRef batch) {
  llvm::SmallVector<StringRef> transfers;
  batch.drop_front().drop_back().split(transfers, ' ');
  return transfers;
}

class Validation {
public:
  explicit Validation(const Order &order) : order(order) {}

  OrderCheck run() {
    for (size_t rank = 0; rank < order.size() && check.error.empty(); ++rank)
      checkRank(rank);
    if (check.error.empty())
      checkTransfers();
    return check;
  }

private:
  void fail(size_t rank, const std::string &message) {
    if (check.error.empty())
      check.error = "rank " + std::to_string(rank) + ": " + message;
  }

  /// One rank for itself: every part once and behind what it needs.
  void checkRank(size_t rank) {
    std::set<std::string> done;
    int64_t live = 0, peak = 0;
    expected.clear();
    received.clear();
    for (const std::string &entry : order[rank])
      if (entry.front() == '[')
        for (StringRef transfer : transfersOf(entry))
          if (transfer.front() == '<')
            expected.insert(transfer.substr(1).split('@').first.str());
    for (const std::string &entry : order[rank]) {
      if (entry.front() == '[') {
        checkBatch(rank, entry, done);
        continue;
      }
      llvm::SmallVector<StringRef> parts;
      StringRef(entry).split(parts, '+');
      for (StringRef part : parts)
        checkPart(rank, part, done, live);
      peak = std::max(peak, live);
      // The forward part of a pair may take the place of its backward part.
      for (StringRef part : parts)
        live -= part.front() == 'B' || part.front() == 'I';
    }
    for (const std::string &part : done)
      if (part.front() == 'F' ? !done.count('B' + chunkOf(part)) && !done.count('I' + chunkOf(part))
                              : part.front() == 'I' && !done.count('W' + chunkOf(part)))
        fail(rank,
             part + " has no " + (part.front() == 'F' ? "backward part" : "weight gradients"));
    check.peakLive = std::max(check.peakLive, peak);
  }

  void checkPart(size_t rank, StringRef part, std::set<std::string> &done, int64_t &live) {
    std::string chunk = chunkOf(part);
    char what = part.front();
    if (what == 'F')
      ++live;
    if ((what == 'B' || what == 'I') && !done.count('F' + chunk))
      fail(rank, part.str() + " comes before F" + chunk);
    if (what == 'W' && !done.count('I' + chunk))
      fail(rank, part.str() + " comes before I" + chunk);
    if ((what == 'B' && done.count('I' + chunk)) || (what == 'I' && done.count('B' + chunk)) ||
        !done.insert(part.str()).second)
      fail(rank, part.str() + " comes twice");
    // The first stage of a direction makes its own input; only what is received somewhere must be
    // there.
    std::string input = (what == 'I' ? 'B' : what) + chunk;
    if (what != 'W' && expected.count(input) && !received.count(input))
      fail(rank, part.str() + " comes before " + input + " is received");
    ++check.chunks;
  }

  void checkBatch(size_t rank, StringRef entry, const std::set<std::string> &done) {
    for (StringRef transfer : transfersOf(entry)) {
      std::string what = transfer.substr(1).split('@').first.str();
      size_t peer = order.size();
      if (transfer.split('@').second.getAsInteger(10, peer) || peer >= order.size() || peer == rank)
        return fail(rank, transfer.str() + " names no other rank");
      if (transfer.front() == '<') {
        if (!received.insert(what).second)
          fail(rank, what + " is received twice");
        continue;
      }
      if (!done.count(what) && (what.front() != 'B' || !done.count('I' + chunkOf(what))))
        fail(rank, what + " is sent before it is computed");
    }
  }

  /// All ranks together: a batch ends when each of its transfers has met its counterpart.
  void checkTransfers() {
    std::vector<size_t> at(order.size(), 0);
    std::set<std::string> posted; // "WHAT FROM TO" with the way in front
    auto key = [](char way, StringRef what, size_t from, size_t to) {
      return way + what.str() + " " + std::to_string(from) + " " + std::to_string(to);
    };
    auto meets = [&](size_t rank, StringRef entry) {
      bool all = true;
      for (StringRef transfer : transfersOf(entry)) {
        auto [what, peerText] = transfer.substr(1).split('@');
        size_t peer = 0;
        peerText.getAsInteger(10, peer);
        bool send = transfer.front() == '>';
        posted.insert(send ? key('>', what, rank, peer) : key('<', what, peer, rank));
        all &= posted.count(send ? key('<', what, rank, peer) : key('>', what, peer, rank)) != 0;
      }
      return all;
    };
    for (bool moved = true; moved;) {
      moved = false;
      for (size_t rank = 0; rank < order.size(); ++rank)
        while (at[rank] < order[rank].size() &&
               (order[rank][at[rank]].front() != '[' || meets(rank, order[rank][at[rank]]))) {
          ++at[rank];
          moved = true;
        }
    }
    for (size_t rank = 0; rank < order.size(); ++rank)
      if (at[rank] < order[rank].size())
        fail(rank, "waits for ever at " + order[rank][at[rank]]);
  }

  const Order &order;
  OrderCheck check;
  std::set<std::string> expected, received; // of the rank that is being checked
};

} // namespace

OrderCheck hadal::pipe::validateOrder(const Order &order) { return Validation(order).run(); }
