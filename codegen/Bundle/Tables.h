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

/// Model, training, choices, manifest.
void fillModel(bundle::BundleT &table, const ModelSpec &spec, const Plan &plan);

/// Kernels and components that programs launch. `indices`: of the components, by symbol.
llvm::LogicalResult fillComponents(bundle::BundleT &table, mlir::ModuleOp module,
                                   llvm::StringMap<uint32_t> &indices);

/// Programs, and the storages they use.
llvm::LogicalResult fillPrograms(bundle::BundleT &table, mlir::ModuleOp module,
                                 StorageTable &storages,
                                 const llvm::StringMap<uint32_t> &components);

/// Parameters with their storages, and the rotary tables' numbers; `storages` holds what the
/// programs use.
llvm::LogicalResult fillParameters(bundle::BundleT &table, mlir::ModuleOp module,
                                   StorageTable &storages, const ModelSpec &spec);

} // namespace hadal

#endif // HADAL_CODEGEN_BUNDLE_TABLES_H
