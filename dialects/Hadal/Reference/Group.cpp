// SPDX-License-Identifier: Apache-2.0
//
// See Group.h.

#include "dialects/Hadal/Reference/Group.h"

using namespace mlir;

namespace hadal::reference {

Group::Group(ModuleOp module, int64_t members, int64_t experts, Precision precision)
    : module(module), precision(precision) {
  for (int64_t member = 0; member < members; ++member) {
    ranks.emplace_back(module, precision);
    ranks.back().store.set(BindingKind::Scalar, "first_expert",
                           Tensor::integer(member * (experts / members)));
  }
}

LogicalResult Group::call(StringRef name, const std::vector<Interpreter::Values> &arguments) {
  auto program = module.lookupSymbol<func::FuncOp>(name);
  if (!program || program.isExternal())
    return module.emitError("has no program @") << name;
  std::deque<Frame> frames;
  for (const Interpreter::Values &values : arguments) {
    if (values.size() != program.getNumArguments())
      return program.emitError("takes ")
             << program.getNumArguments() << " arguments, found " << values.size();
    Frame &frame = frames.emplace_back(precision);
    for (auto [argument, value] : llvm::zip_equal(program.getArguments(), values))
      frame.set(argument, value);
  }
  for (Operation &op : program.front().without_terminator()) {
    if (auto move = dyn_cast<ExchangeOp>(op)) {
      if (failed(exchange(move, frames)))
        return failure();
      continue;
    }
    for (size_t member = 0; member < ranks.size(); ++member)
      if (failed(ranks[member].execute(&op, frames[member])))
        return failure();
  }
  return success();
}

namespace {

/// One exchange, over the frames of all members.
class Exchange {
public:
  Exchange(ExchangeOp op, std::deque<Frame> &frames)
      : op(op), frames(frames), members(int64_t(frames.size())) {
    for (Frame &frame : frames) {
      counts.push_back(frame.ids(op.getSendCounts()));
      offsets.push_back(frame.ids(op.getSendOffsets()));
      tokens.push_back(frame.ids(op.getSendToken()));
    }
  }

  /// Whether the members agree on what moves, and no row leaves its tensor; an error if not.
  bool check() {
    for (int64_t home = 0; home < members; ++home)
      if (!checkSent(home))
        return false;
    for (int64_t member = 0; op.getReceived() && member < members; ++member)
      if (frames[size_t(member)].ids(op.getReceived()).data != receivedBy(member).data)
        return refuse(member, "expected as many received rows as are sent to it");
    return true;
  }

  /// The running sums of what a member receives: tokens, then routed rows.
  Array<int64_t> receivedBy(int64_t member) {
    Array<int64_t> sums({2, members + 1});
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t from = 0; from < members; ++from)
        sums(row, from + 1) = sums(row, from) + counts[size_t(from)](row, member);
    return sums;
  }

  /// Payload `index` in its new place on all members.
  void move(unsigned index) {
    auto elements = cast<RankedTensorType>(op.getPayload()[index].getType()).getElementType();
    if (elements.isInteger())
      moveAs<int64_t>(index, -1);
    else
      moveAs<double>(index, std::numeric_limits<double>::quiet_NaN());
  }

private:
  bool refuse(int64_t member, const llvm::Twine &message) {
    frames[size_t(member)].refuse(op, "member " + llvm::Twine(member) + ": " + message);
    return false;
  }

  /// send_offsets are the running sums of send_counts; the sent rows are tokens of this member.
  bool checkSent(int64_t home) {
    const Array<int64_t> &at = offsets[size_t(home)], &token = tokens[size_t(home)];
    ArrayRef<int64_t> slot = cast<RankedTensorType>(op.getSendSlot().getType()).getShape();
    const int64_t limit = slot[0] * slot[1];
    if (at(0) != 0)
      return refuse(home, "expected send_offsets from 0, found " + llvm::Twine(at(0)));
    for (int64_t member = 0; member < members; ++member) {
      int64_t sent = counts[size_t(home)](0, member), routed = counts[size_t(home)](1, member);
      if (sent < 0 || sent > limit || routed < sent)
        return refuse(home, "expected at most " + llvm::Twine(limit) + " tokens for member " +
                                llvm::Twine(member) + " and a routed row of each, found " +
                                llvm::Twine(sent) + " tokens and " + llvm::Twine(routed) + " rows");
      if (at(member + 1) != at(member) + sent)
        return refuse(home, "expected send_offsets to be the running sums of send_counts");
    }
    if (at(members) > token.elements())
      return refuse(home, "expected at most " + llvm::Twine(token.elements()) +
                              " sent rows, found " + llvm::Twine(at(members)));
    for (int64_t row = 0; row < at(members); ++row)
      if (token(row) < 0 || token(row) >= limit)
        return refuse(home, "expected send_token from 0 to " + llvm::Twine(limit - 1) + ", found " +
                                llvm::Twine(token(row)));
    return true;
  }

  template <typename T> void moveAs(unsigned index, T undefined) {
    Value from = op.getPayload()[index], to = op.getOutputs()[index];
    bool scatter = op.getKind() == ExchangeKind::Scatter;
    std::vector<Array<T>> sources, results;
    for (Frame &frame : frames) {
      sources.push_back(frame.rows<T>(from));
      results.emplace_back(shapeOf(to.getType()), undefined);
    }
    for (int64_t home = 0; home < members; ++home)
      for (int64_t member = 0; member < members; ++member) {
        int64_t first = offsets[size_t(home)](member), last = offsets[size_t(home)](member + 1);
        int64_t there = receivedBy(member)(0, home);
        for (int64_t sent = first; sent < last; ++sent, ++there)
          for (int64_t i = 0; i < results[0].size(1); ++i)
            if (scatter)
              results[size_t(member)](there, i) =
                  sources[size_t(home)](tokens[size_t(home)](sent), i);
            else
              results[size_t(home)](sent, i) = sources[size_t(member)](there, i);
      }
    for (int64_t member = 0; member < members; ++member)
      frames[size_t(member)].set(to, results[size_t(member)]);
  }

  ExchangeOp op;
  std::deque<Frame> &frames;
  int64_t members;
  std::vector<Array<int64_t>> counts, offsets, tokens;
};

} // namespace

LogicalResult Group::exchange(ExchangeOp op, std::deque<Frame> &frames) {
  if (int64_t(op.getMembers()) != size())
    return op.emitOpError("expected a group of ")
           << op.getMembers() << " members, found " << size() << " ranks";
  Exchange move(op, frames);
  if (!move.check())
    return failure();
  for (unsigned index = 0; index < op.getPayload().size(); ++index)
    move.move(index);
  for (int64_t member = 0; op.ownsCounts() && member < size(); ++member)
    frames[size_t(member)].set(op.getReceivedSums(), move.receivedBy(member));
  return success();
}

} // namespace hadal::reference
