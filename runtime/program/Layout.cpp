// SPDX-License-Identifier: Apache-2.0
//
// See Layout.h.

#include "runtime/program/Layout.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace hadal::rt {

RankGrid::RankGrid(const bundle::Training &training)
    : pipelineRanks(int(training.pipeline_ranks())), dataParallel(int(training.data_parallel())),
      expertParallel(int(std::max<std::int64_t>(training.expert_parallel(), 1))) {}

RankPlace RankGrid::place(int rank) const {
  RankPlace place;
  place.rank = rank;
  place.pipelineRank = rank / dataParallel;
  place.replica = rank % dataParallel;
  place.member = place.replica % expertParallel;
  return place;
}

std::vector<int> RankGrid::members(const bundle::Group &group, int rank) const {
  const bool experts = group.scope() == bundle::GroupScope::expert_holders;
  const int first = experts ? place(rank).member : 0, step = experts ? expertParallel : 1;
  std::vector<int> ranks;
  for (std::uint32_t i = 0; i < countOf(group.pipeline_ranks()); ++i)
    for (int replica = first; replica < dataParallel; replica += step)
      ranks.push_back(rankOf(int(group.pipeline_ranks()->Get(i)), replica));
  return ranks;
}

int RankGrid::position(const bundle::Group &group, int rank) const {
  const std::vector<int> ranks = members(group, rank);
  const auto found = std::find(ranks.begin(), ranks.end(), rank);
  return found == ranks.end() ? -1 : int(found - ranks.begin());
}

std::vector<int> RankGrid::expertGroup(int rank) const {
  std::vector<int> ranks(std::size_t(expertParallel), 0);
  for (int member = 0; member < expertParallel; ++member)
    ranks[std::size_t(member)] = rank - place(rank).member + member;
  return ranks;
}

ShardWindow ShardWindow::of(std::int64_t elements, std::int64_t length, std::int64_t position) {
  ShardWindow window;
  window.length = length;
  // Many windows may lie behind the end of a small tensor.
  window.begin = std::min(elements, length * position);
  window.end = std::min(elements, window.begin + length);
  return window;
}

Layout::Layout(const Bundle &bundle, int rank) : Layout(bundle, RankGrid(bundle.training())) {
  if (rank < 0 || rank >= ranks.ranks())
    throw InputError(bundle.path(), "is made for " + std::to_string(ranks.ranks()) +
                                        " ranks; there is no rank " + std::to_string(rank));
  here = ranks.place(rank);
  const bundle::Bundle &table = bundle.table();
  for (std::uint32_t i = 0; i < countOf(table.roles()); ++i)
    if (int(table.roles()->Get(i)->pipeline_rank()) == here.pipelineRank)
      ownRole = table.roles()->Get(i);
  if (!ownRole && ranks.ranks() > 1)
    throw InputError(bundle.path(), "does not say what pipeline rank " +
                                        std::to_string(here.pipelineRank) + " holds");
  if (!ownRole) {
    for (std::uint32_t i = 0; i < countOf(table.parameters()); ++i)
      addWhole(i);
    return;
  }
  std::vector<const bundle::Holding *> holdings;
  holdings.reserve(countOf(ownRole->holdings()));
  for (std::uint32_t i = 0; i < countOf(ownRole->holdings()); ++i)
    holdings.push_back(ownRole->holdings()->Get(i));
  std::sort(holdings.begin(), holdings.end(),
            [](const auto *a, const auto *b) { return a->parameter() < b->parameter(); });
  for (const bundle::Holding *holding : holdings)
    addHolding(*holding);
}

Layout Layout::whole(const Bundle &bundle) {
  Layout layout(bundle, RankGrid());
  for (std::uint32_t i = 0; i < countOf(bundle.table().parameters()); ++i)
    layout.addWhole(i);
  return layout;
}

const bundle::Group &Layout::group(std::uint32_t index) const {
  if (index >= countOf(owner->table().groups()))
    throw InputError(owner->path(), "names group " + std::to_string(index) + "; there are " +
                                        std::to_string(countOf(owner->table().groups())));
  return *owner->table().groups()->Get(index);
}

std::vector<int> Layout::members(std::uint32_t index) const {
  return ranks.members(group(index), here.rank);
}

int Layout::position(std::uint32_t index) const { return ranks.position(group(index), here.rank); }

ShardWindow Layout::window(std::uint32_t index, std::int64_t elements, std::int64_t length) const {
  const int place = position(index);
  return place < 0 ? ShardWindow{0, 0, length} : ShardWindow::of(elements, length, place);
}

std::int64_t Layout::firstExpert(std::int64_t experts) const {
  return here.member * (experts / ranks.expertParallel);
}

/// Several ranks may hold a parameter that has no optimizer state, and thus no group.
bool Layout::isFirst(const bundle::Holding &holding) const {
  if (holding.group() >= 0)
    return position(std::uint32_t(holding.group())) == 0;
  const bundle::Bundle &table = owner->table();
  int lowest = here.pipelineRank;
  for (std::uint32_t r = 0; r < countOf(table.roles()); ++r)
    for (std::uint32_t i = 0; i < countOf(table.roles()->Get(r)->holdings()); ++i)
      if (table.roles()->Get(r)->holdings()->Get(i)->parameter() == holding.parameter())
        lowest = std::min(lowest, int(table.roles()->Get(r)->pipeline_rank()));
  const bool divided = holding.experts() > 0 &&
                       holding.experts() < table.parameters()->Get(holding.parameter())->experts();
  return lowest == here.pipelineRank && here.replica == (divided ? here.member : 0);
}

void Layout::addHolding(const bundle::Holding &holding) {
  const bundle::Bundle &table = owner->table();
  if (holding.parameter() >= countOf(table.parameters()))
    throw InputError(owner->path(), "pipeline rank " + std::to_string(here.pipelineRank) +
                                        " holds parameter " + std::to_string(holding.parameter()) +
                                        "; there are " +
                                        std::to_string(countOf(table.parameters())));
  HeldTensor tensor;
  tensor.parameterIndex = holding.parameter();
  tensor.parameter = table.parameters()->Get(holding.parameter());
  tensor.storage = holding.storage();
  tensor.gradientStorage = holding.gradient();
  tensor.moment1Storage = holding.moment1();
  tensor.moment2Storage = holding.moment2();
  tensor.first = isFirst(holding);
  const std::int64_t experts = tensor.parameter->experts();
  if (experts > 0 && holding.experts() != experts &&
      holding.experts() * ranks.expertParallel != experts)
    throw InputError(owner->path(), "parameter " + tensor.parameter->name()->str() +
                                        ": a rank has " + std::to_string(holding.experts()) +
                                        " of " + std::to_string(experts) + " experts; expected " +
                                        std::to_string(experts / ranks.expertParallel));
  const ShardWindow window = holding.group() < 0
                                 ? ShardWindow{0, holding.elements(), holding.elements()}
                                 : this->window(std::uint32_t(holding.group()), holding.elements(),
                                                holding.shard_elements());
  addTensors(std::move(tensor), holding.experts(),
             holding.experts() < experts ? firstExpert(experts) : 0, window);
}

void Layout::addWhole(std::uint32_t index) {
  const bundle::Parameter &parameter = *owner->table().parameters()->Get(index);
  HeldTensor tensor;
  tensor.parameterIndex = index;
  tensor.parameter = &parameter;
  tensor.storage = parameter.storage();
  tensor.gradientStorage = parameter.gradient();
  tensor.moment1Storage = parameter.moment1();
  tensor.moment2Storage = parameter.moment2();
  const std::int64_t elements = elementsOf(parameter.shape());
  addTensors(std::move(tensor), parameter.experts(), 0, {0, elements, elements});
}

void Layout::addTensors(HeldTensor tensor, std::int64_t experts, std::int64_t firstExpert,
                        ShardWindow window) {
  static const std::string kExpert = "{expert}";
  const std::string pattern = tensor.parameter->name()->str();
  tensor.elements = elementsOf(tensor.parameter->shape());
  for (std::uint32_t d = 0; d < countOf(tensor.parameter->shape()); ++d)
    tensor.shape.push_back(tensor.parameter->shape()->Get(d));
  const bool stack = tensor.parameter->experts() > 0;
  if (stack) {
    tensor.shape.erase(tensor.shape.begin());
    tensor.elements /= tensor.parameter->experts();
  }
  for (std::int64_t i = 0; i < (stack ? experts : 1); ++i) {
    tensor.name = pattern;
    if (stack) {
      tensor.expert = firstExpert + i;
      tensor.name.replace(pattern.find(kExpert), kExpert.size(), std::to_string(tensor.expert));
    }
    tensor.offset = i * tensor.elements;
    tensor.begin = std::clamp<std::int64_t>(window.begin - tensor.offset, 0, tensor.elements);
    tensor.end = std::clamp<std::int64_t>(window.end - tensor.offset, 0, tensor.elements);
    tensor.momentOffset =
        tensor.begin < tensor.end ? tensor.offset + tensor.begin - window.begin : 0;
    held.push_back(tensor);
  }
}

} // namespace hadal::rt
