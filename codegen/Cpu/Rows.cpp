// SPDX-License-Identifier: Apache-2.0
//
// The family of row kernels: what it accepts, where values lie, the loop over rows. See Rows.h.

#include "codegen/Cpu/Rows.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace hadal::cpu {

static int64_t elementBytes(Value value) {
  return cast<RankedTensorType>(value.getType()).getElementTypeBitWidth() / 8;
}
static bool isYielded(Value value) {
  return llvm::any_of(value.getUsers(), [](Operation *user) { return isa<YieldOp>(user); });
}
static auto opsOf(KernelOp kernel) { return kernel.getBody().front().without_terminator(); }

// --- layout ---

RowLayout::RowLayout(KernelOp kernel)
    : kernel(kernel), domain(rowKernelDomain(kernel).value_or(RowDomain())) {
  sizes = {domain.rows, std::max<int64_t>(domain.tokens, 1)};
  auto reserve = [&](int64_t bytes) {
    int64_t at = scratchBytes;
    scratchBytes += llvm::alignTo(bytes, 64);
    return at;
  };
  for (Operation &op : opsOf(kernel)) {
    for (OpResult result : op.getResults())
      if (!isYielded(result))
        scratch[result] = reserve(widthOf(result) * elementBytes(result));
    if (int64_t bytes = rowWorkspace(&op))
      workspace[&op] = reserve(bytes);
    firstSize[&op] = sizes.size();
    llvm::append_range(sizes, rowSizes(&op));
  }
}

int64_t RowLayout::widthOf(Value value) const {
  auto result = dyn_cast<OpResult>(value);
  if (!result || writesOwnRow(result))
    return rowWidth(value, domain);
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

// --- the row at hand ---

RowWriter::RowWriter(KernelBuilder &b, const RowLayout &layout, Value row)
    : b(b), layout(layout), row(row) {
  if (layout.domain.tokens) {
    sequence = b.div(row, b.sizes[1]);
    token = b.sub(row, b.mul(sequence, b.sizes[1]));
  }
  // Here, where the indices dominate all uses.
  for (Operation &op : opsOf(layout.kernel))
    for (OpOperand &operand : op.getOpOperands())
      if (isa<BlockArgument>(operand.get()) && readsOwnRow(operand)) {
        int64_t width = widthOf(operand.get());
        spans[operand.get()] = {pointerOf(operand.get()), b.mul(row, width), width};
      }
}

Value RowWriter::pointerOf(Value argument) const {
  return b.pointers[cast<BlockArgument>(argument).getArgNumber()];
}

Value RowWriter::sizeOf(Operation *op, unsigned number) const {
  return b.sizes[layout.firstSize.find(op)->second + number];
}

Value RowWriter::workspaceOf(Operation *op) const {
  return b.scratchAt(layout.workspace.find(op)->second);
}

Value RowWriter::outputOf(Value result) const {
  KernelOp kernel = layout.kernel;
  for (OpOperand &operand : kernel.getBody().front().getTerminator()->getOpOperands())
    if (operand.get() == result)
      return b.pointers[kernel.getNumOperands() + operand.getOperandNumber()];
  return {};
}

RowSpan RowWriter::read(Value value) const { return spans.find(value)->second; }

RowSpan RowWriter::write(OpResult result) {
  int64_t width = widthOf(result);
  RowSpan span;
  if (Value output = outputOf(result))
    span = {output, b.mul(row, width), width};
  else
    span = {b.scratchAt(layout.scratch.find(result)->second), b.index(0), width};
  spans[result] = span;
  return span;
}

bool RowWriter::alias(OpResult result, RowSpan span) {
  if (outputOf(result))
    return false;
  spans[result] = span;
  return true;
}

void RowWriter::copy(RowSpan from, RowSpan to) {
  b.vectorLoop(b.index(from.width),
               [&](Value at, Value mask) { store(load(from, at, mask), to, at, mask); });
}

Value RowWriter::reduce(int64_t count, double initial,
                        function_ref<Value(Value, Value, Value)> term,
                        function_ref<Value(Value, Value)> combine) {
  constexpr int64_t kSums = 4;
  int64_t lanes = b.target.lanes, block = kSums * lanes, whole = count / block * block;
  SmallVector<Value> sums(kSums, b.splat(initial));
  if (whole)
    sums = b.loop(b.index(0), b.index(whole), block, sums, [&](Value at, ValueRange carried) {
      SmallVector<Value> next;
      for (int64_t i = 0; i < kSums; ++i)
        next.push_back(term(b.add(at, i * lanes), Value(), carried[unsigned(i)]));
      return next;
    });
  for (int64_t at = whole, i = 0; at < count; at += lanes, ++i) {
    Value mask = count - at < lanes ? b.maskOf(b.index(count - at)) : Value();
    sums[size_t(i)] = term(b.index(at), mask, sums[size_t(i)]);
  }
  return combine(combine(sums[0], sums[1]), combine(sums[2], sums[3]));
}

Value RowWriter::sum(int64_t count, function_ref<Value(Value, Value, Value)> term) {
  return b.sumLanes(reduce(count, 0.0, term, [&](Value x, Value y) { return b.addf(x, y); }));
}

LogicalResult RowWriter::run() {
  for (Operation &op : opsOf(layout.kernel)) {
    auto result =
        TypeSwitch<Operation *, LogicalResult>(&op)
            .Case<AddOp, RmsNormOp, RmsNormGradientOp, SwigluOp, SwigluGradientOp, SplitOp,
                  ConcatOp, RopeOp, EmbeddingOp, LastTokenOp, MtpJoinOp, MtpJoinGradientOp,
                  SumHeadsOp, RouteOp, RouteGradientOp, DispatchOp, CombineOp, CombineMembersOp,
                  DispatchWeightsOp, CombineWeightsOp, SequenceBalanceGradientOp,
                  CrossEntropyRowsOp, CrossEntropyGradientOp>([&](auto op) {
              emitRow(*this, op);
              return success();
            })
            .Default(
                [](Operation *op) { return op->emitOpError("has no row kernel on target cpu"); });
    if (failed(result))
      return failure();
  }
  return success();
}

// --- the family ---

namespace {

/// Everything the code depends on: ops, attributes, widths, who reads whom.
std::string keyOf(KernelOp kernel, const RowLayout &layout) {
  // These are passed at the launch (rowSizes).
  static const llvm::StringSet<> kLaunched = {"offset", "divisor", "tokens", "hidden_tokens"};
  std::string key = layout.domain.tokens ? "rows of tokens" : "rows";
  llvm::raw_string_ostream out(key);
  llvm::DenseMap<Value, size_t> numbers;
  auto number = [&](Value value) {
    return numbers.try_emplace(value, numbers.size()).first->second;
  };
  for (BlockArgument argument : kernel.getBody().front().getArguments())
    number(argument);
  for (Operation &op : opsOf(kernel)) {
    out << ";" << op.getName().stripDialect();
    for (NamedAttribute attribute : op.getAttrDictionary())
      if (!kLaunched.contains(attribute.getName()))
        out << " " << attribute.getName().getValue() << "=" << attribute.getValue();
    for (OpOperand &operand : op.getOpOperands()) {
      out << " " << number(operand.get());
      auto type = cast<RankedTensorType>(operand.get().getType());
      if (readsOwnRow(operand) || isa<SumHeadsOp>(op))
        out << ":" << layout.widthOf(operand.get());
      else if (type.getRank() > 1 && isa<FloatType>(type.getElementType()))
        out << "/" << type.getShape().back();
    }
    for (OpResult result : op.getResults())
      out << " >" << number(result) << ":" << layout.widthOf(result);
  }
  out << ";yield";
  for (Value value : kernel.getBody().front().getTerminator()->getOperands())
    out << " " << number(value);
  return key;
}

struct RowEmitter : KernelEmitter {
  StringRef name() const override { return "rows"; }
  bool accepts(KernelOp kernel) const override {
    return !opsOf(kernel).empty() && rowKernelDomain(kernel).has_value();
  }

  KernelConfig configure(KernelOp kernel, const Target &) const override {
    RowLayout layout(kernel);
    KernelConfig config;
    config.key = keyOf(kernel, layout);
    config.sizes = layout.sizes;
    config.grid = layout.domain.rows;
    config.scratch = layout.scratchBytes;
    config.rowsSize = 0;
    config.gridPerBlock = 1;
    return config;
  }

  LogicalResult emit(KernelOp kernel, const KernelConfig &, KernelBuilder &b) const override {
    RowLayout layout(kernel);
    LogicalResult result = success();
    b.loop(b.begin, b.end, 1, [&](Value row) { result = RowWriter(b, layout, row).run(); });
    return result;
  }
};

} // namespace

const KernelEmitter &rowEmitter() {
  static const RowEmitter emitter;
  return emitter;
}

} // namespace hadal::cpu
