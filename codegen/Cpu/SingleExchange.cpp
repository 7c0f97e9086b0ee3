// SPDX-License-Identifier: Apache-2.0
//
// Kernels that order the rows of an exchange: which tokens go to which member, and what was
// received by expert. See Single.h.

#include "codegen/Cpu/Single.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace hadal::cpu {

static Value toI32(KernelBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI32Type(), index);
}
static Value toI64(KernelBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI64Type(), index);
}
static Value idAt(KernelBuilder &b, Value ids, Value at) {
  return b.toIndex(b.load(b.getI32Type(), ids, at));
}
static void addAt(KernelBuilder &b, Type type, Value table, Value at, Value more) {
  b.store(b.add(b.load(type, table, at), more), table, at);
}

// --- which tokens go to which member ---

void configureSingle(ExchangeLayoutOp op, KernelConfig &config) {
  int64_t choices = lastDimension(op.getExperts());
  config.sizes = {elementsOf(op.getExperts()) / choices};
  config.key += llvm::formatv(" of {0}", choices).str();
  // Counts and places of each member, then the slots where nobody else has them.
  config.scratch = 24 * int64_t(op.getMembers());
  if (op.getSendSlot().use_empty())
    config.scratch += 4 * elementsOf(op.getSendSlot());
}

namespace {
class LayoutWriter {
public:
  LayoutWriter(SingleWriter &w, ExchangeLayoutOp op)
      : w(w), b(w.b), op(op), members(int64_t(op.getMembers())), tokens(b.sizes[0]),
        tokenCounts(b.scratchAt(0)), rowCounts(b.scratchAt(8 * members)),
        next(b.scratchAt(16 * members)), slots(w.resultOf(op.getSendSlot())) {
    if (!slots)
      slots = b.scratchAt(24 * members);
  }

  void write() {
    b.loop(b.index(0), b.index(2 * members), 1,
           [&](Value i) { b.store(b.i64(0), tokenCounts, i); });
    b.loop(b.index(0), tokens, 1, [&](Value token) { countToken(token); });
    writeCounts();
    b.loop(b.index(0), b.index(members), 1, [&](Value member) {
      b.loop(b.index(0), tokens, 1, [&](Value token) { place(token, member); });
    });
    if (Value sent = w.resultOf(op.getSendToken()))
      b.loop(b.toIndex(b.load(i64(), next, b.index(members - 1))),
             b.mul(tokens, lastDimension(op.getExperts()) < members ? lastDimension(op.getExperts())
                                                                    : members),
             1, [&](Value row) { b.store(b.i32(-1), sent, row); });
  }

private:
  Type i64() { return b.getI64Type(); }
  Type i32() { return b.getI32Type(); }
  Value slotOf(Value token, Value member) { return b.add(b.mul(token, members), member); }

  /// Leaves in the slots how many of a token's experts each member has.
  void countToken(Value token) {
    int64_t choices = lastDimension(op.getExperts());
    int64_t perMember = int64_t(op.getExpertCount()) / members;
    b.loop(b.index(0), b.index(members), 1,
           [&](Value member) { b.store(b.i32(0), slots, slotOf(token, member)); });
    b.loop(b.index(0), b.index(choices), 1, [&](Value k) {
      Value id = idAt(b, w.pointerOf(op.getExperts()), b.add(b.mul(token, choices), k));
      Value member = b.div(id, perMember), at = slotOf(token, member);
      b.ifThen(b.equal(b.load(i32(), slots, at), b.i32(0)),
               [&] { addAt(b, i64(), tokenCounts, member, b.i64(1)); });
      addAt(b, i32(), slots, at, b.i32(1));
      addAt(b, i64(), rowCounts, member, b.i64(1));
    });
  }

  void writeCounts() {
    Value counts = w.resultOf(op.getSendCounts()), offsets = w.resultOf(op.getSendOffsets());
    Value total = b.loop(b.index(0), b.index(members), 1, b.i64(0), [&](Value m, ValueRange sum) {
      Value count = b.load(i64(), tokenCounts, m);
      b.store(sum[0], next, m);
      if (offsets)
        b.store(sum[0], offsets, m);
      if (counts) {
        b.store(count, counts, m);
        b.store(b.load(i64(), rowCounts, m), counts, b.add(m, members));
      }
      return SmallVector<Value>{b.add(sum[0], count)};
    })[0];
    if (offsets)
      b.store(total, offsets, b.index(members));
  }

  /// The slot of a token that goes to a member becomes its place in the order, any other -1.
  void place(Value token, Value member) {
    Value at = slotOf(token, member);
    auto branch = scf::IfOp::create(b, b.less(b.i32(0), b.load(i32(), slots, at)),
                                    /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    Value row = b.toIndex(b.load(i64(), next, member));
    addAt(b, i64(), next, member, b.i64(1));
    b.store(toI32(b, row), slots, at);
    if (Value sent = w.resultOf(op.getSendToken()))
      b.store(toI32(b, token), sent, row);
    b.setInsertionPointToStart(branch.elseBlock());
    b.store(b.i32(-1), slots, at);
  }

  SingleWriter &w;
  KernelBuilder &b;
  ExchangeLayoutOp op;
  int64_t members;
  Value tokens, tokenCounts, rowCounts, next, slots;
};
} // namespace

void emitSingle(SingleWriter &w, ExchangeLayoutOp op) { LayoutWriter(w, op).write(); }

// --- what was received, by expert ---

void configureSingle(SortReceivedOp op, KernelConfig &config) {
  config.key += llvm::formatv(" of {0} from {1}", lastDimension(op.getExperts()),
                              lastDimension(op.getReceived()) - 1)
                    .str();
  config.scratch = 8 * int64_t(op.getExpertCount());
}

void emitSingle(SingleWriter &w, SortReceivedOp op) {
  KernelBuilder &b = w.b;
  Type i64 = b.getI64Type();
  int64_t experts = int64_t(op.getExpertCount());
  Value ids = w.pointerOf(op.getExperts()), next = b.scratchAt(0);
  Value offsets = w.resultOf(op.getOffsets()), source = w.resultOf(op.getSource());
  Value slot = w.resultOf(op.getSlot());
  Value received =
      b.load(i64, w.pointerOf(op.getReceived()), b.index(lastDimension(op.getReceived()) - 1));
  Value entries = b.mul(b.toIndex(received), lastDimension(op.getExperts()));
  Value first = b.toIndex(w.scalarOf(op.getFirst())), last = b.add(first, experts);
  // Calls body(expert) for an entry of this member.
  auto ifOwn = [&](Value at, function_ref<void(Value)> body) {
    Value id = idAt(b, ids, at);
    Value own = arith::AndIOp::create(b, b.less(id, last), b.less(b.sub(first, b.index(1)), id));
    b.ifThen(own, [&] { body(b.sub(id, first)); });
  };
  b.loop(b.index(0), b.index(experts), 1, [&](Value e) { b.store(b.i64(0), next, e); });
  b.loop(b.index(0), entries, 1, [&](Value at) {
    ifOwn(at, [&](Value expert) { addAt(b, i64, next, expert, b.i64(1)); });
  });
  Value total = b.loop(b.index(0), b.index(experts), 1, b.i64(0), [&](Value e, ValueRange sum) {
    Value count = b.load(i64, next, e);
    b.store(sum[0], next, e);
    if (offsets)
      b.store(sum[0], offsets, e);
    return SmallVector<Value>{b.add(sum[0], count)};
  })[0];
  if (offsets)
    b.store(total, offsets, b.index(experts));
  b.loop(b.index(0), entries, 1, [&](Value at) {
    if (slot)
      b.store(b.i32(-1), slot, at);
    ifOwn(at, [&](Value expert) {
      Value row = b.toIndex(b.load(i64, next, expert));
      b.store(toI64(b, b.add(row, 1)), next, expert);
      if (source)
        b.store(toI32(b, at), source, row);
      if (slot)
        b.store(toI32(b, row), slot, at);
    });
  });
}

} // namespace hadal::cpu
