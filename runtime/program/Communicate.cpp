// SPDX-License-Identifier: Apache-2.0
//
// See Executor.h: instructions that concern other ranks, and memory that routing sizes.

#include "runtime/program/Executor.h"
#include "runtime/program/Terms.h"
#include "runtime/support/Error.h"

#include "runtime/transport/Collectives.h"

#include <algorithm>
#include <numeric>

namespace hadal::rt {

using bundle::RowCount;

/// Rows of class `rows` that the counts in a buffer [2, members + 1] tell.
std::int64_t Executor::rowsBy(std::int64_t counts, RowCount rows) const {
  if (counts < 0)
    return -1;
  const View &view = buffers[std::size_t(counts)];
  const std::int64_t columns = view.shape.back();
  return view.as<std::int64_t>()[(rows == RowCount::routed ? 2 * columns : columns) - 1];
}

void Executor::exchangeCountsOf(const Lane &lane, const Step &step) {
  const bundle::Instruction &instruction = *program.instructions()->Get(step.instruction);
  const auto *send = buffers[instruction.operands()->Get(0)].as<std::int64_t>();
  auto *received = buffers[instruction.operands()->Get(1)].as<std::int64_t>();
  exchangeCounts(lane, experts, send, received);
  if (spanning)
    exchanged.push_back({step.instruction,
                         std::accumulate(send, send + experts.size(), std::int64_t(0)),
                         rowsBy(instruction.operands()->Get(1), RowCount::received),
                         rowsBy(instruction.operands()->Get(1), RowCount::routed)});
}

/// Bytes of a row: what lies behind the first dimension.
static std::int64_t rowBytes(const View &view) {
  return view.shape.empty() || !view.shape[0] ? 0 : view.bytes() / view.shape[0];
}

std::int64_t Executor::bytesNow(std::uint32_t buffer) const {
  const View &view = buffers[buffer];
  if (rowsOf(buffer) == RowCount::fixed)
    return view.bytes();
  if (live[buffer] < 0)
    throw RunError("buffer " + program.buffers()->Get(buffer)->name()->str() +
                   " is used while it has no memory");
  return rowBytes(view) * live[buffer];
}

void Executor::allocateRows(const bundle::Instruction &instruction) {
  const std::uint32_t buffer = instruction.operands()->Get(0);
  const std::int64_t rows = rowsBy(instruction.counts(), rowsOf(buffer));
  View &view = buffers[buffer];
  const std::string name = program.buffers()->Get(buffer)->name()->str();
  if (rows < 0 || view.shape.empty() || rows > view.shape[0])
    throw RunError("buffer " + name + ": " + std::to_string(rows) +
                   " rows arrived; there is room for " +
                   std::to_string(view.shape.empty() ? 0 : view.shape[0]));
  if (live[buffer] >= 0)
    throw RunError("buffer " + name + " is allocated twice");
  live[buffer] = rows;
  view.data = store.rows().allocate(std::uint64_t(rows * rowBytes(view)), MemoryUse::Activations);
}

void Executor::freeRows(std::uint32_t buffer) {
  if (live[buffer] < 0)
    throw RunError("buffer " + program.buffers()->Get(buffer)->name()->str() +
                   " is given back while it has no memory");
  live[buffer] = -1;
  store.rows().free(buffers[buffer].data);
}

void Executor::exchangeMessages(Stream &stream, const Step &step) {
  std::vector<Transport::Request> requests;
  for (std::size_t i = step.first; i < step.first + step.count; ++i) {
    const Message &message = messages[i];
    unsigned char *data = buffers[message.buffer].data;
    const auto bytes = std::uint64_t(bytesNow(message.buffer));
    requests.push_back(
        message.sends ? links.transport->send(message.peer, int(stream.number), data, bytes)
                      : links.transport->receive(message.peer, int(stream.number), data, bytes));
  }
  links.transport->wait(requests);
}

void Executor::moveRows(const Lane &lane, const Step &step) {
  const bundle::Instruction &instruction = *program.instructions()->Get(step.instruction);
  const std::uint32_t count = countOf(instruction.operands()), pairs = (count - 3) / 2;
  auto operand = [&](std::uint32_t i) -> const View & {
    return buffers[instruction.operands()->Get(i)];
  };
  const bool scatter = step.kind == Step::ScatterRows;
  std::vector<RowsTensor> tensors;
  for (std::uint32_t i = 0; i < pairs; ++i) {
    const View &from = operand(i), &to = operand(pairs + i);
    bytesNow(instruction.operands()->Get(i)); // both have memory
    bytesNow(instruction.operands()->Get(pairs + i));
    // The side of received rows says what a row is.
    tensors.push_back({from.data, to.data, rowBytes(scatter ? to : from)});
  }
  const RowsRoute route{operand(count - 3).as<std::int64_t>(),
                        operand(count - 2).as<std::int32_t>(),
                        operand(count - 1).as<std::int64_t>()};
  const std::int64_t sent = route.offsets[experts.size()], arrived = route.received[experts.size()];
  for (std::uint32_t i = 0; i < pairs; ++i) {
    const std::uint32_t received = instruction.operands()->Get(scatter ? pairs + i : i);
    if (live[received] >= 0 && live[received] != arrived)
      throw RunError("buffer " + program.buffers()->Get(received)->name()->str() + " has " +
                     std::to_string(live[received]) + " rows; " + std::to_string(arrived) +
                     " arrive");
    if (const View &places = scatter ? operand(count - 2) : operand(pairs + i);
        places.shape.empty() || sent > places.shape[0])
      throw RunError(std::to_string(sent) + " rows are sent; there is room for " +
                     std::to_string(places.shape.empty() ? 0 : places.shape[0]));
  }
  (scatter ? scatterRows : gatherRows)(lane, experts, tensors, route);
}

void Executor::communicate(Stream &stream, const Step &step) {
  const bundle::Instruction &instruction = *program.instructions()->Get(step.instruction);
  auto operand = [&](std::uint32_t i) -> const View & {
    return buffers[instruction.operands()->Get(i)];
  };
  const std::uint32_t last = countOf(instruction.operands()) - 1;
  const Lane lane{*links.transport, int(stream.number), stream.staging,
                  stream.launches ? &pool : nullptr};
  switch (step.kind) {
  case Step::ExchangeCounts:
    return exchangeCountsOf(lane, step);
  case Step::ScatterRows:
  case Step::GatherRows:
    return moveRows(lane, step);
  case Step::ReduceScatter: {
    Summands own;
    for (std::uint32_t i = 0; i < last; ++i)
      (i < accumulatorsOf(instruction) ? own.accumulators : own.parked)
          .push_back(operand(i).as<float>());
    return reduceScatter(lane, sums[step.plan], own, operand(last).as<float>());
  }
  case Step::AllGather: {
    const ShardedSum &sum = sums[step.plan];
    return allGather(lane, sum.members, operand(0).data, sum.elements, sum.window,
                     elementBytes(operand(0).dtype));
  }
  case Step::TotalSquares: {
    std::vector<double> blocks;
    for (std::uint32_t i = 0; i < last; ++i)
      blocks.insert(blocks.end(), operand(i).as<double>(),
                    operand(i).as<double>() + operand(i).elements);
    *operand(last).as<double>() = totalInOrder(lane, blocks, squares[step.plan]);
    return;
  }
  case Step::AllReduce:
    return allReduce(*links.transport, sums[step.plan].members, int(stream.number),
                     operand(0).as<std::int64_t>(), std::size_t(operand(0).elements));
  default:
    return;
  }
}

} // namespace hadal::rt
