// SPDX-License-Identifier: Apache-2.0
//
// Programs of a bundle.

#include "codegen/Bundle/Tables.h"
#include "dialects/Pipe/Stored.h"
#include "runtime/program/Terms.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace hadal;

static std::optional<bundle::DType> dtypeOf(Type type) {
  if (type.isF32())
    return bundle::DType::f32;
  if (type.isBF16())
    return bundle::DType::bf16;
  if (type.isF16())
    return bundle::DType::f16;
  if (type.isF64())
    return bundle::DType::f64;
  if (type.isInteger(32))
    return bundle::DType::i32;
  if (type.isInteger(64))
    return bundle::DType::i64;
  if (type.isInteger(8))
    return bundle::DType::u8;
  if (isa<Float8E4M3FNType>(type))
    return bundle::DType::e4m3;
  if (isa<Float8E5M2Type>(type))
    return bundle::DType::e5m2;
  return std::nullopt;
}

namespace {

class ProgramTable {
public:
  explicit ProgramTable(Export &out) : out(out) {}

  LogicalResult add(pipe::ProgramOp op) {
    program = std::make_unique<bundle::ProgramT>();
    buffers.clear();
    program->name = programName(op).str();
    program->rank = uint32_t(op.getRank());
    for (auto stream : op.getStreams().getAsRange<StringAttr>())
      program->streams.push_back(stream.str());
    if (op.getChunks())
      for (auto chunk : op.getChunks()->getAsRange<StringAttr>())
        program->chunks.push_back(chunk.str());
    nameTemporaries(op);
    for (Operation &inner : op.getBody().front()) {
      auto buffer = dyn_cast<pipe::BufferOp>(inner);
      if (buffer ? failed(addBuffer(op, buffer)) : failed(addInstruction(inner)))
        return failure();
    }
    out.table.programs.push_back(std::move(program));
    return success();
  }

private:
  /// What the runtime does not ask for by name is called COMPONENT:OPERAND after the launch that
  /// first has it, or after the transfer that brings it.
  void nameTemporaries(pipe::ProgramOp op) {
    temporaryNames.clear();
    for (Operation &inner : op.getBody().front()) {
      if (auto launch = dyn_cast<pipe::LaunchOp>(inner)) {
        for (auto [index, operand] : llvm::enumerate(launch.getBuffers()))
          temporaryNames.try_emplace(operand, (launch.getComponent() + ":" + Twine(index)).str());
      } else if (!isa<pipe::BufferOp>(inner)) {
        for (auto [index, operand] : llvm::enumerate(inner.getOperands()))
          temporaryNames.try_emplace(operand,
                                     (inner.getName().stripDialect() + ":" + Twine(index)).str());
      }
    }
  }

  std::string nameOf(pipe::BufferOp buffer) const {
    if (buffer.getName())
      return buffer.getName()->str();
    if (!buffer.getStorage())
      return temporaryNames.lookup(buffer);
    bool parameter = buffer.getKind() == pipe::StorageKind::Parameter;
    return ((parameter ? "" : stringifyStorageKind(buffer.getKind()) + ".") + *buffer.getStorage())
        .str();
  }

  LogicalResult addBuffer(pipe::ProgramOp op, pipe::BufferOp buffer) {
    auto made = std::make_unique<bundle::BufferT>();
    made->offset = uint64_t(buffer.getOffset().value_or(0));
    if (failed(place(op, buffer, *made)))
      return failure();
    made->name = nameOf(buffer);
    std::optional<bundle::DType> dtype = dtypeOf(buffer.tensorType().getElementType());
    if (!dtype)
      return buffer.emitOpError("has an element type that a bundle cannot hold: ")
             << buffer.getType();
    made->dtype = *dtype;
    made->shape.assign(buffer.tensorType().getShape().begin(),
                       buffer.tensorType().getShape().end());
    narrow(buffer, *made);
    buffers[buffer] = uint32_t(program->buffers.size());
    program->buffers.push_back(std::move(made));
    return success();
  }

  /// What is held in less than its type says: of bf16 elements, or of bytes, a row's elements (a
  /// matrix's where scales are those of blocks) and scales in the last size.
  static void narrow(pipe::BufferOp buffer, bundle::BufferT &made) {
    pipe::Stored stored = pipe::storedOf(buffer);
    if (stored == pipe::Stored::F32)
      return;
    if (stored == pipe::Stored::BF16) {
      made.dtype = bundle::DType::bf16;
      return;
    }
    made.dtype = bundle::DType::u8;
    size_t inner = stored == pipe::Stored::E4M3Blocks && made.shape.size() > 1 ? 2 : 1;
    made.shape.resize(made.shape.size() - inner);
    int64_t outer = 1;
    for (int64_t size : made.shape)
      outer *= size;
    made.shape.push_back(outer ? buffer.bytes() / outer : 0);
  }

  /// The storage of a buffer, or its rows.
  LogicalResult place(pipe::ProgramOp op, pipe::BufferOp buffer, bundle::BufferT &made) {
    if (std::optional<pipe::RowCount> rows = buffer.getRows()) {
      made.rows =
          *rows == pipe::RowCount::Received ? bundle::RowCount::received : bundle::RowCount::routed;
      return success();
    }
    if (buffer.getKind() == pipe::StorageKind::Arena) {
      if (!op.getArena() || !buffer.getOffset())
        return buffer.emitOpError("has no place in the arena (--pipe-plan-arenas gives it one)");
      made.storage = out.storages.addArena(op);
      if (int64_t(made.offset) + buffer.bytes() > out.storages.bytes(made.storage))
        return buffer.emitOpError("leaves the arena of ")
               << op.getArenaAttr().getBytes() << " bytes";
      return success();
    }
    // A window of each holder, the last ones beyond the tensor's end.
    int64_t windows = 1;
    if (pipe::GroupAttr shard = buffer.getShardAttr()) {
      made.shard_group = int32_t(out.groups.add(shard));
      windows = out.groups.members(shard);
    }
    made.storage = out.storages.add(buffer.getKind(), out.storageName(op, buffer),
                                    int64_t(made.offset) + windows * buffer.bytes());
    return success();
  }

  LogicalResult addInstruction(Operation &op) {
    auto made = std::make_unique<bundle::InstructionT>();
    made->stream = uint32_t(cast<pipe::InstructionOpInterface>(op).getStream());
    if (auto chunk = op.getAttrOfType<IntegerAttr>(pipe::kChunkAttr))
      made->chunk = int32_t(chunk.getInt());
    for (Value operand : op.getOperands())
      made->operands.push_back(buffers.lookup(operand));
    LogicalResult result =
        llvm::TypeSwitch<Operation *, LogicalResult>(&op)
            .Case<pipe::LaunchOp, pipe::ExchangeCountsOp, pipe::ExchangeRowsOp>(
                [&](auto op) { return fill(op, *made); })
            .Case<pipe::ReduceScatterOp, pipe::AllGatherOp, pipe::TotalSquaresOp,
                  pipe::AllReduceOp>([&](auto op) { return fill(op, *made); })
            .Case<pipe::SendOp, pipe::ReceiveOp>([&](auto op) { return fillTransfer(op, *made); })
            .Case<pipe::AllocateOp>([&](auto op) { return fillRows(op, *made); })
            .Case<pipe::RecordOp, pipe::WaitOp>([&](auto op) { return fillEvent(op, *made); })
            .Case([&](pipe::ZeroOp) { return opcode(bundle::Opcode::zero, *made); })
            .Case([&](pipe::CopyOp) { return opcode(bundle::Opcode::copy, *made); })
            .Case([&](pipe::FreeOp) { return opcode(bundle::Opcode::free, *made); })
            .Default([](Operation *op) {
              return op->emitOpError("is an instruction that a bundle does not know");
            });
    if (failed(result))
      return failure();
    program->instructions.push_back(std::move(made));
    return success();
  }

  static LogicalResult opcode(bundle::Opcode opcode, bundle::InstructionT &made) {
    made.opcode = opcode;
    return success();
  }

  /// What launches and exchanges are for.
  template <typename Op> static void fillPurpose(Op op, bundle::InstructionT &made) {
    made.phase = stringifyPhaseKind(op.getPhase()).str();
    made.micro_batch = int32_t(op.getMicroBatch().value_or(-1));
  }

  LogicalResult fill(pipe::LaunchOp op, bundle::InstructionT &made) {
    auto component = out.components.find(op.getComponent());
    if (component == out.components.end())
      return op.emitOpError("launches ") << op.getComponentAttr() << ", which has no body";
    made.component = component->second;
    made.layer = int32_t(op.getLayer().value_or(-1));
    fillPurpose(op, made);
    made.operands.resize(op.getBuffers().size());
    if (op.getReceived())
      made.counts = int32_t(buffers.lookup(op.getReceived()));
    return opcode(bundle::Opcode::launch, made);
  }

  LogicalResult fill(pipe::ExchangeCountsOp op, bundle::InstructionT &made) {
    made.layer = int32_t(op.getLayer());
    fillPurpose(op, made);
    return opcode(bundle::Opcode::exchange_counts, made);
  }

  LogicalResult fill(pipe::ExchangeRowsOp op, bundle::InstructionT &made) {
    made.layer = int32_t(op.getLayer());
    fillPurpose(op, made);
    return opcode(op.getDirection() == pipe::Direction::Scatter ? bundle::Opcode::scatter_rows
                                                                : bundle::Opcode::gather_rows,
                  made);
  }

  template <typename Op> LogicalResult fillTransfer(Op op, bundle::InstructionT &made) {
    made.peer = int32_t(op.getPeer());
    made.batch = int32_t(op.getBatch());
    return opcode(isa<pipe::SendOp>(op) ? bundle::Opcode::send : bundle::Opcode::receive, made);
  }

  LogicalResult fillRows(pipe::AllocateOp op, bundle::InstructionT &made) {
    made.operands.resize(1);
    made.counts = int32_t(buffers.lookup(op.getReceived()));
    return opcode(bundle::Opcode::allocate, made);
  }

  template <typename Op> LogicalResult fillEvent(Op op, bundle::InstructionT &made) {
    made.event = uint32_t(op.getEvent());
    program->events = std::max(program->events, made.event + 1);
    return opcode(isa<pipe::RecordOp>(op) ? bundle::Opcode::record : bundle::Opcode::wait, made);
  }

  LogicalResult addParameter(Operation *op, StringRef name, bundle::InstructionT &made) {
    auto found = out.parameters.find(name);
    if (found == out.parameters.end())
      return op->emitOpError("is of \"")
             << name << "\", which the model of " << kSpecAttr << " does not have";
    made.parameters.push_back(found->second);
    return success();
  }

  LogicalResult fill(pipe::ReduceScatterOp op, bundle::InstructionT &made) {
    made.group = int32_t(out.groups.add(op.getGroup()));
    for (auto [sum, terms] : llvm::enumerate(op.getSums().getAsRange<ArrayAttr>()))
      for (auto term : terms.getAsRange<ArrayAttr>()) {
        auto number = [&](size_t i) { return uint32_t(cast<IntegerAttr>(term[i]).getInt()); };
        bool parked = term.size() == 1;
        made.terms.emplace_back(uint32_t(sum), parked ? rt::kParkedTerm : number(0),
                                number(parked ? 0 : 1));
      }
    if (failed(addParameter(op, op.getParameter(), made)))
      return failure();
    return opcode(bundle::Opcode::reduce_scatter, made);
  }

  LogicalResult fill(pipe::AllGatherOp op, bundle::InstructionT &made) {
    made.group = int32_t(out.groups.add(op.getGroup()));
    if (failed(addParameter(op, op.getParameter(), made)))
      return failure();
    return opcode(bundle::Opcode::all_gather, made);
  }

  LogicalResult fill(pipe::TotalSquaresOp op, bundle::InstructionT &made) {
    for (auto parameter : op.getParameters().getAsRange<StringAttr>())
      if (failed(addParameter(op, parameter.getValue(), made)))
        return failure();
    for (auto group : op.getGroups().getAsRange<pipe::GroupAttr>())
      made.groups.push_back(out.groups.add(group));
    return opcode(bundle::Opcode::total_squares, made);
  }

  LogicalResult fill(pipe::AllReduceOp op, bundle::InstructionT &made) {
    made.group = int32_t(out.groups.add(op.getGroup()));
    return opcode(bundle::Opcode::all_reduce, made);
  }

  Export &out;
  std::unique_ptr<bundle::ProgramT> program;
  llvm::DenseMap<Value, uint32_t> buffers;
  llvm::DenseMap<Value, std::string> temporaryNames;
};

} // namespace

LogicalResult hadal::fillPrograms(Export &out) {
  ProgramTable programs(out);
  for (auto program : out.module.getOps<pipe::ProgramOp>()) {
    if (int64_t(program.getRank()) >= out.plan.pipelineRanks)
      return program.emitOpError("is of rank ") << program.getRank() << "; the plan has "
                                                << out.plan.pipelineRanks << " pipeline ranks";
    if (failed(programs.add(program)))
      return failure();
  }
  return success();
}
