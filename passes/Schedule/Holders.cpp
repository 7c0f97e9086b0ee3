// SPDX-License-Identifier: Apache-2.0
//
// See Holders.h.

#include "passes/Schedule/Holders.h"

#include "passes/Schedule/ProgramBuilder.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace hadal;
using namespace hadal::pipe;

RankedTensorType Holders::windowType() const {
  return sharded() ? RankedTensorType::get({window}, type.getElementType()) : type;
}

/// "#mtp" of "NAME#mtp".
static std::pair<std::string, std::string> split(StringRef accumulator) {
  size_t at = std::min(accumulator.find('#'), accumulator.size());
  return {accumulator.take_front(at).str(), accumulator.drop_front(at).str()};
}

/// Whether the first half is parked: where that takes less than second accumulators. On a rank with
/// a of the s accumulators of a half they are a times the tensor, parked shards s / count.
static void decide(Holders &holders, const FirstHalves &halves) {
  std::vector<Accumulator> &all = holders.accumulators;
  llvm::DenseMap<int64_t, int64_t> own; // by rank
  for (const Accumulator &accumulator : all) {
    if (!halves.of(accumulator.stage))
      return;
    ++own[accumulator.rank];
  }
  for (auto [rank, count] : own)
    if (int64_t(all.size()) >= count * holders.count)
      return;
  holders.parks = true;
  llvm::erase_if(all, [](const Accumulator &accumulator) { return accumulator.half == 1; });
}

FailureOr<HolderTable> HolderTable::of(const Stages &stages, const RankLayout &layout,
                                       Components &components, FirstHalves halves) {
  HolderTable table;
  table.layout = layout;
  table.halves = std::move(halves);
  MLIRContext *context = nullptr;
  for (int64_t stage = 0; stage < int64_t(stages.size()); ++stage) {
    for (Operation *step : stages[stage].weights)
      if (auto apply = dyn_cast<ApplyOp>(step)) {
        context = apply.getContext();
        if (failed(table.add(apply, stage, components)))
          return failure();
      }
    for (Operation *step : stages[stage].forward)
      if (auto apply = dyn_cast<ApplyOp>(step))
        table.addCounts(apply, stage, components);
  }
  for (auto &[name, holders] : table.parameters)
    table.complete(name, holders, context);
  return table;
}

LogicalResult HolderTable::add(ApplyOp apply, int64_t stage, Components &components) {
  const Component *component = components.find(apply.getComponent());
  if (!component)
    return success();
  func::FuncOp function = component->function;
  for (auto [argument, binding] : llvm::enumerate(component->bindings)) {
    if (!binding || binding.getKind() != BindingKind::Gradient)
      continue;
    auto [name, suffix] = split(boundName(binding, apply));
    auto type = cast<RankedTensorType>(function.getArgumentTypes()[argument]);
    Holders &holders = parameters[name];
    if (!holders.type)
      holders.type = type;
    if (holders.type != type)
      return apply.emitOpError("binds gradient \"")
             << name << suffix << "\" as " << type << "; another application binds it as "
             << holders.type;
    const std::string &own = suffix;
    auto known = llvm::find_if(holders.accumulators,
                               [&](const Accumulator &other) { return other.suffix == own; });
    if (known != holders.accumulators.end()) {
      if (known->stage != stage)
        return apply.emitOpError("of stage ") << stage << " adds to \"" << name << suffix
                                              << "\", as stage " << known->stage << " does";
      continue;
    }
    for (int64_t half = 0; half < layout.halves(); ++half)
      holders.accumulators.push_back({suffix, half, stage, layout.rankOf(stage, half)});
  }
  return success();
}

void HolderTable::addCounts(ApplyOp apply, int64_t stage, Components &components) {
  for (const std::string &state : components.bound(apply, BindingKind::State)) {
    if (!StringRef(state).starts_with(kCountsState) || states.contains(state))
      continue;
    SmallVector<int64_t> ranks;
    for (int64_t half = 0; half < layout.halves(); ++half)
      if (int64_t rank = layout.rankOf(stage, half); !llvm::is_contained(ranks, rank))
        ranks.push_back(rank);
    states[state] = GroupAttr::get(apply.getContext(), GroupScope::Holders, ranks);
  }
}

/// Ranks, the direction of half 0 first; the order of sums, the parameter's own accumulator first.
void HolderTable::complete(StringRef name, Holders &holders, MLIRContext *context) const {
  // Those of one suffix stand together.
  auto own = [](const Accumulator &accumulator) { return accumulator.suffix.empty(); };
  auto begin = llvm::find_if(holders.accumulators, own);
  std::rotate(holders.accumulators.begin(), begin,
              std::find_if_not(begin, holders.accumulators.end(), own));
  SmallVector<int64_t> ranks;
  for (int64_t half = 0; half < layout.halves(); ++half)
    for (int64_t stage = 0; stage < layout.stages(); ++stage)
      for (const Accumulator &accumulator : holders.accumulators)
        if (accumulator.half == half && accumulator.stage == stage &&
            !llvm::is_contained(ranks, accumulator.rank))
          ranks.push_back(accumulator.rank);
  bool experts = layout.expertParallel > 1 && name.contains("{expert}");
  holders.group =
      GroupAttr::get(context, experts ? GroupScope::ExpertHolders : GroupScope::Holders, ranks);
  holders.count =
      int64_t(ranks.size()) * layout.dataParallel / (experts ? layout.expertParallel : 1);
  int64_t elements = holders.type.getNumElements();
  auto blocks = llvm::divideCeil(uint64_t(elements), uint64_t(kNormBlock));
  auto each = llvm::divideCeil(blocks, uint64_t(holders.count));
  holders.window = std::min(int64_t(each) * kNormBlock, elements);
  decide(holders, halves);
}

bool HolderTable::parks() const {
  return llvm::any_of(parameters, [](const auto &entry) { return entry.second.parks; });
}

bool HolderTable::shards() const {
  return llvm::any_of(parameters, [](const auto &entry) { return entry.second.sharded(); });
}

const Holders *HolderTable::find(StringRef parameter) const {
  auto found = parameters.find(parameter.str());
  return found == parameters.end() ? nullptr : &found->second;
}

std::string HolderTable::storageOf(StringRef accumulator, int64_t half, int64_t rank) const {
  auto [name, suffix] = split(accumulator);
  const Holders *holders = find(name);
  if (holders && holders->parks)
    half = 0;
  std::string usual = name + suffix + (half ? kSecondHalf.str() : "");
  if (!holders)
    return usual;
  for (const Accumulator &first : holders->accumulators)
    if (first.rank == rank)
      return first.suffix == suffix && first.half == half ? name : usual;
  return usual;
}

SmallVector<std::string> HolderTable::storagesOf(StringRef parameter, int64_t rank) const {
  SmallVector<std::string> names;
  for (const Accumulator &own : find(parameter)->accumulators)
    if (own.rank == rank)
      names.push_back(storageOf((parameter + own.suffix).str(), own.half, rank));
  return names;
}

ArrayAttr HolderTable::sumsOf(StringRef parameter, Builder &builder) const {
  const Holders &holders = *find(parameter);
  llvm::DenseMap<int64_t, int64_t> counts; // accumulators by rank
  llvm::MapVector<StringRef, SmallVector<Attribute>> sums;
  for (auto [index, each] : llvm::enumerate(holders.accumulators)) {
    if (holders.parks)
      sums[each.suffix].push_back(builder.getI64ArrayAttr(int64_t(index)));
    auto place = llvm::find(holders.group.getRanks(), each.rank) - holders.group.getRanks().begin();
    sums[each.suffix].push_back(builder.getI64ArrayAttr({int64_t(place), counts[each.rank]++}));
  }
  SmallVector<Attribute> lists;
  for (auto &[suffix, terms] : sums)
    lists.push_back(builder.getArrayAttr(terms));
  return builder.getArrayAttr(lists);
}

SmallVector<std::string> HolderTable::parkedOf(StringRef parameter) const {
  SmallVector<std::string> names;
  for (const Accumulator &each : find(parameter)->accumulators)
    names.push_back((parameter + each.suffix + kParked).str());
  return names;
}
