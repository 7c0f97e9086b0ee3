// SPDX-License-Identifier: Apache-2.0
//
// Rules of what a member of an expert group does by itself: the layout of an exchange, the order of
// what was received, the sum over members.

#include "dialects/Hadal/Reference/Rules.h"

#include <set>

using namespace mlir;

namespace hadal::reference {

template <typename Real> static void interpret(Real, ExchangeLayoutOp op, Frame &frame) {
  auto experts = frame.rows<int64_t>(op.getExperts());
  const int64_t members = int64_t(op.getMembers()), count = int64_t(op.getExpertCount());
  if (!frame.checkIndices(op, "experts", experts, count))
    return;
  auto counts = frame.zeros<int64_t>(op.getSendCounts());
  auto offsets = frame.zeros<int64_t>(op.getSendOffsets());
  auto token = frame.zeros<int64_t>(op.getSendToken());
  auto slot = frame.zeroRows<int64_t>(op.getSendSlot());
  std::fill(token.data.begin(), token.data.end(), -1);
  int64_t row = 0;
  for (int64_t member = 0; member < members; ++member) {
    for (int64_t t = 0; t < experts.size(0); ++t) {
      int64_t chosen = 0;
      for (int64_t k = 0; k < experts.size(1); ++k)
        chosen += experts(t, k) * members / count == member;
      slot(t, member) = chosen ? row : -1;
      if (chosen)
        token(row++) = t;
      counts(0, member) += chosen > 0;
      counts(1, member) += chosen;
    }
    offsets(member + 1) = row;
  }
  frame.set(op.getSendCounts(), counts);
  frame.set(op.getSendOffsets(), offsets);
  frame.set(op.getSendToken(), token);
  frame.set(op.getSendSlot(), slot);
}

template <typename Real> static void interpret(Real, SortReceivedOp op, Frame &frame) {
  auto experts = frame.rows<int64_t>(op.getExperts());
  auto received = frame.ids(op.getReceived());
  const int64_t first = frame.scalar<int64_t>(op.getFirst()), count = int64_t(op.getExpertCount());
  const int64_t rows = received(0, received.size(1) - 1);
  if (rows < 0 || rows > experts.size(0))
    return frame.refuse(op, "expected at most " + llvm::Twine(experts.size(0)) +
                                " received rows, found " + llvm::Twine(rows));
  auto offsets = frame.zeros<int64_t>(op.getOffsets());
  auto source = frame.zeros<int64_t>(op.getSource()), slot = frame.zeroRows<int64_t>(op.getSlot());
  std::fill(source.data.begin(), source.data.end(), -1);
  std::fill(slot.data.begin(), slot.data.end(), -1);
  int64_t next = 0;
  for (int64_t e = 0; e < count; ++e) {
    for (int64_t flat = 0; flat < rows * experts.size(1); ++flat) {
      if (experts.data[flat] != first + e)
        continue;
      if (next == source.elements())
        return frame.refuse(op, "expected each expert at most once in a row");
      source(next) = flat;
      slot.data[flat] = next++;
    }
    offsets(e + 1) = next;
  }
  if (next != received(1, received.size(1) - 1))
    return frame.refuse(op, "expected " + llvm::Twine(received(1, received.size(1) - 1)) +
                                " routed rows, found " + llvm::Twine(next));
  frame.set(op.getOffsets(), offsets);
  frame.set(op.getSource(), source);
  frame.set(op.getSlot(), slot);
}

template <typename Real> static void interpret(Real, CombineMembersOp op, Frame &frame) {
  auto rows = frame.read<Real>(op.getRows());
  auto slot = frame.rows<int64_t>(op.getSendSlot());
  auto y = frame.zeroRows<Real>(op.getResult());
  for (int64_t t = 0; t < y.size(0); ++t)
    for (int64_t m = 0; m < slot.size(1); ++m) {
      int64_t row = slot(t, m);
      if (row < -1 || row >= rows.size(0))
        return frame.refuse(op, "expected send_slot from -1 to " + llvm::Twine(rows.size(0) - 1) +
                                    ", found " + llvm::Twine(row));
      for (int64_t i = 0; row >= 0 && i < y.size(1); ++i)
        y(t, i) += rows(row, i);
    }
  frame.set(op.getResult(), y);
}

void addExchangeRules(RuleTable &table) {
  table.add<ExchangeLayoutOp, SortReceivedOp, CombineMembersOp>();
}

} // namespace hadal::reference
