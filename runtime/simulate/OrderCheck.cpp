// SPDX-License-Identifier: Apache-2.0
//
// See OrderCheck.h.

#include "runtime/simulate/OrderCheck.h"

#include "runtime/support/Error.h"

#include <map>
#include <set>

namespace hadal::rt {

std::string orderPlace(int rank, std::size_t step) {
  return "order[" + std::to_string(rank) + "][" + std::to_string(step) + "]";
}

namespace {

ChunkPart withKind(ChunkPart part, char kind) {
  part.kind = kind;
  return part;
}

/// The rules within one rank.
class RankCheck {
public:
  RankCheck(const Order &order, int rank) : order(order), rank(rank) {}

  void run() {
    for (index = 0; index < order.steps[std::size_t(rank)].size(); ++index) {
      const OrderStep &step = order.steps[std::size_t(rank)][index];
      for (const ChunkPart &part : step.parts)
        needs(part);
      for (const ChunkPart &part : step.parts)
        if (!computed.insert(part).second)
          fail("found " + part.text() + " a second time; allowed is once on a rank");
      for (const OrderTransfer &transfer : step.batch)
        move(transfer);
    }
  }

  /// Every chunk is there, with its backward and its weight gradients where `trains`.
  void complete(bool trains) {
    for (int direction = 0; direction < (order.schedule.rfind("dualpipe", 0) ? 1 : 2); ++direction)
      for (int chunk = 0; chunk < order.chunks(); ++chunk) {
        const ChunkPart forward{'F', direction, chunk}, input{'I', direction, chunk},
            full{'B', direction, chunk}, weights{'W', direction, chunk};
        if (!computed.count(forward))
          missing(forward.text());
        if (trains && !computed.count(full) && !computed.count(input))
          missing(full.text() + " or " + input.text());
        if (computed.count(input) && !computed.count(weights))
          missing(weights.text());
      }
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw InputError(order.file, orderPlace(rank, index) + ": " + what);
  }
  [[noreturn]] void missing(const std::string &what) const {
    throw InputError(order.file, "order[" + std::to_string(rank) + "]: has no " + what +
                                     "; every rank computes each micro-batch of each direction");
  }

  void needs(const ChunkPart &part) const {
    const bool input = computed.count(withKind(part, 'I'));
    if (part.kind == 'W' && !input)
      fail("found " + part.text() + " before " + withKind(part, 'I').text() +
           "; allowed is after it");
    if (part.kind == 'W')
      return;
    if (part.kind != 'F' && !computed.count(withKind(part, 'F')))
      fail("found " + part.text() + " before " + withKind(part, 'F').text() +
           "; allowed is after it");
    if ((part.kind == 'B' && input) || (part.kind == 'I' && computed.count(withKind(part, 'B'))))
      fail("found " + part.text() + " after its other form; allowed is one of B and I");
    const int source = sourceOf(order, part, rank);
    const ChunkPart carried = withKind(part, part.kind == 'F' ? 'F' : 'B');
    if (source == rank) {
      const ChunkPart before{carried.kind, 1 - part.direction, part.microBatch};
      if (!computed.count(before) && !computed.count(withKind(before, 'I')))
        fail("found " + part.text() + " before " + before.text() +
             ", which hands it its input; allowed is after it");
    } else if (source >= 0 && !received.count(carried)) {
      fail("found " + part.text() + " before a batch with <" + carried.text() + "@" +
           std::to_string(source) + "; allowed is after it");
    }
  }

  void move(const OrderTransfer &transfer) {
    const ChunkPart &part = transfer.part;
    if (transfer.send) {
      const bool computedInHalves = part.kind == 'B' && computed.count(withKind(part, 'I'));
      if (!computed.count(part) && !computedInHalves)
        fail("found " + transfer.text() + " before " + part.text() + "; allowed is after it");
      if (sourceOf(order, part, transfer.peer) != rank)
        fail("found " + transfer.text() + "; rank " + std::to_string(transfer.peer) +
             " has no use for it in " + order.schedule);
      if (!sent.insert(part).second)
        fail("found " + transfer.text() + " a second time; allowed is once");
      return;
    }
    if (sourceOf(order, part, rank) != transfer.peer)
      fail("found " + transfer.text() + "; in " + order.schedule + " " + part.text() + " of rank " +
           std::to_string(rank) + " takes nothing from rank " + std::to_string(transfer.peer));
    if (!received.insert(part).second)
      fail("found " + transfer.text() + " a second time; allowed is once");
  }

  const Order &order;
  int rank;
  std::size_t index = 0;
  std::set<ChunkPart> computed, sent, received;
};

/// What goes from one rank to another, in order, and where it stands.
using Traffic = std::map<std::pair<int, int>, std::vector<std::pair<ChunkPart, std::string>>>;

std::string described(const Traffic::mapped_type &list, std::size_t at, const char *verb) {
  return at < list.size()
             ? std::string(verb) + " " + list[at].first.text() + " (" + list[at].second + ")"
             : std::string(verb) + " nothing more";
}

/// Between two ranks the order of the sends is that of the receives.
void checkTraffic(const Order &order) {
  Traffic sends, receives;
  for (int rank = 0; rank < order.ranks; ++rank) {
    const auto &steps = order.steps[std::size_t(rank)];
    for (std::size_t i = 0; i < steps.size(); ++i)
      for (const OrderTransfer &transfer : steps[i].batch) {
        auto link = transfer.send ? std::pair(rank, transfer.peer) : std::pair(transfer.peer, rank);
        (transfer.send ? sends : receives)[link].emplace_back(transfer.part, orderPlace(rank, i));
        (transfer.send ? receives : sends)[link]; // so that both have it
      }
  }
  for (const auto &[link, sent] : sends) {
    const auto &received = receives[link];
    for (std::size_t i = 0; i < std::max(sent.size(), received.size()); ++i)
      if (i >= sent.size() || i >= received.size() || sent[i].first != received[i].first)
        throw InputError(
            order.file, "order: transfer " + std::to_string(i) + " from rank " +
                            std::to_string(link.first) + " to rank " + std::to_string(link.second) +
                            ": the one " + described(sent, i, "sends") + ", the other " +
                            described(received, i, "receives") + "; allowed is the same");
  }
}

} // namespace

void checkOrder(const Order &order) {
  std::vector<RankCheck> ranks;
  for (int rank = 0; rank < order.ranks; ++rank) {
    ranks.emplace_back(order, rank);
    ranks.back().run();
  }
  const bool trains = order.trains();
  for (RankCheck &rank : ranks)
    rank.complete(trains);
  checkTraffic(order);
}

} // namespace hadal::rt
