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
      offsets.push_back(frame.ids(op.getSendOffsets()));
      tokens.push_back(frame.ids(op.getSendToken()));
    }
  }

  /// The running sums of what a member receives: tokens, then routed rows.
  Array<int64_t> receivedBy(int64_t member) {
    Array<int64_t> sums({2, members + 1});
    for (int64_t row = 0; row < 2; ++row)
      for (int64_t from = 0; from < members; ++from)
        sums(row, from + 1) =
            sums(row, from) + frames[size_t(from)].ids(op.getSendCounts())(row, member);
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
  std::vector<Array<int64_t>> offsets, tokens;
};

} // namespace

LogicalResult Group::exchange(ExchangeOp op, std::deque<Frame> &frames) {
  if (int64_t(op.getMembers()) != size())
    return op.emitOpError("expected a group of ")
           << op.getMembers() << " members, found " << size() << " ranks";
  Exchange move(op, frames);
  for (unsigned index = 0; index < op.getPayload().size(); ++index)
    move.move(index);
  for (int64_t member = 0; op.ownsCounts() && member < size(); ++member)
    frames[size_t(member)].set(op.getReceivedSums(), move.receivedBy(member));
  return success();
}

} // namespace hadal::reference
