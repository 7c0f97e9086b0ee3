// SPDX-License-Identifier: Apache-2.0
//
// Exchanges of routed rows, and buffers that have as many rows as routing gave; see
// ProgramBuilder.h.

#include "passes/Schedule/ProgramBuilder.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

static constexpr unsigned kCompute = 0, kExperts = 1;

/// A buffer whose room is made here, by what `received` counts.
BufferOp ProgramBuilder::allocate(Type type, RowCount rows, BufferOp received, unsigned stream) {
  BufferOp buffer = makeBuffer({}, StorageKind::Rows, {}, 0, type);
  buffer.setRowsAttr(RowCountAttr::get(source.getContext(), rows));
  Value reads = received, writes = buffer;
  streams.before(stream, reads, writes);
  auto op = AllocateOp::create(instructions, source.getLoc(), buffer, received, stream);
  mark(op);
  streams.after(stream, op, reads, writes);
  room[buffer] = {received, 0};
  return buffer;
}

/// The buffer that counts the rows of an application's operands; null where nothing is counted.
BufferOp ProgramBuilder::receivedOf(ValueRange buffers) const {
  for (Value buffer : buffers)
    if (auto found = room.find(buffer); found != room.end())
      return found->second.received;
  return {};
}

/// How many steps will use a value, each counted once.
static int64_t usesOf(Value value) {
  llvm::SmallDenseSet<Operation *> users;
  for (Operation *user : value.getUsers())
    users.insert(user);
  return int64_t(users.size());
}

/// A value of counted rows lies in this buffer now, which lives until its last user.
void ProgramBuilder::keepRows(Value value, BufferOp buffer) {
  auto found = room.find(buffer);
  if (found == room.end())
    return;
  found->second.uses += usesOf(value);
  if (found->second.uses == 0)
    idle.push_back(buffer);
}

/// Gives room back when nobody needs it any more: once the last user has been issued, and no sooner
/// than the stream that computes knows of its end anyway, so that it never waits for this.
void ProgramBuilder::usedRows(Operation *step, int64_t microBatch) {
  llvm::SmallSetVector<Value, 8> operands(step->operand_begin(), step->operand_end()); // in order
  for (Value operand : operands) {
    auto found = room.find(dataOf(operand, microBatch));
    if (found != room.end() && --found->second.uses == 0)
      idle.push_back(found->first);
  }
  freeIdle(/*all=*/false);
}

void ProgramBuilder::freeIdle(bool all) {
  llvm::erase_if(idle, [&](Value buffer) {
    if (room.lookup(buffer).uses > 0) // another value lies there, too
      return true;
    if (!all && !streams.settled(kCompute, buffer))
      return false;
    streams.before(kCompute, {}, buffer);
    auto op = FreeOp::create(instructions, source.getLoc(), buffer, kCompute);
    streams.after(kCompute, op, {}, buffer);
    return true;
  });
}

LogicalResult ProgramBuilder::data(Operation *step, ValueRange operands, int64_t microBatch,
                                   SmallVectorImpl<Value> &buffers) {
  for (Value operand : operands) {
    BufferOp buffer = dataOf(operand, microBatch);
    if (!buffer)
      return step->emitOpError(
          "uses a value that its chunk does not have; its producer has a later phase");
    buffers.push_back(buffer);
  }
  return success();
}

/// The counts of a layer's rows, exchanged by the scatter that comes first.
void ProgramBuilder::exchangeCounts(ExchangeOp exchange, int64_t microBatch) {
  BufferOp counts = dataOf(exchange.getSendCounts(), microBatch);
  BufferOp received = arenaBuffer(exchange.getReceivedSums().getType());
  values[{exchange.getReceivedSums(), microBatch}] = received;
  Value reads = counts, writes = received;
  streams.before(kExperts, reads, writes);
  auto op = ExchangeCountsOp::create(instructions, exchange.getLoc(), counts, received,
                                     exchange.getPhaseAttr(), exchange.getLayerAttr(),
                                     microBatchAttr(microBatch),
                                     instructions.getI64IntegerAttr(kExperts));
  mark(op);
  streams.after(kExperts, op, reads, writes);
}

LogicalResult ProgramBuilder::exchange(ExchangeOp exchange, int64_t microBatch) {
  if (int64_t(exchange.getMembers()) != layout.expertParallel || !target.stages)
    return exchange.emitOpError("is among ")
           << exchange.getMembers() << " members; the schedule's expert_parallel is "
           << (target.stages ? layout.expertParallel : 1);
  bool scatter = exchange.getKind() == ExchangeKind::Scatter;
  SmallVector<Value> layoutBuffers, from, to;
  if (failed(data(exchange,
                  {exchange.getSendCounts(), exchange.getSendOffsets(), exchange.getSendToken()},
                  microBatch, layoutBuffers)) ||
      failed(data(exchange, exchange.getPayload(), microBatch, from)))
    return failure();
  if (exchange.ownsCounts())
    exchangeCounts(exchange, microBatch);
  SmallVector<Value> received;
  if (failed(data(exchange, exchange.getReceivedSums(), microBatch, received)))
    return failure();
  auto counts = received.front().getDefiningOp<BufferOp>();
  for (Value moved : exchange.getMoved()) {
    BufferOp buffer = scatter ? allocate(moved.getType(), RowCount::Received, counts, kExperts)
                              : arenaBuffer(moved.getType());
    values[{moved, microBatch}] = buffer;
    keepRows(moved, buffer);
    to.push_back(buffer);
  }
  SmallVector<Value> reads(from);
  reads.append({layoutBuffers[1], layoutBuffers[2], counts});
  streams.before(kExperts, reads, to);
  auto direction =
      DirectionAttr::get(source.getContext(), scatter ? Direction::Scatter : Direction::Gather);
  auto op = ExchangeRowsOp::create(instructions, exchange.getLoc(), from, to, layoutBuffers[1],
                                   layoutBuffers[2], counts, direction, exchange.getPhaseAttr(),
                                   exchange.getLayerAttr(), microBatchAttr(microBatch),
                                   instructions.getI64IntegerAttr(kExperts));
  mark(op);
  streams.after(kExperts, op, reads, to);
  usedRows(exchange, microBatch);
  return success();
}
