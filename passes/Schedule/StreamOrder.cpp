// SPDX-License-Identifier: Apache-2.0
//
// See StreamOrder.h.

#include "passes/Schedule/StreamOrder.h"

using namespace mlir;
using namespace hadal::pipe;

/// Whoever reads waits for the writer; whoever writes for all that used the buffer.
void StreamOrder::need(Stamp &needed, ValueRange buffers, bool write) const {
  for (Value buffer : buffers) {
    auto found = accesses.find(buffer);
    if (found == accesses.end())
      continue;
    const Access &access = found->second;
    needed[access.writer] = std::max(needed[access.writer], access.written);
    for (unsigned stream = 0; write && stream < count; ++stream)
      needed[stream] = std::max(needed[stream], access.read[stream]);
  }
}

void StreamOrder::before(unsigned stream, ValueRange reads, ValueRange writes) {
  if (count < 2)
    return;
  Stamp needed{};
  need(needed, reads, false);
  need(needed, writes, true);
  for (unsigned other = 0; other < count; ++other)
    if (other != stream && needed[other] > known[stream][other])
      wait(stream, other, needed[other]);
}

void StreamOrder::wait(unsigned stream, unsigned other, int64_t position) {
  Done &behind = done[other][position - 1];
  if (behind.event < 0) {
    behind.event = events++;
    OpBuilder at(instructions.getContext());
    at.setInsertionPointAfter(behind.op);
    RecordOp::create(at, behind.op->getLoc(), behind.event, other);
  }
  WaitOp::create(instructions, behind.op->getLoc(), behind.event, stream);
  ++waits;
  for (unsigned third = 0; third < count; ++third)
    known[stream][third] = std::max(known[stream][third], behind.known[third]);
  known[stream][other] = std::max(known[stream][other], position);
}

void StreamOrder::after(unsigned stream, Operation *last, ValueRange reads, ValueRange writes) {
  if (count < 2)
    return;
  done[stream].push_back({last, known[stream]});
  auto position = int64_t(done[stream].size());
  for (Value buffer : reads)
    accesses[buffer].read[stream] = position;
  for (Value buffer : writes)
    accesses[buffer] = {stream, position, {}};
}

bool StreamOrder::settled(unsigned stream, Value buffer) const {
  Stamp needed{};
  need(needed, buffer, true);
  for (unsigned other = 0; other < count; ++other)
    if (other != stream && needed[other] > known[stream][other])
      return false;
  return true;
}
