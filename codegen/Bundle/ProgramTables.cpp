// SPDX-License-Identifier: Apache-2.0
//
// Programs and parameters of a bundle.

#include "codegen/Bundle/Tables.h"
#include "frontend/WeightNames.h"

#include "llvm/ADT/StringSet.h"

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
  ProgramTable(bundle::BundleT &table, StorageTable &storages,
               const llvm::StringMap<uint32_t> &components)
      : table(table), storages(storages), components(components) {}

  LogicalResult add(pipe::ProgramOp op) {
    program = std::make_unique<bundle::ProgramT>();
    buffers.clear();
    program->name = op.getSymName().str();
    program->rank = uint32_t(op.getRank());
    for (auto stream : op.getStreams().getAsRange<StringAttr>())
      program->streams.push_back(stream.str());
    nameTemporaries(op);
    for (Operation &inner : op.getBody().front()) {
      auto buffer = dyn_cast<pipe::BufferOp>(inner);
      if (buffer ? failed(addBuffer(op, buffer)) : failed(addInstruction(inner)))
        return failure();
    }
    table.programs.push_back(std::move(program));
    return success();
  }

private:
  /// What the runtime does not ask for by name is called COMPONENT:OPERAND after the launch that
  /// first has it.
  void nameTemporaries(pipe::ProgramOp op) {
    temporaryNames.clear();
    for (auto launch : op.getOps<pipe::LaunchOp>())
      for (auto [index, operand] : llvm::enumerate(launch.getBuffers()))
        temporaryNames.try_emplace(operand, (launch.getComponent() + ":" + Twine(index)).str());
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
    if (buffer.getKind() == pipe::StorageKind::Arena) {
      if (!op.getArena() || !buffer.getOffset())
        return buffer.emitOpError("has no place in the arena (--pipe-plan-arenas gives it one)");
      made->storage = storages.addArena(op);
      if (int64_t(made->offset) + buffer.bytes() > storages.bytes(made->storage))
        return buffer.emitOpError("leaves the arena of ")
               << op.getArenaAttr().getBytes() << " bytes";
    } else {
      made->storage = storages.add(buffer.getKind(), buffer.getStorage()->str(),
                                   int64_t(made->offset) + buffer.bytes());
    }
    made->name = nameOf(buffer);
    std::optional<bundle::DType> dtype = dtypeOf(buffer.tensorType().getElementType());
    if (!dtype)
      return buffer.emitOpError("has an element type that a bundle cannot hold: ")
             << buffer.getType();
    made->dtype = *dtype;
    made->shape.assign(buffer.tensorType().getShape().begin(),
                       buffer.tensorType().getShape().end());
    buffers[buffer] = uint32_t(program->buffers.size());
    program->buffers.push_back(std::move(made));
    return success();
  }

  LogicalResult addInstruction(Operation &op) {
    auto made = std::make_unique<bundle::InstructionT>();
    made->stream = uint32_t(cast<pipe::InstructionOpInterface>(op).getStream());
    for (Value operand : op.getOperands())
      made->operands.push_back(buffers.lookup(operand));
    auto event = [&](bundle::Opcode opcode, uint64_t number) {
      made->opcode = opcode;
      made->event = uint32_t(number);
      program->events = std::max(program->events, made->event + 1);
    };
    if (auto launch = dyn_cast<pipe::LaunchOp>(op)) {
      auto component = components.find(launch.getComponent());
      if (component == components.end())
        return launch.emitOpError("launches ")
               << launch.getComponentAttr() << ", which has no body";
      made->opcode = bundle::Opcode::launch;
      made->component = component->second;
      made->phase = stringifyPhaseKind(launch.getPhase()).str();
      made->layer = int32_t(launch.getLayer().value_or(-1));
      made->micro_batch = int32_t(launch.getMicroBatch().value_or(-1));
    } else if (isa<pipe::ZeroOp>(op)) {
      made->opcode = bundle::Opcode::zero;
    } else if (isa<pipe::CopyOp>(op)) {
      made->opcode = bundle::Opcode::copy;
    } else if (auto record = dyn_cast<pipe::RecordOp>(op)) {
      event(bundle::Opcode::record, record.getEvent());
    } else if (auto wait = dyn_cast<pipe::WaitOp>(op)) {
      event(bundle::Opcode::wait, wait.getEvent());
    } else {
      return op.emitOpError("is an instruction that a bundle does not know");
    }
    program->instructions.push_back(std::move(made));
    return success();
  }

  bundle::BundleT &table;
  StorageTable &storages;
  const llvm::StringMap<uint32_t> &components;
  std::unique_ptr<bundle::ProgramT> program;
  llvm::DenseMap<Value, uint32_t> buffers;
  llvm::DenseMap<Value, std::string> temporaryNames;
};

} // namespace

LogicalResult hadal::fillPrograms(bundle::BundleT &table, ModuleOp module, StorageTable &storages,
                                  const llvm::StringMap<uint32_t> &components) {
  ProgramTable programs(table, storages, components);
  for (auto program : module.getOps<pipe::ProgramOp>()) {
    if (program.getRank() != 0)
      return program.emitOpError("is of rank ")
             << program.getRank() << "; a bundle holds programs of rank 0";
    if (failed(programs.add(program)))
      return failure();
  }
  return success();
}

static LogicalResult fillRotary(bundle::BundleT &table, ModuleOp module, StorageTable &storages,
                                const ModelSpec &spec) {
  table.rotary = std::make_unique<bundle::RotaryT>();
  table.rotary->frequencies = spec.rotaryFrequencies();
  table.rotary->amplitude = spec.rotaryAmplitude();
  int64_t row = 4 * int64_t(table.rotary->frequencies.size());
  for (const std::string &name : storages.names(pipe::StorageKind::Constant)) {
    int64_t bytes = storages.bytes(uint32_t(storages.find(pipe::StorageKind::Constant, name)));
    if ((name != "rotary_cos" && name != "rotary_sin") || bytes % row)
      return module.emitError("binds constant \"")
             << name << "\" of " << bytes
             << " bytes; the runtime makes rotary_cos and rotary_sin in rows of " << row
             << " bytes";
    table.rotary->positions = std::max(table.rotary->positions, bytes / row);
  }
  return success();
}

static bundle::Initial initial(Init init) {
  switch (init) {
  case Init::Normal:
    return bundle::Initial::normal;
  case Init::Ones:
    return bundle::Initial::ones;
  case Init::Zeros:
    return bundle::Initial::zeros;
  }
  llvm_unreachable("unknown initial value");
}

LogicalResult hadal::fillParameters(bundle::BundleT &table, ModuleOp module, StorageTable &storages,
                                    const ModelSpec &spec) {
  llvm::StringSet<> known;
  for (const ParameterInfo &info : parameters(spec)) {
    known.insert(info.name);
    int64_t bytes = info.elements() * 4;
    for (auto kind : {pipe::StorageKind::Parameter, pipe::StorageKind::Gradient,
                      pipe::StorageKind::Moment1, pipe::StorageKind::Moment2})
      if (int32_t index = storages.find(kind, info.name);
          index >= 0 && storages.bytes(uint32_t(index)) != bytes)
        return module.emitError("binds ")
               << stringifyStorageKind(kind) << " \"" << info.name << "\" with "
               << storages.bytes(uint32_t(index)) << " bytes; the model's has " << bytes;
    auto parameter = std::make_unique<bundle::ParameterT>();
    parameter->name = info.name;
    parameter->shape = info.shape;
    parameter->experts = info.experts;
    parameter->layer = int32_t(info.layer);
    parameter->initial = initial(info.init);
    parameter->trained = info.trained;
    parameter->decay = info.decay;
    parameter->storage = storages.add(pipe::StorageKind::Parameter, info.name, bytes);
    parameter->gradient = storages.find(pipe::StorageKind::Gradient, info.name);
    parameter->moment1 = storages.find(pipe::StorageKind::Moment1, info.name);
    parameter->moment2 = storages.find(pipe::StorageKind::Moment2, info.name);
    table.parameters.push_back(std::move(parameter));
  }
  for (const std::string &name : storages.names(pipe::StorageKind::Parameter))
    if (!known.contains(name))
      return module.emitError("binds weight \"")
             << name << "\", which the model of " << kSpecAttr << " does not have";
  return fillRotary(table, module, storages, spec);
}
