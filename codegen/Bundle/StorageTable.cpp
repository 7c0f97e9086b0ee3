// SPDX-License-Identifier: Apache-2.0
//
// Storages of a bundle.

#include "codegen/Bundle/Tables.h"

using namespace mlir;
using namespace hadal;

static bundle::StorageKind storageKind(pipe::StorageKind kind) {
  switch (kind) {
  case pipe::StorageKind::Parameter:
    return bundle::StorageKind::parameter;
  case pipe::StorageKind::Gradient:
    return bundle::StorageKind::gradient;
  case pipe::StorageKind::Moment1:
  case pipe::StorageKind::Moment2:
    return bundle::StorageKind::optimizer;
  case pipe::StorageKind::State:
    return bundle::StorageKind::state;
  case pipe::StorageKind::Scalar:
    return bundle::StorageKind::scalar;
  case pipe::StorageKind::Constant:
    return bundle::StorageKind::constant;
  case pipe::StorageKind::Input:
    return bundle::StorageKind::input;
  case pipe::StorageKind::Output:
    return bundle::StorageKind::output;
  case pipe::StorageKind::Rows: // not in a storage
  case pipe::StorageKind::Arena:
    return bundle::StorageKind::arena;
  }
  llvm_unreachable("unknown storage kind");
}

uint32_t StorageTable::add(pipe::StorageKind kind, const std::string &name, int64_t bytes) {
  auto [entry, added] = indices.try_emplace({kind, name}, uint32_t(table.storages.size()));
  if (added) {
    order.push_back(entry->first);
    auto storage = std::make_unique<bundle::StorageT>();
    storage->name = name;
    // Two moments of one parameter are told apart by name.
    if (kind == pipe::StorageKind::Moment1 || kind == pipe::StorageKind::Moment2)
      storage->name = (stringifyStorageKind(kind) + "." + name).str();
    storage->kind = storageKind(kind);
    table.storages.push_back(std::move(storage));
  }
  uint64_t &held = table.storages[entry->second]->bytes;
  held = std::max(held, uint64_t(bytes));
  return entry->second;
}

uint32_t StorageTable::addArena(pipe::ProgramOp program) {
  pipe::ArenaAttr arena = program.getArenaAttr();
  uint32_t index =
      add(pipe::StorageKind::Arena, (program.getSymName() + ".arena").str(), arena.getBytes());
  bundle::StorageT &storage = *table.storages[index];
  storage.activations = uint64_t(arena.getActivations());
  storage.stash = uint64_t(arena.getStash());
  storage.communication = uint64_t(arena.getCommunication());
  return index;
}

int32_t StorageTable::find(pipe::StorageKind kind, const std::string &name) const {
  auto found = indices.find({kind, name});
  return found == indices.end() ? -1 : int32_t(found->second);
}

SmallVector<std::string> StorageTable::names(pipe::StorageKind kind) const {
  SmallVector<std::string> found;
  for (auto &[ofKind, name] : order)
    if (ofKind == kind)
      found.push_back(name);
  return found;
}
