// SPDX-License-Identifier: Apache-2.0
//
// What a rank holds, worked out from a bundle's roles and groups: its place in the grid of ranks,
// the members of groups in the order of their shards, and its tensors as a checkpoint names them.

#ifndef HADAL_RUNTIME_PROGRAM_LAYOUT_H
#define HADAL_RUNTIME_PROGRAM_LAYOUT_H

#include "runtime/program/Executor.h"

#include <string>
#include <vector>

namespace hadal::rt {

/// A rank's place: rank = pipelineRank x data_parallel + replica, member = replica mod
/// expert_parallel.
struct RankPlace {
  int rank = 0, pipelineRank = 0, replica = 0, member = 0;
};

/// The grid of a bundle's ranks.
struct RankGrid {
  int pipelineRanks = 1, dataParallel = 1, expertParallel = 1;

  RankGrid() = default;
  explicit RankGrid(const bundle::Training &training);

  int ranks() const { return pipelineRanks * dataParallel; }
  int rankOf(int pipelineRank, int replica) const { return pipelineRank * dataParallel + replica; }
  RankPlace place(int rank) const;
  /// The ranks of `group` in the order of their shards, as `rank` sees it (expert_holders: those
  /// with its experts). `rank` need not be one of them.
  std::vector<int> members(const bundle::Group &group, int rank) const;
  /// Position of `rank` among members(group, rank), -1 where it is none of them.
  int position(const bundle::Group &group, int rank) const;
  /// The expert group of `rank`, member 0 first.
  std::vector<int> expertGroup(int rank) const;
};

/// Elements [begin, end) of a tensor; `length` is that of all windows, padding included.
struct ShardWindow {
  std::int64_t begin = 0, end = 0, length = 0;

  /// Window `position` of a tensor of `elements` in windows of `length`.
  static ShardWindow of(std::int64_t elements, std::int64_t length, std::int64_t position);
};

/// One tensor as a checkpoint names it (an expert of a stack is one), and where this rank has it.
/// Values and gradient lie whole, from element `offset` of their storages on; of the summed
/// gradient and the moments this rank has elements [begin, end) only, moments from element
/// `momentOffset` of their storages on.
struct HeldTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t elements = 0;
  std::uint32_t parameterIndex = 0;
  const bundle::Parameter *parameter = nullptr;
  /// Of a stack's expert its number in the model, else -1.
  std::int64_t expert = -1;
  /// Storages; -1: none.
  std::int64_t storage = -1, gradientStorage = -1, moment1Storage = -1, moment2Storage = -1;
  std::int64_t offset = 0, begin = 0, end = 0, momentOffset = 0;
  /// This rank is the first of all that hold it: it writes its values.
  bool first = true;

  /// Element 0.
  float *values(Store &store) const { return at(store, storage, offset); }
  /// Element 0; storage must not be -1.
  float *gradient(Store &store) const { return at(store, gradientStorage, offset); }
  /// Element `begin`; storage must not be -1.
  float *moment1(Store &store) const { return at(store, moment1Storage, momentOffset); }
  float *moment2(Store &store) const { return at(store, moment2Storage, momentOffset); }

private:
  static float *at(Store &store, std::int64_t storage, std::int64_t element) {
    return reinterpret_cast<float *>(store.at(std::uint32_t(storage))) + element;
  }
};

class Layout {
public:
  /// What `rank` holds to train and to evaluate. A bundle of one rank without roles: everything.
  /// Throws InputError when the bundle has no such rank or no role for it.
  Layout(const Bundle &bundle, int rank);
  /// Every parameter whole (generation, which runs on one rank).
  static Layout whole(const Bundle &bundle);

  const Bundle &bundle() const { return *owner; }
  const RankGrid &grid() const { return ranks; }
  const RankPlace &place() const { return here; }
  /// Null for a bundle without roles, and for whole().
  const bundle::Role *role() const { return ownRole; }

  /// Group `index` of the bundle: its ranks in the order of their shards, this rank's position
  /// among them (-1: none of them), and the window of a tensor that belongs to it.
  std::vector<int> members(std::uint32_t index) const;
  int position(std::uint32_t index) const;
  ShardWindow window(std::uint32_t index, std::int64_t elements, std::int64_t length) const;
  /// Where this rank's experts begin, of `experts` in all: it has experts / expert_parallel.
  std::int64_t firstExpert(std::int64_t experts) const;

  /// All tensors of this rank: parameters in the bundle's order, experts ascending.
  const std::vector<HeldTensor> &tensors() const { return held; }

private:
  Layout(const Bundle &bundle, RankGrid grid) : owner(&bundle), ranks(grid) {}
  void addHolding(const bundle::Holding &holding);
  void addWhole(std::uint32_t parameter);
  void addTensors(HeldTensor tensor, std::int64_t experts, std::int64_t firstExpert,
                  ShardWindow window);
  bool isFirst(const bundle::Holding &holding) const;
  const bundle::Group &group(std::uint32_t index) const;

  const Bundle *owner;
  RankGrid ranks;
  RankPlace here;
  const bundle::Role *ownRole = nullptr;
  std::vector<HeldTensor> held;
};

} // namespace hadal::rt

#endif
