// SPDX-License-Identifier: Apache-2.0
//
// See ProgramBuilder.h.

#include "passes/Schedule/ProgramBuilder.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

ProgramBuilder::ProgramBuilder(ModuleOp module, func::FuncOp source, StringRef name,
                               int64_t microBatches)
    : symbols(module), source(source), microBatches(microBatches),
      instructions(source.getContext()) {
  OpBuilder builder(source);
  program = ProgramOp::create(builder, source.getLoc(), name, /*rank=*/0,
                              builder.getStrArrayAttr({"compute"}), /*chunks=*/nullptr,
                              /*arena=*/nullptr);
  instructions.setInsertionPointToEnd(&program.getBody().emplaceBlock());
  // Declared first and whole: the runtime fills it.
  for (BlockArgument argument : source.getArguments())
    if (argument.getArgNumber() == 0)
      tokens(argument, -1);
}

BufferOp ProgramBuilder::makeBuffer(StringRef name, StorageKind kind, StringRef storage,
                                    int64_t offset, Type type) {
  OpBuilder builder(source.getContext());
  if (lastBuffer)
    builder.setInsertionPointAfter(lastBuffer);
  else
    builder.setInsertionPointToStart(&program.getBody().front());
  auto optional = [&](StringRef text) {
    return text.empty() ? StringAttr() : builder.getStringAttr(text);
  };
  lastBuffer =
      BufferOp::create(builder, source.getLoc(), builder.getType<BufferType>(), optional(name),
                       StorageKindAttr::get(builder.getContext(), kind), optional(storage),
                       offset ? builder.getI64IntegerAttr(offset) : IntegerAttr(), GroupAttr(),
                       RowCountAttr(), TypeAttr::get(type));
  return lastBuffer;
}

/// The window of a micro-batch; of all of them for -1.
BufferOp ProgramBuilder::tokens(BlockArgument argument, int64_t microBatch) {
  BufferOp &buffer = values[{argument, microBatch}];
  if (buffer)
    return buffer;
  auto type = cast<RankedTensorType>(argument.getType());
  std::string storage = (program.getSymName() + "." + kTokens).str();
  if (microBatch < 0) {
    SmallVector<int64_t> shape(type.getShape());
    if (microBatches > 0 && !shape.empty())
      shape.front() *= microBatches;
    return values[{argument, microBatch}] =
               makeBuffer(kTokens, StorageKind::Input, storage, 0, type.clone(shape));
  }
  if (microBatches == 1)
    return values[{argument, microBatch}] = tokens(argument, -1);
  return buffer = makeBuffer({}, StorageKind::Input, storage, microBatch * bytesOf(type), type);
}

static StorageKind storageKindOf(BindingKind kind) {
  switch (kind) {
  case BindingKind::Weight:
    return StorageKind::Parameter;
  case BindingKind::Gradient:
    return StorageKind::Gradient;
  case BindingKind::Moment1:
    return StorageKind::Moment1;
  case BindingKind::Moment2:
    return StorageKind::Moment2;
  case BindingKind::Constant:
    return StorageKind::Constant;
  case BindingKind::Scalar:
    return StorageKind::Scalar;
  case BindingKind::State:
    return StorageKind::State;
  }
  llvm_unreachable("unknown binding");
}

/// States and scalars are what the runtime asks for by name; it finds parameters and what belongs
/// to them by storage.
static StringRef bufferName(StorageKind kind, StringRef storage) {
  return kind == StorageKind::State || kind == StorageKind::Scalar ? storage : StringRef();
}

FailureOr<BufferOp> ProgramBuilder::bound(ApplyOp apply, func::FuncOp component, unsigned argument,
                                          int64_t microBatch) {
  BindingAttr binding = bindingOf(component, argument);
  StorageKind kind = storageKindOf(binding.getKind());
  std::string storage = boundName(binding, apply);
  // DESIGN N1: the first ceil(M / 2) micro-batches are one half.
  if (kind == StorageKind::Gradient && microBatch >= (microBatches + 1) / 2)
    storage += kSecondHalf;
  Type type = component.getArgumentTypes()[argument];
  std::string key = storage;
  if (kind == StorageKind::Constant) // tables of different length have one beginning
    key += " of " + std::to_string(cast<RankedTensorType>(type).getNumElements());
  BufferOp &buffer = storages[{kind, key}];
  if (!buffer)
    buffer = makeBuffer(bufferName(kind, storage), kind, storage, 0, type);
  if (buffer.getType() != type)
    return apply.emitOpError("binds ")
           << stringifyStorageKind(kind) << " \"" << storage << "\" as " << type
           << "; another application binds it as " << buffer.getType();
  return buffer;
}

BufferOp ProgramBuilder::dataOf(Value value, int64_t microBatch) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return tokens(argument, microBatch);
  return values.lookup({value, microBatch});
}

BufferOp ProgramBuilder::copyOf(BufferOp buffer) {
  BufferOp fresh = arenaBuffer(buffer.getType());
  CopyOp::create(instructions, source.getLoc(), buffer, fresh, /*stream=*/0);
  ++copies;
  return fresh;
}

/// Whether the value that `apply` updates in place is used by anything behind it, or is the
/// program's input.
bool ProgramBuilder::neededLater(Value value, ApplyOp apply) const {
  if (isa<BlockArgument>(value) || llvm::count(apply.getInputs(), value) > 1)
    return true;
  return llvm::any_of(value.getUsers(), [&](Operation *user) {
    return user != apply && (isa<OutputOp>(user) || !user->isBeforeInBlock(apply));
  });
}

static LogicalResult checkComponent(ApplyOp apply, func::FuncOp component) {
  if (!component || component.isExternal() || !llvm::hasSingleElement(component.getBody()) ||
      !isa<func::ReturnOp>(component.front().back()))
    return apply.emitOpError("expects component ")
           << apply.getComponentAttr() << " to have a body of one block";
  for (TypeRange types : {component.getArgumentTypes(), component.getResultTypes()})
    for (Type type : types)
      if (!isBufferType(type))
        return apply.emitOpError("expects tensors of static shape; found ") << type;
  return success();
}

LogicalResult ProgramBuilder::launch(ApplyOp apply, PhaseKind phase, int64_t microBatch) {
  auto component = symbols.lookup<func::FuncOp>(apply.getComponent());
  if (failed(checkComponent(apply, component)))
    return failure();
  llvm::SmallDenseSet<unsigned> updatedArguments;
  for (unsigned result = 0; result < component.getNumResults(); ++result)
    if (int64_t argument = updatedArgument(component, result); argument >= 0)
      updatedArguments.insert(argument);

  SmallVector<Value> buffers;
  auto inputs = apply.getInputs().begin();
  for (unsigned argument = 0; argument < component.getNumArguments(); ++argument) {
    BufferOp buffer;
    if (bindingOf(component, argument)) {
      FailureOr<BufferOp> found = bound(apply, component, argument, microBatch);
      if (failed(found))
        return failure();
      buffer = *found;
      if (updatedArguments.contains(argument))
        updated.insert(buffer);
    } else {
      Value input = *inputs++;
      buffer = dataOf(input, microBatch);
      if (!buffer)
        return apply.emitOpError(
            "uses a value that its chunk does not have; its producer has a later phase");
      if (updatedArguments.contains(argument) && neededLater(input, apply)) {
        remark::missed(apply.getLoc(), remark::RemarkOpts::name("Copied").category("schedule"))
            << remark::reason(
                   "operand {0} of @{1} is copied: it is updated, and needed behind that", argument,
                   apply.getComponent().str());
        buffer = copyOf(buffer);
      }
    }
    buffers.push_back(buffer);
  }
  Operation *terminator = component.getBody().front().getTerminator();
  for (OpResult result : apply.getResults()) {
    unsigned index = result.getResultNumber();
    int64_t argument = updatedArgument(component, index);
    if (argument >= 0) {
      values[{result, microBatch}] = buffers[argument].getDefiningOp<BufferOp>();
      continue;
    }
    // A value that is returned twice lies in one buffer.
    BufferOp buffer;
    for (unsigned earlier = 0; earlier < index; ++earlier)
      if (terminator->getOperand(earlier) == terminator->getOperand(index))
        buffer = values.lookup({apply.getResult(earlier), microBatch});
    if (!buffer)
      buffer = arenaBuffer(result.getType());
    values[{result, microBatch}] = buffer;
    buffers.push_back(buffer);
  }
  Operation *op =
      LaunchOp::create(instructions, apply.getLoc(), apply.getComponentAttr(), buffers,
                       /*received=*/Value(), instructions.getI64IntegerAttr(0),
                       PhaseKindAttr::get(apply.getContext(), phase), apply.getLayerAttr(),
                       microBatch < 0 ? IntegerAttr() : instructions.getI64IntegerAttr(microBatch),
                       apply.getParameterAttr());
  if (!firstInstruction)
    firstInstruction = op;
  ++launches;
  return success();
}

void ProgramBuilder::launch(func::FuncOp component, ValueRange buffers, PhaseKind phase) {
  LaunchOp::create(
      instructions, source.getLoc(), FlatSymbolRefAttr::get(component.getSymNameAttr()), buffers,
      /*received=*/Value(), instructions.getI64IntegerAttr(0),
      PhaseKindAttr::get(source.getContext(), phase), IntegerAttr(), IntegerAttr(), StringAttr());
  ++launches;
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
         (name.starts_with("counts.") || name == "gradient_squares");
}

void ProgramBuilder::zeroAccumulators() {
  if (!firstInstruction)
    return;
  OpBuilder builder(firstInstruction);
  for (Operation *op : updated)
    if (auto buffer = cast<BufferOp>(op); startsAtZero(buffer))
      ZeroOp::create(builder, source.getLoc(), buffer, /*stream=*/0);
}

SmallVector<BufferOp> ProgramBuilder::gradients() const {
  SmallVector<BufferOp> found;
  for (Operation *op : updated)
    if (auto buffer = cast<BufferOp>(op); buffer.getKind() == StorageKind::Gradient)
      found.push_back(buffer);
  return found;
}

BufferOp ProgramBuilder::gradient(StringRef storage) const {
  auto found = storages.find({StorageKind::Gradient, storage.str()});
  return found == storages.end() ? BufferOp() : found->second;
}
