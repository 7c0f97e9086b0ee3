// SPDX-License-Identifier: Apache-2.0
//
// See HandMadeBundle.h.

#include "test/unit/runtime/HandMadeBundle.h"

#include <algorithm>
#include <fstream>
#include <map>

namespace hadal::rt {

static constexpr int kLayers = 4, kExperts = 8;
static constexpr std::int64_t kBlock = 65536;

std::string TestLayout::text() const {
  return schedule + " P" + std::to_string(pipelineRanks) + " dp" + std::to_string(dataParallel) +
         " ep" + std::to_string(expertParallel);
}

namespace {

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  bool experts = false, trained = true;
  int layer = -1;            // -1: first stage, kLayers: last stage
  bool lastStageToo = false; // MTP's use
};

std::vector<Tensor> model() {
  std::vector<Tensor> tensors;
  // Four blocks of 65,536 elements, the last one not full; odd sizes elsewhere.
  tensors.push_back({"model.embed_tokens.weight", {300, 701}, false, true, -1, true});
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    tensors.push_back({prefix + "input_layernorm.weight", {37}, false, true, layer});
    tensors.push_back({prefix + "self_attn.o_proj.weight", {301, 257}, false, true, layer});
    tensors.push_back({prefix + "mlp.gate.weight", {kExperts, 37}, false, true, layer});
    tensors.push_back(
        {prefix + "mlp.gate.e_score_correction_bias", {kExperts}, false, false, layer});
    // Three blocks a stack of 8: windows begin and end within experts.
    tensors.push_back(
        {prefix + "mlp.experts.{expert}.up_proj.weight", {kExperts, 131, 151}, true, true, layer});
  }
  tensors.push_back({"model.norm.weight", {37}, false, true, kLayers});
  tensors.push_back({"lm_head.weight", {300, 307}, false, true, kLayers});
  return tensors;
}

std::int64_t product(const std::vector<std::int64_t> &shape) {
  std::int64_t count = 1;
  for (std::int64_t size : shape)
    count *= size;
  return count;
}

class TableMaker {
public:
  TableMaker(const TestLayout &layout, bool roles) : layout(layout), withRoles(roles) {}

  std::string seal() {
    fillModel();
    for (int rank = 0; withRoles && rank < layout.pipelineRanks; ++rank) {
      table.roles.push_back(std::make_unique<bundle::RoleT>());
      table.roles.back()->pipeline_rank = std::uint32_t(rank);
    }
    const std::vector<Tensor> tensors = model();
    for (std::uint32_t i = 0; i < tensors.size(); ++i)
      add(tensors[i], i);
    flatbuffers::FlatBufferBuilder builder(1 << 16);
    builder.Finish(bundle::Bundle::Pack(builder, &table));
    return sealBundle(std::string_view(reinterpret_cast<const char *>(builder.GetBufferPointer()),
                                       builder.GetSize()),
                      {});
  }

private:
  void fillModel() {
    table.target = "cpu";
    table.config_json = "{\"n_layers\": 4}";
    table.plan_json =
        "{\"micro_batch\": {\"sequences\": " + std::to_string(layout.sequences) +
        ", \"tokens\": 8}, \"pipeline\": {\"ranks\": " + std::to_string(layout.pipelineRanks) +
        ", \"schedule\": \"" + layout.schedule +
        "\", \"micro_batches\": " + std::to_string(layout.microBatches) +
        "}, \"data_parallel\": " + std::to_string(layout.dataParallel) +
        ", \"expert_parallel\": " + std::to_string(layout.expertParallel) + ", \"seed\": 7}";
    table.model = std::make_unique<bundle::ModelT>();
    table.model->vocab_size = 300;
    table.model->experts = kExperts;
    table.model->initializer_range = 0.02;
    table.training = std::make_unique<bundle::TrainingT>();
    table.training->sequences = layout.sequences;
    table.training->tokens = 8;
    table.training->micro_batches = layout.microBatches;
    table.training->pipeline_ranks = layout.pipelineRanks;
    table.training->data_parallel = layout.dataParallel;
    table.training->expert_parallel = layout.expertParallel;
    table.training->schedule = layout.schedule;
    table.training->seed = 7;
  }

  std::uint32_t addStorage(const std::string &name, bundle::StorageKind kind,
                           std::int64_t elements) {
    table.storages.push_back(std::make_unique<bundle::StorageT>());
    table.storages.back()->name = name;
    table.storages.back()->kind = kind;
    table.storages.back()->bytes = std::uint64_t(elements) * sizeof(float);
    return std::uint32_t(table.storages.size() - 1);
  }

  /// The pipeline ranks that hold a layer: of direction 0's stage first.
  std::vector<std::uint32_t> ranksOf(int layer) const {
    const int P = layout.pipelineRanks;
    const int stages = layout.schedule == "dualpipev" ? 2 * P : P;
    const int stage = layer < 0 ? 0 : layer == kLayers ? stages - 1 : layer * stages / kLayers;
    if (layout.schedule == "dualpipev")
      return {std::uint32_t(stage < P ? stage : 2 * P - 1 - stage)};
    if (layout.schedule == "dualpipe")
      return {std::uint32_t(stage), std::uint32_t(P - 1 - stage)};
    return {std::uint32_t(stage)};
  }

  std::int32_t groupOf(bool experts, const std::vector<std::uint32_t> &ranks) {
    auto [at, isNew] = groups.emplace(std::pair(experts, ranks), std::int32_t(table.groups.size()));
    if (isNew) {
      table.groups.push_back(std::make_unique<bundle::GroupT>());
      table.groups.back()->scope =
          experts ? bundle::GroupScope::expert_holders : bundle::GroupScope::holders;
      table.groups.back()->pipeline_ranks = ranks;
    }
    return at->second;
  }

  void add(const Tensor &tensor, std::uint32_t index) {
    auto parameter = std::make_unique<bundle::ParameterT>();
    parameter->name = tensor.name;
    parameter->shape = tensor.shape;
    parameter->experts = tensor.experts ? kExperts : 0;
    parameter->layer = tensor.layer;
    parameter->trained = tensor.trained;
    parameter->initial = tensor.trained ? bundle::Initial::normal : bundle::Initial::zeros;
    const bool divided = tensor.experts && layout.expertParallel > 1;
    bundle::HoldingT holding;
    holding.parameter = index;
    holding.experts = tensor.experts ? kExperts / layout.expertParallel : 0;
    holding.elements = product(tensor.shape) / (divided ? layout.expertParallel : 1);
    std::vector<std::uint32_t> ranks = ranksOf(tensor.layer);
    if (tensor.lastStageToo)
      for (std::uint32_t rank : ranksOf(kLayers))
        if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end())
          ranks.push_back(rank);
    addStorages(tensor, holding, *parameter, ranks, divided);
    table.parameters.push_back(std::move(parameter));
    for (std::uint32_t rank : ranks)
      if (withRoles)
        table.roles[rank]->holdings.push_back(std::make_unique<bundle::HoldingT>(holding));
  }

  void addStorages(const Tensor &tensor, bundle::HoldingT &holding, bundle::ParameterT &parameter,
                   const std::vector<std::uint32_t> &ranks, bool divided) {
    const int replicas = layout.dataParallel / (divided ? layout.expertParallel : 1);
    const std::int64_t holders = std::int64_t(ranks.size()) * replicas, n = holding.elements;
    std::int64_t padded = n, moments = n;
    if (holders > 1 && tensor.trained) {
      const std::int64_t blocks = (n + kBlock - 1) / kBlock;
      moments = std::min((blocks + holders - 1) / holders * kBlock, n);
      padded = moments * holders;
      holding.group = groupOf(divided, ranks);
      holding.shard_elements = moments;
    }
    holding.storage = addStorage(tensor.name, bundle::StorageKind::parameter, padded);
    parameter.storage = divided ? addStorage(tensor.name + "#whole", bundle::StorageKind::parameter,
                                             product(tensor.shape))
                                : holding.storage;
    if (!tensor.trained)
      return;
    holding.gradient = std::int32_t(addStorage(tensor.name, bundle::StorageKind::gradient, padded));
    holding.moment1 =
        std::int32_t(addStorage(tensor.name + "#1", bundle::StorageKind::optimizer, moments));
    holding.moment2 =
        std::int32_t(addStorage(tensor.name + "#2", bundle::StorageKind::optimizer, moments));
    if (layout.ranks() > 1)
      return;
    parameter.gradient = holding.gradient;
    parameter.moment1 = holding.moment1;
    parameter.moment2 = holding.moment2;
  }

  const TestLayout &layout;
  bool withRoles;
  bundle::BundleT table;
  std::map<std::pair<bool, std::vector<std::uint32_t>>, std::int32_t> groups;
};

} // namespace

void writeHandMadeBundle(const std::string &path, const TestLayout &layout, bool roles) {
  const std::string bytes = TableMaker(layout, roles).seal();
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

} // namespace hadal::rt
