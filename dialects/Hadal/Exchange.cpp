// SPDX-License-Identifier: Apache-2.0
//
// Expert parallelism: shapes, rules and gradients.

#include "dialects/Hadal/Hadal.h"
#include "dialects/Hadal/ShapeCheck.h"

using namespace mlir;
using namespace hadal;

static constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();

LogicalResult ExchangeLayoutOp::inferReturnTypes(MLIRContext *context,
                                                 std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor experts = check.tensor("experts", adaptor.getExperts(), 3);
  int64_t count = check.positive("expert_count", adaptor.getExpertCount()); // C1
  int64_t members = check.positive("members", adaptor.getMembers());
  check.require(count % members == 0,
                "members to divide expert_count, " + Twine(count) + ", found " + Twine(members));
  check.require(count <= kMaxRows, "expert_count to fit 32 bits, found " + Twine(count));
  int64_t sent = experts.dim(0) * experts.dim(1) * std::min(experts.last(), members);
  check.require(sent <= kMaxRows, "at most 2^31 - 1 sent rows, found " + Twine(sent));
  if (!check.ok())
    return failure();
  return check.infer(types, {check.i64({2, members}), check.i64(members + 1), check.i32(sent),
                             check.i32(experts.withLast(members))});
}

LogicalResult SortReceivedOp::inferReturnTypes(MLIRContext *context,
                                               std::optional<Location> location, Adaptor adaptor,
                                               SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor experts = check.tensor("experts", adaptor.getExperts(), 2);
  CheckedTensor received = check.tensor("received", adaptor.getReceived(), 2);
  check.size(received, 0, 2, "tokens and routed rows");
  int64_t count = check.positive("expert_count", adaptor.getExpertCount()); // C1
  check.require(count <= kMaxRows, "expert_count to fit 32 bits, found " + Twine(count));
  int64_t routed = experts.dim(0) * std::min(experts.last(), count);
  check.require(experts.elements() <= kMaxRows,
                "at most 2^31 - 1 entries of received rows, found " + Twine(experts.elements()));
  if (!check.ok())
    return failure();
  return check.infer(types, {check.i64(count + 1), check.i32(routed), check.i32(experts.shape)});
}

LogicalResult CombineMembersOp::inferReturnTypes(MLIRContext *context,
                                                 std::optional<Location> location, Adaptor adaptor,
                                                 SmallVectorImpl<Type> &types) {
  ShapeCheck check(context, location, getOperationName());
  CheckedTensor rows = check.tensor("rows", adaptor.getRows(), 2);
  CheckedTensor slot = check.tensor("send_slot", adaptor.getSendSlot(), 3);
  check.require(rows.dim(0) <= slot.elements(), // C1
                "'rows' to have at most the " + Twine(slot.elements()) +
                    " elements of 'send_slot', found " + Twine(rows.dim(0)));
  return check.infer(types, check.f32(slot.withLast(rows.last())));
}

SmallVector<Value> CombineMembersOp::buildGradient(OpBuilder &, ValueRange resultGradients,
                                                   llvm::function_ref<Value(unsigned)>) {
  return {resultGradients[0], Value()};
}

// --- exchange ---

namespace {

/// The rules of hadal.exchange. The first that is broken is reported.
class ExchangeCheck {
public:
  explicit ExchangeCheck(ExchangeOp op) : op(op), members(op.getMembers()) {}

  LogicalResult run() {
    if (failed(checkAttributes()) || failed(checkLayout()))
      return failure();
    if (op.getPayload().empty())
      return op.emitOpError("expected a payload, found none");
    return op.getKind() == ExchangeKind::Scatter ? checkScatter() : checkGather();
  }

private:
  using Shape = ArrayRef<int64_t>;
  static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

  LogicalResult expect(StringRef what, Type expected, Type found) {
    if (expected == found)
      return success();
    return op.emitOpError("expected ") << what << " to be " << expected << ", found " << found;
  }
  RankedTensorType integers(Shape shape) {
    return RankedTensorType::get(shape, IntegerType::get(op.getContext(), 64));
  }

  LogicalResult checkAttributes() { // C1
    if (static_cast<int64_t>(op.getLayer()) < 0)
      return op.emitOpError("expected layer not to be negative, found ")
             << static_cast<int64_t>(op.getLayer());
    if (members < 1)
      return op.emitOpError("expected members to be positive, found ") << members;
    if (op.getPhase() != PhaseKind::Forward && op.getPhase() != PhaseKind::Backward)
      return op.emitOpError("expected phase F or B, found ") << stringifyEnum(op.getPhase());
    return success();
  }

  LogicalResult checkLayout() { // C2
    if (failed(expect("send_counts", integers({2, members}), op.getSendCounts().getType())) ||
        failed(expect("send_offsets", integers(members + 1), op.getSendOffsets().getType())) ||
        (op.getReceived() &&
         failed(expect("received", integers({2, members + 1}), op.getReceived().getType()))))
      return failure();
    RankedTensorType token = typeOf(op.getSendToken()), slot = typeOf(op.getSendSlot());
    if (slot.getRank() != 3 || !slot.hasStaticShape() || slot.getDimSize(2) != members)
      return op.emitOpError("expected send_slot [B, T, ") << members << "], found " << slot;
    home = slot.getShape().drop_back();
    if (token.getRank() != 1 || !token.hasStaticShape() || token.getNumElements() < 1 ||
        token.getNumElements() > slot.getNumElements())
      return op.emitOpError("expected send_token of 1 to ")
             << slot.getNumElements() << " rows, found " << token;
    sent = token.getNumElements();
    return success();
  }

  /// Payloads with these leading dimensions.
  LogicalResult checkPayload(Shape leading) {
    for (auto [i, value] : llvm::enumerate(op.getPayload())) {
      RankedTensorType type = typeOf(value);
      if (type.getRank() == int64_t(leading.size()) + 1 && type.hasStaticShape() &&
          type.getShape().drop_back() == leading)
        continue;
      InFlightDiagnostic error = op.emitOpError("expected payload ");
      error << i << " to be [";
      llvm::interleaveComma(leading, error);
      return error << ", any], found " << type;
    }
    return success();
  }

  /// Results [rows, w], and `more` behind them.
  LogicalResult checkResults(int64_t rows, unsigned more) {
    size_t count = op.getPayload().size();
    if (op.getOutputs().size() != count + more)
      return op.emitOpError("expected ")
             << count + more << " results, found " << op.getOutputs().size();
    for (auto [i, value] : llvm::enumerate(op.getPayload())) {
      RankedTensorType type = typeOf(value);
      auto moved = RankedTensorType::get({rows, type.getShape().back()}, type.getElementType());
      if (failed(expect("result " + std::to_string(i), moved, op.getOutputs()[i].getType())))
        return failure();
    }
    return success();
  }

  int64_t received() const { return members * home[0] * home[1]; }

  LogicalResult checkScatter() { // C3
    if (failed(checkPayload(home)) || failed(checkResults(received(), op.getReceived() ? 0 : 1)))
      return failure();
    return op.getReceived() ? success()
                            : expect("the last result, the received sums,",
                                     integers({2, members + 1}), op.getOutputs().back().getType());
  }

  LogicalResult checkGather() { // C4
    if (!op.getReceived())
      return op.emitOpError("expected the received sums, found none");
    if (failed(checkPayload({received()})))
      return failure();
    return checkResults(sent, 0);
  }

  ExchangeOp op;
  int64_t members, sent = 0;
  Shape home; ///< [B, T]
};

} // namespace

LogicalResult ExchangeOp::verify() { return ExchangeCheck(*this).run(); }
