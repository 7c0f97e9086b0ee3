// SPDX-License-Identifier: Apache-2.0
//
// Small bundles made in memory: two pipeline ranks that train two micro-batches under 1F1B, with
// transfers on a stream of their own, and what tests add to them.

#ifndef HADAL_TEST_UNIT_RUNTIME_BUNDLEMAKER_H
#define HADAL_TEST_UNIT_RUNTIME_BUNDLEMAKER_H

#include "runtime/program/Validate.h"

#include <memory>
#include <string>
#include <vector>

namespace hadal::rt {

constexpr std::uint32_t kCompute = 0, kExperts = 1, kPipeline = 2;

/// Adds to one program.
class ProgramMaker {
public:
  ProgramMaker(bundle::BundleT &table, const std::string &name, std::uint32_t rank);

  bundle::ProgramT &program() { return *made; }
  /// A buffer f32 [4, 16] (or of `shape`) of a storage of its own, of that kind.
  std::uint32_t buffer(const std::string &name, bundle::StorageKind kind,
                       std::vector<std::int64_t> shape = {4, 16},
                       bundle::DType dtype = bundle::DType::f32);
  /// The same in the program's arena, each behind the last.
  std::uint32_t arena(const std::string &name, std::vector<std::int64_t> shape = {4, 16},
                      bundle::DType dtype = bundle::DType::f32);
  std::uint32_t rows(const std::string &name, bundle::RowCount count, std::int64_t most);

  bundle::InstructionT &add(bundle::Opcode opcode, std::uint32_t stream,
                            std::vector<std::uint32_t> operands = {});
  bundle::InstructionT &launch(const std::string &component, std::vector<std::uint32_t> operands,
                               const std::string &phase = "F", int layer = -1, int microBatch = -1);
  bundle::InstructionT &transfer(bool send, std::uint32_t buffer, int peer, int batch);
  /// record on one stream, wait on another; returns the event.
  std::uint32_t order(std::uint32_t from, std::uint32_t to);

private:
  std::uint32_t storageOf(const std::string &name, bundle::StorageKind kind, std::uint64_t bytes);

  bundle::BundleT &table;
  bundle::ProgramT *made;
  std::uint32_t arenaStorage;
};

/// Table without programs: a model, training under 1F1B, components block_F (x -> y, saved),
/// block_B (dy, saved -> dx, stash), block_W (stash, accumulator), use (reads), make (writes).
std::unique_ptr<bundle::BundleT> emptyTable(int pipelineRanks = 2);
void addComponent(bundle::BundleT &table, const std::string &name,
                  std::vector<bundle::Access> access);

/// Program gradients on two ranks, one layer each. `serial`: rank 0 starts a micro-batch only when
/// the one before has come back.
std::unique_ptr<bundle::BundleT> trainingTable(bool serial = false);

/// The error of validate(), empty where all is proved.
std::string errorOf(const bundle::BundleT &table);
Validation proofOf(const bundle::BundleT &table);

/// Calls fn with the packed table.
template <typename Fn> auto packed(const bundle::BundleT &table, Fn fn) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(bundle::Bundle::Pack(builder, &table));
  return fn(*flatbuffers::GetRoot<bundle::Bundle>(builder.GetBufferPointer()));
}

/// The place of the n-th instruction of an opcode.
std::size_t find(const bundle::ProgramT &program, bundle::Opcode opcode, int n = 0);

} // namespace hadal::rt

#endif
