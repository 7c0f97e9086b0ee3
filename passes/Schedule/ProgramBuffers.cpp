// SPDX-License-Identifier: Apache-2.0
//
// Buffers of a program; see ProgramBuilder.h.

#include "passes/Schedule/ProgramBuilder.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

BufferOp ProgramBuilder::makeBuffer(StringRef name, StorageKind kind, StringRef storage,
                                    int64_t offset, Type type, GroupAttr shard) {
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
                       offset ? builder.getI64IntegerAttr(offset) : IntegerAttr(), shard,
                       RowCountAttr(), TypeAttr::get(type));
  return lastBuffer;
}

/// The window of a micro-batch; of all of them for -1.
BufferOp ProgramBuilder::tokens(BlockArgument argument, int64_t microBatch) {
  BufferOp &buffer = values[{argument, microBatch}];
  if (buffer)
    return buffer;
  auto type = cast<RankedTensorType>(argument.getType());
  std::string storage = (target.name + "." + kTokens).str();
  if (microBatch < 0) {
    SmallVector<int64_t> shape(type.getShape());
    if (target.microBatches > 0 && !shape.empty())
      shape.front() *= target.microBatches;
    return values[{argument, microBatch}] =
               makeBuffer(kTokens, StorageKind::Input, storage, 0, type.clone(shape));
  }
  if (target.microBatches == 1)
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

BufferOp ProgramBuilder::stored(StorageKind kind, StringRef storage, Type type, GroupAttr shard) {
  std::string key = storage.str();
  if (kind == StorageKind::Constant) // tables of different length have one beginning
    key += " of " + std::to_string(cast<RankedTensorType>(type).getNumElements());
  if (shard)
    key += " shard";
  BufferOp &buffer = storages[{kind, key}];
  if (!buffer)
    buffer = makeBuffer(bufferName(kind, storage), kind, storage, 0, type, shard);
  return buffer;
}

FailureOr<BufferOp> ProgramBuilder::bind(ApplyOp apply, const Component &component,
                                         unsigned argument, int64_t microBatch) {
  BindingAttr binding = component.bindings[argument];
  StorageKind kind = storageKindOf(binding.getKind());
  std::string storage = boundName(binding, apply);
  if (kind == StorageKind::Gradient && microBatch >= 0)
    storage = target.holders->storageOf(storage, layout.halfOf(microBatch), target.rank);
  func::FuncOp function = component.function;
  Type type = function.getArgumentTypes()[argument];
  BufferOp buffer = stored(kind, storage, type);
  if (buffer.getType() != type)
    return apply.emitOpError("binds ")
           << stringifyStorageKind(kind) << " \"" << storage << "\" as " << type
           << "; another application binds it as " << buffer.getType();
  return buffer;
}

/// The buffers that an application binds do not depend on the micro-batch but for its half.
FailureOr<const ProgramBuilder::Bound *>
ProgramBuilder::bound(ApplyOp apply, const Component &component, int64_t microBatch) {
  auto [entry, added] =
      bindings.try_emplace({apply, microBatch < 0 ? -1 : layout.halfOf(microBatch)}, Bound());
  Bound &buffers = entry->second;
  for (unsigned argument = 0; added && argument < component.bindings.size(); ++argument) {
    FailureOr<BufferOp> buffer = BufferOp();
    if (component.bindings[argument])
      buffer = bind(apply, component, argument, microBatch);
    if (failed(buffer))
      return failure();
    buffers.push_back(*buffer);
  }
  return &buffers;
}

BufferOp ProgramBuilder::dataOf(Value value, int64_t microBatch) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return tokens(argument, microBatch);
  return values.lookup({value, microBatch});
}

SmallVector<BufferOp> ProgramBuilder::gradients() const {
  SmallVector<BufferOp> found;
  for (Operation *op : updated)
    if (auto buffer = cast<BufferOp>(op); buffer.getKind() == StorageKind::Gradient)
      found.push_back(buffer);
  return found;
}

BufferOp ProgramBuilder::find(StorageKind kind, StringRef storage) const {
  auto found = storages.find({kind, storage.str()});
  return found == storages.end() ? BufferOp() : found->second;
}
