// SPDX-License-Identifier: Apache-2.0
//
// Builds one pipe.program from the steps of a straight-line program: which memory each value lies
// in, launches, transfers, and the events between streams.

#ifndef HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H
#define HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H

#include "passes/Schedule/Holders.h"
#include "passes/Schedule/StreamOrder.h"

#include "llvm/ADT/SetVector.h"

#include <map>

namespace hadal::pipe {

/// The program of a training step's gradients, and the name of every program's input.
constexpr llvm::StringLiteral kGradientsProgram = "gradients", kTokens = "tokens";
/// Suffix of the accumulators of the second half of the micro-batches.
constexpr llvm::StringLiteral kSecondHalf = "#half1";
/// Suffix of this rank's shard of the first half's sum.
constexpr llvm::StringLiteral kParked = "#parked";
/// States that count the tokens of experts, and the one of the gradient norm's square.
constexpr llvm::StringLiteral kCountsState = "counts.", kSquaresState = "gradient_squares";

/// A program to be built.
struct Target {
  llvm::StringRef name;        ///< without the rank's suffix
  int64_t rank = 0;            ///< pipeline rank
  int64_t microBatches = 0;    ///< how many its input holds; 0 for a program without
  bool stages = false;         ///< runs stages: has streams for what other ranks take part in
  const Stages *cut = nullptr; ///< says what is sent
  const HolderTable *holders = nullptr; ///< says where accumulators lie
};

/// One of a batch.
struct Transfer {
  bool send;
  mlir::Value value;
  int64_t microBatch, peer;
};

class ProgramBuilder {
public:
  ProgramBuilder(Components &components, mlir::func::FuncOp source, const RankLayout &layout,
                 const Target &target);

  /// One application of a component, or one exchange. `microBatch` is -1 in a program without;
  /// `phase` is the launch's.
  llvm::LogicalResult step(mlir::Operation *step, PhaseKind phase, int64_t microBatch);
  /// Makes the value readable by name. Called behind all steps of the micro-batch that update it.
  llvm::LogicalResult output(OutputOp output, int64_t microBatch);
  /// Launches a component on buffers; what of it is bound is among them.
  void launch(mlir::func::FuncOp component, mlir::ValueRange buffers, PhaseKind phase,
              llvm::StringRef parameter = {});
  /// Sends and receives that are committed together. Fails where a value is not there.
  llvm::LogicalResult transfer(llvm::ArrayRef<Transfer> batch);
  /// Sums at the end of the program, the parked ones too, into this rank's shard; a sum over what
  /// all holders have of a state.
  void reduce(mlir::ValueRange accumulators, mlir::ValueRange parked, BufferOp shard,
              GroupAttr group, mlir::ArrayAttr sums, llvm::StringRef parameter);
  void allReduce(BufferOp state, GroupAttr group);
  /// Sums what all holders have in an accumulator into their shards, on a stream beside what
  /// computes, and zeroes it. `accumulator`: null on a rank that has none.
  void park(BufferOp accumulator, BufferOp shard, GroupAttr group, mlir::ArrayAttr sums,
            llvm::StringRef parameter);
  /// What computes goes on when these are there.
  void await(mlir::ValueRange buffers) { streams.before(/*stream=*/0, buffers, {}); }
  /// What follows belongs to this chunk of the rank's order; to none if empty.
  void beginChunk(llvm::StringRef chunk);
  /// Called once, at the end: zeroes what is added to, frees rows, writes attributes.
  void finish();

  /// Buffers by kind and storage; made where they are not there.
  BufferOp stored(StorageKind kind, llvm::StringRef storage, mlir::Type type,
                  GroupAttr shard = nullptr);
  BufferOp arenaBuffer(mlir::Type type) { return makeBuffer({}, StorageKind::Arena, {}, 0, type); }
  BufferOp dataOf(mlir::Value value, int64_t microBatch);
  /// At the program's end, on the stream that computes.
  mlir::OpBuilder &end() { return instructions; }

  /// The gradient accumulators that the program adds to, in the order of their first use.
  llvm::SmallVector<BufferOp> gradients() const;
  /// A buffer there is already, or null.
  BufferOp find(StorageKind kind, llvm::StringRef storage) const;

  int64_t launches = 0, copies = 0;
  int64_t events() const { return streams.events; }

private:
  using Key = std::pair<mlir::Value, int64_t>; // a value of one micro-batch
  using Bound = llvm::SmallVector<BufferOp>;   // by argument; null: data

  BufferOp makeBuffer(llvm::StringRef name, StorageKind kind, llvm::StringRef storage,
                      int64_t offset, mlir::Type type, GroupAttr shard = nullptr);
  BufferOp tokens(mlir::BlockArgument argument, int64_t microBatch);
  llvm::FailureOr<const Bound *> bound(ApplyOp apply, const Component &component,
                                       int64_t microBatch);
  llvm::FailureOr<BufferOp> bind(ApplyOp apply, const Component &component, unsigned argument,
                                 int64_t microBatch);
  llvm::LogicalResult launch(ApplyOp apply, PhaseKind phase, int64_t microBatch);
  llvm::LogicalResult arguments(ApplyOp apply, const Component &component, int64_t microBatch,
                                llvm::SmallVectorImpl<mlir::Value> &buffers);
  void results(ApplyOp apply, const Component &component, int64_t microBatch, BufferOp received,
               llvm::SmallVectorImpl<mlir::Value> &buffers);
  void emitLaunch(const Component &component, mlir::ValueRange buffers, BufferOp received,
                  llvm::function_ref<mlir::Operation *()> create);
  llvm::LogicalResult exchange(ExchangeOp exchange, int64_t microBatch);
  void exchangeCounts(ExchangeOp exchange, int64_t microBatch);
  llvm::LogicalResult data(mlir::Operation *step, mlir::ValueRange operands, int64_t microBatch,
                           llvm::SmallVectorImpl<mlir::Value> &buffers);
  BufferOp allocate(mlir::Type type, RowCount rows, BufferOp received, unsigned stream);
  BufferOp receivedOf(mlir::ValueRange buffers) const;
  void keepRows(mlir::Value value, BufferOp buffer);
  void usedRows(mlir::Operation *step, int64_t microBatch);
  void freeIdle(bool all);
  mlir::IntegerAttr microBatchAttr(int64_t microBatch);
  BufferOp copyOf(BufferOp buffer);
  bool neededLater(mlir::Value value, ApplyOp apply) const;
  void mark(mlir::Operation *instruction);
  /// The stream of sums that nothing in the program needs.
  unsigned finalSums() const { return layout.directions() > 1 ? sumsStream : 0; }
  void zeroAccumulators();

  Components &components;
  mlir::func::FuncOp source;
  const RankLayout &layout;
  Target target;
  ProgramOp program;
  mlir::OpBuilder instructions;
  StreamOrder streams;
  unsigned transfersStream = 0, sumsStream = 0;
  int64_t batches = 0;
  llvm::SmallVector<std::string> chunks;
  mlir::IntegerAttr chunk; ///< of the instructions that follow
  BufferOp lastBuffer;
  std::map<std::pair<StorageKind, std::string>, BufferOp> storages;
  llvm::DenseMap<std::pair<mlir::Operation *, int64_t>, Bound> bindings; ///< by half
  llvm::DenseMap<Key, BufferOp> values;
  llvm::SetVector<mlir::Operation *> updated;
  /// Of a buffer of counted rows: what counts them, and how many steps will still use it.
  struct Room {
    BufferOp received;
    int64_t uses;
  };
  llvm::DenseMap<mlir::Value, Room> room;
  llvm::SmallVector<mlir::Value> idle; ///< such buffers that nobody will use any more
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H
