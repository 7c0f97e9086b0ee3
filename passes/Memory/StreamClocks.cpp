// SPDX-License-Identifier: Apache-2.0
//
// See StreamClocks.h.

#include "passes/Memory/StreamClocks.h"

using namespace mlir;
using namespace hadal;
using llvm::ArrayRef;

/// The batch of a transfer, -1 of everything else.
static int64_t batchOf(Operation &op) {
  if (auto send = dyn_cast<pipe::SendOp>(op))
    return int64_t(send.getBatch());
  if (auto receive = dyn_cast<pipe::ReceiveOp>(op))
    return int64_t(receive.getBatch());
  return -1;
}

StreamClocks::StreamClocks(pipe::ProgramOp program)
    : streamCount(unsigned(program.getStreams().size())), lists(streamCount) {
  // By stream: what is known to have ended at its end so far, its places, its last batch.
  llvm::SmallVector<llvm::SmallVector<int32_t>> now(streamCount);
  for (auto &known : now)
    known.assign(streamCount, 0);
  llvm::SmallVector<int32_t> places(streamCount, 0);
  llvm::SmallVector<int64_t> batches(streamCount, -1);
  llvm::DenseMap<uint64_t, llvm::SmallVector<int32_t>> events;
  for (Operation &op : program.getBody().front()) {
    auto instruction = dyn_cast<pipe::InstructionOpInterface>(op);
    if (!instruction)
      continue;
    const unsigned stream = unsigned(instruction.getStream());
    llvm::SmallVector<int32_t> &known = now[stream];
    const int64_t batch = batchOf(op);
    if (auto wait = dyn_cast<pipe::WaitOp>(op))
      for (auto [mine, recorded] : llvm::zip(known, events[wait.getEvent()]))
        mine = std::max(mine, recorded);
    if (batch < 0 || batch != batches[stream]) {
      known[stream] = places[stream];
      ++places[stream];
    }
    batches[stream] = batch;
    lists[stream].push_back(uint32_t(instructions.size()));
    instructions.push_back({stream, places[stream]});
    llvm::append_range(clocks, known);
    if (auto record = dyn_cast<pipe::RecordOp>(op)) {
      events[record.getEvent()] = known;
      events[record.getEvent()][stream] = places[stream];
    }
  }
}

int64_t StreamClocks::lastBeside(unsigned stream, ArrayRef<int32_t> ends) const {
  // Along a stream clocks only grow.
  auto behind = [&](uint32_t instruction) {
    return llvm::all_of(llvm::zip(before(instruction), ends),
                        [](auto pair) { return std::get<0>(pair) >= std::get<1>(pair); });
  };
  auto first = llvm::partition_point(lists[stream], [&](uint32_t i) { return !behind(i); });
  return first == lists[stream].begin() ? -1 : int64_t(*std::prev(first));
}
