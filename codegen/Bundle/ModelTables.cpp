// SPDX-License-Identifier: Apache-2.0
//
// What a bundle says of its model and plan.

#include "codegen/Bundle/Tables.h"
#include "frontend/Counts.h"
#include "frontend/WeightNames.h"

using namespace mlir;
using namespace hadal;

static std::unique_ptr<bundle::ModelT> modelTable(const ModelSpec &spec, const Plan &plan) {
  auto model = std::make_unique<bundle::ModelT>();
  ParameterCounts counts = countParameters(spec);
  model->vocab_size = spec.vocabSize;
  model->hidden_size = spec.hiddenSize;
  model->layers = spec.numHiddenLayers;
  model->mtp_depth = spec.numNextnPredictLayers;
  model->max_positions = spec.maxPositionEmbeddings;
  if (spec.bosTokenId >= 0)
    model->bos.push_back(spec.bosTokenId);
  model->eos = spec.eosTokenIds;
  for (int64_t layer = 0; layer < spec.layers(); ++layer)
    if (spec.isMoe(layer))
      model->moe_layers.push_back(int32_t(layer));
  model->experts = spec.numRoutedExperts;
  model->top_k = spec.numExpertsPerToken;
  model->expert_groups = spec.numGroups;
  model->groups_per_token = spec.topkGroups;
  model->initializer_range = plan.initializerRange;
  model->parameters_main = counts.main;
  model->parameters_active = counts.activeMain;
  model->flops_per_token = inferenceFlopPerToken(spec, plan.windowTokens(), /*causal=*/true);
  return model;
}

static std::vector<bundle::Phase> phases(const Phases<double> &values) {
  std::vector<bundle::Phase> table;
  for (const Phase<double> &phase : values)
    table.emplace_back(phase.steps, phase.value);
  return table;
}

static std::unique_ptr<bundle::TrainingT> trainingTable(const Plan &plan) {
  auto training = std::make_unique<bundle::TrainingT>();
  training->sequences = plan.sequences;
  training->tokens = plan.windowTokens();
  training->micro_batches = plan.microBatchCount();
  training->pipeline_ranks = plan.pipelineRanks;
  training->data_parallel = plan.dataParallel;
  training->expert_parallel = plan.expertParallel;
  training->schedule = name(plan.schedule);
  training->overlap = name(plan.overlap);
  training->beta1 = plan.beta1;
  training->beta2 = plan.beta2;
  training->clip_norm = plan.clipNorm;
  for (const RatePhase &phase : plan.learningRate)
    training->learning_rate.emplace_back(int32_t(phase.shape), phase.steps, phase.to);
  training->mtp_weight = phases(plan.mtpWeight);
  training->bias_update_speed = phases(plan.biasUpdateSpeed);
  training->sequence_balance_alpha = plan.sequenceBalanceAlpha;
  training->seed = uint64_t(plan.seed);
  return training;
}

void hadal::fillModel(bundle::BundleT &table, const ModelSpec &spec, const Plan &plan) {
  table.config_json = spec.text;
  table.plan_json = plan.text;
  table.model = modelTable(spec, plan);
  table.training = trainingTable(plan);
  for (const auto &choices : {namedChoices(spec), namedChoices(plan)})
    for (const auto &[name, value] : choices) {
      auto choice = std::make_unique<bundle::NamedChoiceT>();
      choice->name = name;
      choice->value = value;
      table.choices.push_back(std::move(choice));
    }
  for (const ManifestEntry &entry : manifest(spec)) {
    auto tensor = std::make_unique<bundle::ManifestEntryT>();
    tensor->name = entry.name;
    tensor->shape = entry.shape;
    tensor->dtype = name(entry.type);
    table.manifest.push_back(std::move(tensor));
  }
}
