// SPDX-License-Identifier: Apache-2.0
//
// See ProgramBuilder.h.

#include "passes/Schedule/ProgramBuilder.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

static constexpr unsigned kCompute = 0;

static SmallVector<StringRef> streamsOf(const RankLayout &layout, const Target &target) {
  SmallVector<StringRef> names = {"compute"};
  if (target.stages && layout.expertParallel > 1)
    names.push_back("experts");
  if (target.stages && layout.ranks > 1)
    names.push_back("pipeline");
  // Of two stages a rank one is done long before the other: its sums need not wait.
  const bool early = target.holders && layout.directions() > 1 && target.holders->shards();
  if (early || (target.holders && target.holders->parks()))
    names.push_back("sums");
  return names;
}

ProgramBuilder::ProgramBuilder(Components &components, func::FuncOp source,
                               const RankLayout &layout, const Target &target)
    : components(components), source(source), layout(layout), target(target),
      instructions(source.getContext()),
      streams(instructions, unsigned(streamsOf(layout, target).size())) {
  OpBuilder builder(source);
  SmallVector<StringRef> names = streamsOf(layout, target);
  sumsStream = unsigned(names.size()) - 1;
  transfersStream = unsigned(llvm::find(names, "pipeline") - names.begin());
  std::string symbol = target.name.str();
  if (target.rank > 0)
    symbol += "." + std::to_string(target.rank);
  program = ProgramOp::create(builder, source.getLoc(), symbol, target.rank,
                              builder.getStrArrayAttr(names), /*chunks=*/nullptr,
                              /*arena=*/nullptr);
  instructions.setInsertionPointToEnd(&program.getBody().emplaceBlock());
  // Declared first and whole: the runtime fills it.
  for (BlockArgument argument : source.getArguments())
    if (argument.getArgNumber() == 0)
      tokens(argument, -1);
}

void ProgramBuilder::beginChunk(StringRef name) {
  chunk = nullptr;
  if (name.empty())
    return;
  chunk = instructions.getI64IntegerAttr(int64_t(chunks.size()));
  chunks.push_back(name.str());
}

void ProgramBuilder::mark(Operation *instruction) {
  if (chunk)
    instruction->setDiscardableAttr(kChunkAttr, chunk);
}

IntegerAttr ProgramBuilder::microBatchAttr(int64_t microBatch) {
  return microBatch < 0 ? IntegerAttr() : instructions.getI64IntegerAttr(microBatch);
}

BufferOp ProgramBuilder::copyOf(BufferOp buffer) {
  BufferOp fresh = arenaBuffer(buffer.getType());
  Value from = buffer, to = fresh;
  streams.before(kCompute, from, to);
  auto copy = CopyOp::create(instructions, source.getLoc(), buffer, fresh, kCompute);
  streams.after(kCompute, copy, from, to);
  ++copies;
  return fresh;
}

/// Whether the value that `apply` updates in place is used by anything behind it, is sent, or is
/// the program's input.
bool ProgramBuilder::neededLater(Value value, ApplyOp apply) const {
  if (isa<BlockArgument>(value) || llvm::count(apply.getInputs(), value) > 1 ||
      (target.cut && target.cut->crosses(value)))
    return true;
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return user != apply && (isa<OutputOp>(user) || !user->isBeforeInBlock(apply));
  });
}

LogicalResult ProgramBuilder::step(Operation *step, PhaseKind phase, int64_t microBatch) {
  if (auto apply = dyn_cast<ApplyOp>(step))
    return launch(apply, phase, microBatch);
  return exchange(cast<ExchangeOp>(step), microBatch);
}

LogicalResult ProgramBuilder::arguments(ApplyOp apply, const Component &component,
                                        int64_t microBatch, SmallVectorImpl<Value> &buffers) {
  FailureOr<const Bound *> bound = this->bound(apply, component, microBatch);
  if (failed(bound))
    return failure();
  unsigned input = 0;
  for (unsigned argument = 0; argument < component.bindings.size(); ++argument) {
    BufferOp buffer = (**bound)[argument];
    if (!buffer) {
      Value value = apply.getInputs()[input++];
      buffer = dataOf(value, microBatch);
      if (!buffer)
        return apply.emitOpError(
            "uses a value that its chunk does not have; its producer has a later phase");
      if (component.written[argument] && neededLater(value, apply)) {
        remark::missed(apply.getLoc(), remark::RemarkOpts::name("Copied").category("schedule"))
            << remark::reason(
                   "operand {0} of @{1} is copied: it is updated, and needed behind that", argument,
                   apply.getComponent().str());
        buffer = copyOf(buffer);
      }
    }
    if (component.written[argument])
      updated.insert(buffer);
    buffers.push_back(buffer);
  }
  return success();
}

void ProgramBuilder::results(ApplyOp apply, const Component &component, int64_t microBatch,
                             BufferOp received, SmallVectorImpl<Value> &buffers) {
  for (OpResult result : apply.getResults()) {
    unsigned index = result.getResultNumber();
    if (int64_t argument = component.updates[index]; argument >= 0) {
      values[{result, microBatch}] = buffers[argument].getDefiningOp<BufferOp>();
      keepRows(result, buffers[argument].getDefiningOp<BufferOp>());
      continue;
    }
    // A value that is returned twice lies in one buffer.
    int64_t same = component.sameAs[index];
    std::optional<RowCount> rows = component.rows[index];
    BufferOp buffer = same >= 0 ? values.lookup({apply.getResult(unsigned(same)), microBatch})
                      : rows    ? allocate(result.getType(), *rows, received, kCompute)
                                : arenaBuffer(result.getType());
    values[{result, microBatch}] = buffer;
    keepRows(result, buffer);
    buffers.push_back(buffer);
  }
}

void ProgramBuilder::emitLaunch(const Component &component, ValueRange buffers, BufferOp received,
                                llvm::function_ref<Operation *()> create) {
  SmallVector<Value> reads, writes;
  if (received)
    reads.push_back(received);
  for (auto [index, buffer] : llvm::enumerate(buffers))
    (index < component.written.size() && !component.written[index] ? reads : writes)
        .push_back(buffer);
  streams.before(kCompute, reads, writes);
  freeIdle(/*all=*/false);
  Operation *op = create();
  mark(op);
  streams.after(kCompute, op, reads, writes);
  ++launches;
}

LogicalResult ProgramBuilder::launch(ApplyOp apply, PhaseKind phase, int64_t microBatch) {
  FailureOr<const Component *> component = components.of(apply);
  SmallVector<Value> buffers;
  if (failed(component) || failed(arguments(apply, **component, microBatch, buffers)))
    return failure();
  BufferOp received = (*component)->counted ? receivedOf(buffers) : BufferOp();
  if ((*component)->counted && !received)
    return apply.emitOpError("works on rows that routing counts, but gets none from an exchange");
  if (received) // what the launch waits for tells the counts, too
    streams.before(kCompute, buffers, {});
  results(apply, **component, microBatch, received, buffers);
  Value counts = received ? Value(received) : Value();
  emitLaunch(**component, buffers, received, [&] {
    return LaunchOp::create(instructions, apply.getLoc(), apply.getComponentAttr(), buffers, counts,
                            instructions.getI64IntegerAttr(kCompute),
                            PhaseKindAttr::get(apply.getContext(), phase), apply.getLayerAttr(),
                            microBatchAttr(microBatch), apply.getParameterAttr());
  });
  usedRows(apply, microBatch);
  return success();
}

void ProgramBuilder::launch(func::FuncOp function, ValueRange buffers, PhaseKind phase,
                            StringRef parameter) {
  emitLaunch(*components.find(function.getSymName()), buffers, /*received=*/nullptr, [&] {
    return LaunchOp::create(
        instructions, source.getLoc(), FlatSymbolRefAttr::get(function.getSymNameAttr()), buffers,
        /*received=*/Value(), instructions.getI64IntegerAttr(kCompute),
        PhaseKindAttr::get(source.getContext(), phase), IntegerAttr(), IntegerAttr(),
        parameter.empty() ? StringAttr() : instructions.getStringAttr(parameter));
  });
}

LogicalResult ProgramBuilder::transfer(ArrayRef<Transfer> batch) {
  SmallVector<Value> buffers, reads, writes;
  for (const Transfer &each : batch) {
    BufferOp &buffer = values[{each.value, each.microBatch}];
    if (!each.send)
      buffer = arenaBuffer(each.value.getType());
    if (!buffer)
      return each.value.getDefiningOp()->emitOpError(
          "gives a value that is sent before it is made");
    buffers.push_back(buffer);
    (each.send ? reads : writes).push_back(buffer);
  }
  streams.before(transfersStream, reads, writes);
  Operation *last = nullptr;
  for (auto [each, buffer] : llvm::zip_equal(batch, buffers)) {
    if (each.send)
      last = SendOp::create(instructions, source.getLoc(), buffer, each.peer, batches,
                            transfersStream);
    else
      last = ReceiveOp::create(instructions, source.getLoc(), buffer, each.peer, batches,
                               transfersStream);
  }
  streams.after(transfersStream, last, reads, writes);
  ++batches;
  return success();
}

void ProgramBuilder::reduce(ValueRange accumulators, ValueRange parked, BufferOp shard,
                            GroupAttr group, ArrayAttr sums, StringRef parameter) {
  const unsigned stream = finalSums();
  SmallVector<Value> reads(accumulators);
  reads.append(parked.begin(), parked.end());
  streams.before(stream, reads, Value(shard));
  auto sum = ReduceScatterOp::create(instructions, shard.getLoc(), accumulators, parked, shard,
                                     group, sums, parameter, stream);
  streams.after(stream, sum, reads, Value(shard));
}

void ProgramBuilder::allReduce(BufferOp state, GroupAttr group) {
  const unsigned stream = finalSums();
  streams.before(stream, {}, Value(state));
  auto sum = AllReduceOp::create(instructions, state.getLoc(), state, group, stream);
  streams.after(stream, sum, {}, Value(state));
}

void ProgramBuilder::park(BufferOp accumulator, BufferOp shard, GroupAttr group, ArrayAttr sums,
                          StringRef parameter) {
  SmallVector<Value> accumulators;
  if (accumulator)
    accumulators.push_back(accumulator);
  Value written = shard;
  streams.before(sumsStream, accumulators, written);
  auto sum = ReduceScatterOp::create(instructions, shard.getLoc(), accumulators, ValueRange(),
                                     shard, group, sums, parameter, sumsStream);
  streams.after(sumsStream, sum, accumulators, written);
  if (!accumulator)
    return;
  auto zero = ZeroOp::create(instructions, shard.getLoc(), accumulator, sumsStream);
  streams.after(sumsStream, zero, {}, accumulators);
}

LogicalResult ProgramBuilder::output(OutputOp output, int64_t microBatch) {
  BufferOp buffer = dataOf(output.getValue(), microBatch);
  if (!buffer)
    return output.emitOpError("names a value that its chunk does not have");
  std::string name = output.getName().str();
  // A state is there once, whatever the number of micro-batches.
  bool state = buffer.getKind() == StorageKind::State;
  if (microBatch >= 0 && !state)
    name += "." + std::to_string(microBatch);
  if (buffer.getName() == name)
    return success();
  if (buffer.getKind() != StorageKind::Arena) {
    makeBuffer(name, buffer.getKind(), *buffer.getStorage(), buffer.getOffset().value_or(0),
               buffer.getType());
    return success();
  }
  if (buffer.getName())
    buffer = copyOf(buffer);
  buffer.setName(name);
  return success();
}

/// States that a program sums up from nothing in each run; all others (caches) go on.
static bool startsAtZero(BufferOp buffer) {
  if (buffer.getKind() == StorageKind::Gradient)
    return true;
  StringRef name = buffer.getStorage().value_or("");
  return buffer.getKind() == StorageKind::State &&
         (name.starts_with(kCountsState) || name == kSquaresState);
}

/// Before everything else on the stream that computes; other streams touch them behind that.
void ProgramBuilder::zeroAccumulators() {
  if (!lastBuffer)
    return;
  OpBuilder builder(source.getContext());
  builder.setInsertionPointAfter(lastBuffer);
  for (Operation *op : updated)
    if (auto buffer = cast<BufferOp>(op); startsAtZero(buffer))
      ZeroOp::create(builder, source.getLoc(), buffer, kCompute);
}

void ProgramBuilder::finish() {
  freeIdle(/*all=*/true);
  zeroAccumulators();
  if (!chunks.empty())
    program.setChunksAttr(instructions.getStrArrayAttr(llvm::to_vector_of<StringRef>(chunks)));
}
