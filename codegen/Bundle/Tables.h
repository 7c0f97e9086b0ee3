// SPDX-License-Identifier: Apache-2.0
//
// The parts of a bundle's table, each made from its part of the module.

#ifndef HADAL_CODEGEN_BUNDLE_TABLES_H
#define HADAL_CODEGEN_BUNDLE_TABLES_H

#include "dialects/Pipe/Pipe.h"
#include "frontend/Plan.h"
#include "runtime/program/bundle_generated.h"

#include <map>

namespace hadal {

/// Storages by kind and name; all programs share them.
class StorageTable {
public:
  explicit StorageTable(bundle::BundleT &table) : table(table) {}

  /// The storage of that name, made where it is not there; holds `bytes` at least.
  uint32_t add(pipe::StorageKind kind, const std::string &name, int64_t bytes);
  uint32_t addArena(pipe::ProgramOp program);
  /// -1 where there is none.
  int32_t find(pipe::StorageKind kind, const std::string &name) const;
  int64_t bytes(uint32_t index) const { return int64_t(table.storages[index]->bytes); }
  /// Names of a kind in the order they were added.
  llvm::SmallVector<std::string> names(pipe::StorageKind kind) const;

private:
  bundle::BundleT &table;
  std::map<std::pair<pipe::StorageKind, std::string>, uint32_t> indices;
  llvm::SmallVector<std::pair<pipe::StorageKind, std::string>> order;
};

/// Groups of ranks, each once.
class GroupTable {
public:
  GroupTable(bundle::BundleT &table, const Plan &plan) : table(table), plan(plan) {}

  uint32_t add(pipe::GroupAttr group);
  /// How many ranks it has, replicas included.
  int64_t members(pipe::GroupAttr group) const;

private:
  bundle::BundleT &table;
  const Plan &plan;
  llvm::DenseMap<mlir::Attribute, uint32_t> indices;
};

/// What the parts of a table are made from, and what they name each other by.
struct Export {
  Export(bundle::BundleT &table, mlir::ModuleOp module, const ModelSpec &spec, const Plan &plan);

  bundle::BundleT &table;
  mlir::ModuleOp module;
  const ModelSpec &spec;
  const Plan &plan;
  StorageTable storages;
  GroupTable groups;
  llvm::StringMap<uint32_t> components; ///< by symbol
  llvm::StringMap<uint32_t> parameters; ///< by name

  /// One rank does everything.
  bool alone() const { return plan.pipelineRanks * plan.dataParallel == 1; }
  /// The name of a buffer's storage. Where a rank trains only some of the experts, its stack lies
  /// apart from the whole one that generation uses.
  std::string storageName(pipe::ProgramOp program, pipe::BufferOp buffer) const;
};

/// Of a program without its rank: `gradients` of @gradients.3.
llvm::StringRef programName(pipe::ProgramOp program);
/// Whether it runs on one rank, whatever there is.
bool generates(pipe::ProgramOp program);

/// Model, training, choices, manifest.
void fillModel(bundle::BundleT &table, const ModelSpec &spec, const Plan &plan);

/// Kernels and components that programs launch.
llvm::LogicalResult fillComponents(Export &out);

/// Programs, and the storages and groups they use.
llvm::LogicalResult fillPrograms(Export &out);

/// Parameters with their storages, and the rotary tables' numbers.
llvm::LogicalResult fillParameters(Export &out);

/// What each pipeline rank holds.
llvm::LogicalResult fillRoles(Export &out);

} // namespace hadal

#endif // HADAL_CODEGEN_BUNDLE_TABLES_H
