// SPDX-License-Identifier: Apache-2.0
//
// See Order.h.

#include "passes/Schedule/Order.h"
#include "passes/Schedule/SchedulePass.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

std::string RankWriter::text(char what, int direction, int64_t chunk) {
  return what + std::to_string(direction) + '.' + std::to_string(chunk);
}

void RankWriter::post(char way, char what, int direction, int64_t &chunk, int64_t peer) {
  // At the ends of a direction there is no peer: ids go in, the loss comes out, or the rank itself
  // goes on.
  if (peer < 0 || peer >= ranks)
    return;
  posted.push_back(way + text(what, direction, chunk++) + '@' + std::to_string(peer));
}

void RankWriter::receiveForward(int direction) {
  post('<', 'F', direction, counters[direction].forwardsIn, direction ? rank + 1 : rank - 1);
}
void RankWriter::sendForward(int direction) {
  post('>', 'F', direction, counters[direction].forwardsOut, direction ? rank - 1 : rank + 1);
}
void RankWriter::receiveBackward(int direction) {
  post('<', 'B', direction, counters[direction].backwardsIn, direction ? rank - 1 : rank + 1);
}
void RankWriter::sendBackward(int direction) {
  post('>', 'B', direction, counters[direction].backwardsOut, direction ? rank + 1 : rank - 1);
}

void RankWriter::commit() {
  if (posted.empty())
    return;
  order.push_back("[" + llvm::join(posted, " ") + "]");
  posted.clear();
}

void RankWriter::forward(int direction, bool receive, bool send) {
  if (receive)
    receiveForward(direction);
  commit();
  order.push_back(text('F', direction, counters[direction].forwards++));
  if (send)
    sendForward(direction);
}

void RankWriter::backward(int direction, bool full, bool receive, bool send) {
  if (receive)
    receiveBackward(direction);
  commit();
  int64_t chunk = counters[direction].backwards++;
  order.push_back(text(full ? 'B' : 'I', direction, chunk));
  if (!full)
    waiting.push_back(text('W', direction, chunk));
  if (send)
    sendBackward(direction);
}

void RankWriter::pair(int forwardDirection, int backwardDirection, bool receive) {
  if (receive)
    receiveForward(forwardDirection);
  receiveBackward(backwardDirection);
  commit();
  order.push_back(text('F', forwardDirection, counters[forwardDirection].forwards++) + '+' +
                  text('B', backwardDirection, counters[backwardDirection].backwards++));
  sendForward(forwardDirection);
  sendBackward(backwardDirection);
}

void RankWriter::weights() {
  commit();
  order.push_back(waiting.front());
  waiting.pop_front();
}

RankOrder RankWriter::finish() {
  commit();
  return std::move(order);
}

/// `F0.3`, without its letter `0.3`.
static std::optional<OrderPart> parsePart(StringRef text) {
  OrderPart part;
  if (text.size() < 4 || !StringRef("FBIW").contains(text.front()))
    return std::nullopt;
  part.what = text.front();
  auto [direction, chunk] = text.drop_front().split('.');
  if (direction.getAsInteger(10, part.direction) || chunk.getAsInteger(10, part.chunk) ||
      part.direction < 0 || part.chunk < 0)
    return std::nullopt;
  return part;
}

static std::optional<OrderTransfer> parseTransfer(StringRef text) {
  auto [what, peer] = text.split('@');
  OrderTransfer transfer;
  if ((!what.starts_with(">") && !what.starts_with("<")) || peer.getAsInteger(10, transfer.peer))
    return std::nullopt;
  transfer.send = what.front() == '>';
  std::optional<OrderPart> part = parsePart(what.drop_front());
  if (!part || (part->what != 'F' && part->what != 'B'))
    return std::nullopt;
  transfer.part = *part;
  return transfer;
}

std::optional<OrderEntry> pipe::parseEntry(StringRef text) {
  OrderEntry entry;
  bool batch = text.consume_front("[") && text.consume_back("]");
  SmallVector<StringRef> pieces;
  text.split(pieces, batch ? ' ' : '+');
  for (StringRef piece : pieces) {
    if (batch) {
      std::optional<OrderTransfer> transfer = parseTransfer(piece);
      if (!transfer)
        return std::nullopt;
      entry.batch.push_back(*transfer);
    } else {
      std::optional<OrderPart> part = parsePart(piece);
      if (!part)
        return std::nullopt;
      entry.parts.push_back(*part);
    }
  }
  if (entry.parts.size() > 2)
    return std::nullopt;
  return entry;
}

Order pipe::orderOf(ScheduleOp schedule) {
  Order order;
  if (!schedule.getOrder())
    return order;
  for (auto row : schedule.getOrder()->getAsRange<ArrayAttr>()) {
    order.emplace_back();
    for (auto entry : row.getAsRange<StringAttr>())
      order.back().push_back(entry.str());
  }
  return order;
}

Order pipe::orderOf(StringRef algorithm, int64_t ranks, int64_t microBatches) {
  if (algorithm == "zb1p")
    return orderZb1p(ranks, microBatches);
  if (algorithm == "dualpipe")
    return orderDualPipe(ranks, microBatches);
  if (algorithm == "dualpipev")
    return orderDualPipeV(ranks, microBatches);
  return order1F1B(ranks, microBatches);
}

LogicalResult hadal::expandSchedules(ModuleOp module, StringRef algorithm, int64_t &chunks,
                                     int64_t &peak) {
  Builder builder(module.getContext());
  for (auto schedule : module.getOps<ScheduleOp>()) {
    if (schedule.getAlgorithm() != algorithm || schedule.getOrder())
      continue;
    Order order = orderOf(algorithm, schedule.getRanks(), schedule.getMicroBatches());
    OrderCheck check = validateOrder(order);
    if (!check.error.empty())
      return schedule.emitOpError("gives an order that is not sound: ") << check.error;
    chunks += check.chunks;
    peak = std::max(peak, check.peakLive);
    SmallVector<Attribute> rows;
    for (const RankOrder &row : order)
      rows.push_back(builder.getStrArrayAttr(llvm::to_vector_of<StringRef>(row)));
    schedule.setOrderAttr(builder.getArrayAttr(rows));
  }
  return success();
}
