// SPDX-License-Identifier: Apache-2.0
//
// What each pipeline rank holds, read off the buffers of its programs; groups of ranks.

#include "codegen/Bundle/Tables.h"
#include "frontend/WeightNames.h"

using namespace mlir;
using namespace hadal;

uint32_t GroupTable::add(pipe::GroupAttr group) {
  auto [entry, added] = indices.try_emplace(group, uint32_t(table.groups.size()));
  if (added) {
    auto made = std::make_unique<bundle::GroupT>();
    made->scope = group.getScope() == pipe::GroupScope::Holders
                      ? bundle::GroupScope::holders
                      : bundle::GroupScope::expert_holders;
    made->pipeline_ranks.assign(group.getRanks().begin(), group.getRanks().end());
    table.groups.push_back(std::move(made));
  }
  return entry->second;
}

int64_t GroupTable::members(pipe::GroupAttr group) const {
  int64_t each = group.getScope() == pipe::GroupScope::Holders
                     ? plan.dataParallel
                     : plan.dataParallel / plan.expertParallel;
  return int64_t(group.getRanks().size()) * each;
}

Export::Export(bundle::BundleT &table, ModuleOp module, const ModelSpec &spec, const Plan &plan)
    : table(table), module(module), spec(spec), plan(plan), storages(table), groups(table, plan) {
  for (const ParameterInfo &info : hadal::parameters(spec))
    parameters.try_emplace(info.name, uint32_t(parameters.size()));
}

StringRef hadal::programName(pipe::ProgramOp program) {
  StringRef name = program.getSymName();
  return program.getRank() == 0 ? name : name.rsplit('.').first;
}

bool hadal::generates(pipe::ProgramOp program) {
  StringRef name = program.getSymName();
  return name == "prefill" || name == "decode";
}

std::string Export::storageName(pipe::ProgramOp program, pipe::BufferOp buffer) const {
  std::string name = buffer.getStorage()->str();
  bool apart = plan.expertParallel > 1 && buffer.getKind() == pipe::StorageKind::Parameter &&
               buffer.getStorage()->contains("{expert}") && !generates(program);
  return apart ? name + "#members" : name;
}

namespace {

/// What the programs of a rank have of one parameter.
struct Held {
  std::string storage;
  RankedTensorType type; ///< of the whole
  pipe::GroupAttr group;
  int64_t window = 0;
  bool gradient = false, moment1 = false, moment2 = false;
};

class RoleTable {
public:
  explicit RoleTable(Export &out) : out(out) {}

  LogicalResult run() {
    ranks.resize(size_t(out.plan.pipelineRanks));
    for (auto program : out.module.getOps<pipe::ProgramOp>())
      if (out.alone() || !generates(program))
        for (auto buffer : program.getOps<pipe::BufferOp>())
          note(program, buffer);
    for (size_t rank = 0; rank < ranks.size(); ++rank)
      if (failed(add(rank)))
        return failure();
    return success();
  }

private:
  void note(pipe::ProgramOp program, pipe::BufferOp buffer) {
    auto parameter = out.parameters.find(buffer.getStorage().value_or(""));
    if (parameter == out.parameters.end())
      return;
    Held &held = ranks[program.getRank()][parameter->second];
    switch (buffer.getKind()) {
    case pipe::StorageKind::Parameter:
      held.storage = out.storageName(program, buffer);
      break;
    case pipe::StorageKind::Gradient:
      held.gradient = true;
      break;
    case pipe::StorageKind::Moment1:
      held.moment1 = true;
      return;
    case pipe::StorageKind::Moment2:
      held.moment2 = true;
      return;
    default:
      return;
    }
    if (pipe::GroupAttr shard = buffer.getShardAttr()) {
      held.group = shard;
      held.window = buffer.tensorType().getNumElements();
    } else {
      held.type = buffer.tensorType();
    }
  }

  LogicalResult add(size_t rank) {
    auto role = std::make_unique<bundle::RoleT>();
    role->pipeline_rank = uint32_t(rank);
    for (auto &[parameter, held] : ranks[rank]) {
      const bundle::ParameterT &whole = *out.table.parameters[parameter];
      if (held.storage.empty() || !held.type)
        continue; // the name of something else
      auto made = std::make_unique<bundle::HoldingT>();
      made->parameter = parameter;
      if (failed(fill(*made, held, whole)))
        return failure();
      if (whole.layer >= 0 && (role->layers.empty() || role->layers.back() != whole.layer))
        role->layers.push_back(whole.layer);
      role->holdings.push_back(std::move(made));
    }
    out.table.roles.push_back(std::move(role));
    return success();
  }

  LogicalResult fill(bundle::HoldingT &made, const Held &held, const bundle::ParameterT &whole) {
    auto find = [&](bool there, pipe::StorageKind kind) {
      return there ? out.storages.find(kind, whole.name) : -1;
    };
    made.storage = uint32_t(out.storages.find(pipe::StorageKind::Parameter, held.storage));
    made.gradient = find(held.gradient, pipe::StorageKind::Gradient);
    made.moment1 = find(held.moment1, pipe::StorageKind::Moment1);
    made.moment2 = find(held.moment2, pipe::StorageKind::Moment2);
    RankedTensorType type = held.type;
    made.elements = type.getNumElements();
    made.experts = whole.experts > 0 ? type.getDimSize(0) : 0;
    if (held.group)
      made.group = int32_t(out.groups.add(held.group));
    made.shard_elements = held.group ? held.window : made.elements;
    std::vector<int64_t> expected = whole.shape;
    if (whole.experts > 0)
      expected[0] /= out.plan.expertParallel;
    if (type.getShape() != ArrayRef<int64_t>(expected))
      return out.module.emitError("binds parameter \"")
             << whole.name << "\" as " << type << "; a rank holds "
             << RankedTensorType::get(expected, type.getElementType());
    return success();
  }

  Export &out;
  std::vector<std::map<uint32_t, Held>> ranks; ///< by parameter, in manifest order
};

} // namespace

LogicalResult hadal::fillRoles(Export &out) { return RoleTable(out).run(); }
