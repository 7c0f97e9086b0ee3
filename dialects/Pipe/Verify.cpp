// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the pipe dialect; the numbers are those of the ops' descriptions.

#include "dialects/Pipe/Pipe.h"
#include "dialects/Pipe/Stored.h"

#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

std::string pipe::refuseSize(StringRef algorithm, int64_t ranks, int64_t microBatches) {
  auto found = [&] { return llvm::formatv("; found {0} and {1}", ranks, microBatches).str(); };
  if (ranks < 1 || microBatches < 1)
    return "ranks and micro_batches must be positive" + found();
  if (algorithm == "dualpipe" && (ranks % 2 || microBatches % 2 || microBatches < 2 * ranks))
    return "dualpipe takes an even number of ranks and an even number of micro_batches that is at "
           "least twice as large" +
           found();
  if (algorithm == "dualpipev" && microBatches < 2 * ranks)
    return "dualpipev takes at least twice as many micro_batches as ranks" + found();
  return {};
}

LogicalResult ScheduleOp::verify() {
  if (!llvm::is_contained({"1f1b", "zb1p", "dualpipe", "dualpipev"}, getAlgorithm())) // C1
    return emitOpError("expects algorithm 1f1b, zb1p, dualpipe or dualpipev; found ")
           << getAlgorithm();
  std::string refusal =
      refuseSize(getAlgorithm(), int64_t(getRanks()), int64_t(getMicroBatches())); // C2
  if (!refusal.empty())
    return emitOpError(refusal);
  if (getOrder() && getOrder()->size() != getRanks()) // C4
    return emitOpError("expects an order of ")
           << getRanks() << " lists, one a rank; found " << getOrder()->size();
  int64_t replicas = int64_t(getDataParallel()), members = int64_t(getExpertParallel());
  if (replicas < 1 || members < 1 || replicas % members) // C5
    return emitOpError("expects data_parallel and expert_parallel to be positive, the latter to "
                       "divide the former; found ")
           << replicas << " and " << members;
  if (!llvm::is_contained({"none", "paper", "searched"}, getOverlap())) // C6
    return emitOpError("expects overlap none, paper or searched; found ") << getOverlap();
  return success();
}

LogicalResult ScheduleOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto program = symbols.lookupNearestSymbolFrom<func::FuncOp>(*this, getProgramAttr()); // C3
  if (!program || !program->hasAttr(kProgramAttr))
    return emitOpError("expects program ")
           << getProgramAttr() << " to be a function with " << kProgramAttr;
  return success();
}

LogicalResult ProgramOp::verify() {
  if (int64_t(getRank()) < 0) // C1
    return emitOpError("expects a rank that is not negative; found ") << int64_t(getRank());
  if (getStreams().empty())
    return emitOpError("expects at least one stream");
  llvm::StringSet<> names;
  for (auto stream : getStreams().getAsRange<StringAttr>())
    if (!names.insert(stream.getValue()).second)
      return emitOpError("expects streams of different names; found ") << stream << " twice";
  return success();
}

LogicalResult ProgramOp::verifyRegions() {
  llvm::StringSet<> names;
  llvm::DenseSet<uint64_t> recorded;
  for (Operation &op : getBody().front()) {
    if (auto buffer = dyn_cast<BufferOp>(op)) {
      if (buffer.getName() && !names.insert(*buffer.getName()).second) // C3
        return buffer.emitOpError("expects a name of its own; ")
               << buffer.getNameAttr() << " is there twice";
      continue;
    }
    auto instruction = dyn_cast<InstructionOpInterface>(op);
    if (!instruction) // C2
      return op.emitOpError("is not an instruction; a pipe.program holds buffers and instructions");
    if (instruction.getStream() >= getStreams().size()) // C4
      return op.emitOpError("expects a stream below ")
             << getStreams().size() << "; found " << int64_t(instruction.getStream());
    if (auto record = dyn_cast<RecordOp>(op)) // C5
      if (!recorded.insert(record.getEvent()).second)
        return record.emitOpError("records event ") << record.getEvent() << " a second time";
    if (auto wait = dyn_cast<WaitOp>(op))
      if (!recorded.contains(wait.getEvent()))
        return wait.emitOpError("waits for event ")
               << wait.getEvent() << ", which is not recorded before it";
  }
  return success();
}

LogicalResult BufferOp::verify() {
  RankedTensorType type = tensorType();
  if (!isBufferType(type)) // C1
    return emitOpError("expects a static shape of integers or floats; found ") << type;
  bool nameless = getKind() == StorageKind::Arena || getKind() == StorageKind::Rows;
  if (nameless == getStorage().has_value()) // C2
    return nameless ? emitOpError("of kind ") << stringifyStorageKind(getKind())
                                              << " expects no storage; found " << getStorageAttr()
                    : emitOpError("expects the name of a storage of kind ")
                          << stringifyStorageKind(getKind());
  if ((getKind() == StorageKind::Rows) != getRows().has_value()) // C4
    return emitOpError("expects `rows` exactly where its kind is rows");
  if (auto stored = (*this)->getAttr(kStoredAttr)) {
    auto text = dyn_cast<StringAttr>(stored);
    if (!text || !parseStored(text.getValue()) || !type.getElementType().isF32())
      return emitOpError("expects ") << kStoredAttr
                                     << " to be e4m3, e4m3_blocks, e5m6, bf16 or f32, of elements "
                                        "f32; found "
                                     << stored << " of " << type;
  }
  int64_t size = (type.getElementTypeBitWidth() + 7) / 8, offset = getOffset().value_or(0);
  if (offset < 0 || offset % size) // C3
    return emitOpError("expects an offset that is a multiple of ")
           << size << " and not negative; found " << offset;
  return success();
}

static BufferOp declarationOf(Value buffer) { return buffer.getDefiningOp<BufferOp>(); }

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto component = symbols.lookupNearestSymbolFrom<func::FuncOp>(
      (*this)->getParentOfType<ProgramOp>()->getParentOp(), getComponentAttr());
  if (!component) // C1
    return emitOpError("expects component ") << getComponentAttr() << " to be a function";
  SmallVector<Type> types(component.getArgumentTypes());
  if (!component.isExternal())
    for (auto [index, type] : llvm::enumerate(component.getResultTypes()))
      if (updatedArgument(component, index) < 0)
        types.push_back(type);
  if (types.size() != getBuffers().size()) // C2
    return emitOpError("expects ") << types.size() << " buffers for " << getComponentAttr()
                                   << "; found " << getBuffers().size();
  for (auto [index, buffer, type] : llvm::enumerate(getBuffers(), types))
    if (BufferOp declared = declarationOf(buffer); declared && declared.getType() != type) // C3
      return emitOpError("expects buffer ")
             << index << " to be " << type << "; found " << declared.getType();
  return success();
}

LogicalResult CopyOp::verify() {
  BufferOp from = declarationOf(getFrom()), to = declarationOf(getTo());
  if (from && to && from.getType() != to.getType()) // C1
    return emitOpError("expects two buffers of one type; found ")
           << from.getType() << " and " << to.getType();
  return success();
}

/// C1 of transfers.
static LogicalResult verifyPeer(Operation *op, uint64_t peer) {
  auto program = op->getParentOfType<ProgramOp>();
  if (int64_t(peer) < 0 || peer == program.getRank())
    return op->emitOpError("expects a peer that is not negative and not rank ")
           << program.getRank() << " itself; found " << int64_t(peer);
  return success();
}
LogicalResult SendOp::verify() { return verifyPeer(*this, getPeer()); }
LogicalResult ReceiveOp::verify() { return verifyPeer(*this, getPeer()); }

LogicalResult ExchangeRowsOp::verify() {
  if (getFrom().empty()) // C1
    return emitOpError("expects one payload at least");
  for (auto [from, to] : llvm::zip_equal(getFrom(), getTo())) {
    BufferOp source = declarationOf(from), target = declarationOf(to);
    if (!source || !target)
      continue;
    // [..., features] on the home rank, [rows, features] elsewhere.
    RankedTensorType a = source.tensorType(), b = target.tensorType();
    if (a.getElementType() != b.getElementType() || a.getRank() < 1 || b.getRank() < 1 ||
        a.getShape().back() != b.getShape().back())
      return emitOpError("expects payloads of one element type and width; found ")
             << a << " and " << b;
  }
  return success();
}

/// C1 of allocate and free.
static LogicalResult verifyRows(Operation *op, Value buffer) {
  BufferOp declared = declarationOf(buffer);
  if (declared && declared.getKind() != StorageKind::Rows)
    return op->emitOpError("expects a buffer of kind rows; found kind ")
           << stringifyStorageKind(declared.getKind());
  return success();
}
LogicalResult AllocateOp::verify() { return verifyRows(*this, getBuffer()); }
LogicalResult FreeOp::verify() { return verifyRows(*this, getBuffer()); }

LogicalResult ReduceScatterOp::verify() {
  auto refuse = [&] { // C1
    return emitOpError("expects sums as lists of lists of [rank of the group, accumulator] or "
                       "[parked shard]");
  };
  for (Attribute sum : getSums()) {
    auto halves = dyn_cast<ArrayAttr>(sum);
    if (!halves)
      return refuse();
    for (Attribute half : halves) {
      auto term = dyn_cast<ArrayAttr>(half);
      if (!term || term.empty() || term.size() > 2 ||
          !llvm::all_of(term, llvm::IsaPred<IntegerAttr>))
        return refuse();
      int64_t first = cast<IntegerAttr>(term[0]).getInt();
      size_t count = term.size() == 2 ? getGroup().getRanks().size() : getParked().size();
      if (first < 0 || first >= int64_t(count))
        return refuse();
    }
  }
  return success();
}

LogicalResult TotalSquaresOp::verify() {
  if (getBlocks().size() != getParameters().size() || getBlocks().size() != getGroups().size())
    return emitOpError("expects a parameter and a group for each of its ") // C1
           << getBlocks().size() << " buffers; found " << getParameters().size() << " and "
           << getGroups().size();
  return success();
}
