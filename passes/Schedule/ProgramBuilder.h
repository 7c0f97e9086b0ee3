// SPDX-License-Identifier: Apache-2.0
//
// Builds one pipe.program from the applications of a straight-line program: which memory each value
// lies in, and the launches.

#ifndef HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H
#define HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H

#include "dialects/Pipe/Pipe.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

#include <map>

namespace hadal::pipe {

/// The program of a training step's gradients, and the name of every program's input.
constexpr llvm::StringLiteral kGradientsProgram = "gradients", kTokens = "tokens";
/// Suffix of the accumulators of the second half of the micro-batches.
constexpr llvm::StringLiteral kSecondHalf = "#half1";

class ProgramBuilder {
public:
  /// `name`: of the program that is built. `microBatches`: how many its input holds; 0 for a
  /// program without.
  ProgramBuilder(mlir::ModuleOp module, mlir::func::FuncOp source, llvm::StringRef name,
                 int64_t microBatches);

  /// One application of a component. `microBatch` is -1 in a program without; `phase` is the
  /// launch's.
  llvm::LogicalResult launch(ApplyOp apply, PhaseKind phase, int64_t microBatch);
  /// Makes the value readable by name. Called behind all applications of the micro-batch that
  /// update it.
  llvm::LogicalResult output(OutputOp output, int64_t microBatch);
  /// Launches a component without bound arguments on buffers.
  void launch(mlir::func::FuncOp component, mlir::ValueRange buffers, PhaseKind phase);
  /// Zeroes what is added to, at the program's start.
  void zeroAccumulators();

  /// The gradient accumulators that the program adds to, in the order of their first use.
  llvm::SmallVector<BufferOp> gradients() const;
  /// The accumulator of that name, or null.
  BufferOp gradient(llvm::StringRef storage) const;

  int64_t launches = 0, copies = 0;

private:
  using Key = std::pair<mlir::Value, int64_t>; // a value of one micro-batch

  BufferOp makeBuffer(llvm::StringRef name, StorageKind kind, llvm::StringRef storage,
                      int64_t offset, mlir::Type type);
  BufferOp arenaBuffer(mlir::Type type) { return makeBuffer({}, StorageKind::Arena, {}, 0, type); }
  BufferOp tokens(mlir::BlockArgument argument, int64_t microBatch);
  llvm::FailureOr<BufferOp> bound(ApplyOp apply, mlir::func::FuncOp component, unsigned argument,
                                  int64_t microBatch);
  BufferOp dataOf(mlir::Value value, int64_t microBatch);
  BufferOp copyOf(BufferOp buffer);
  bool neededLater(mlir::Value value, ApplyOp apply) const;

  mlir::SymbolTable symbols;
  mlir::func::FuncOp source;
  int64_t microBatches;
  ProgramOp program;
  mlir::OpBuilder instructions;
  BufferOp lastBuffer;
  mlir::Operation *firstInstruction = nullptr;
  std::map<std::pair<StorageKind, std::string>, BufferOp> storages;
  llvm::DenseMap<Key, BufferOp> values;
  llvm::SetVector<mlir::Operation *> updated;
};

} // namespace hadal::pipe

#endif // HADAL_PASSES_SCHEDULE_PROGRAMBUILDER_H
