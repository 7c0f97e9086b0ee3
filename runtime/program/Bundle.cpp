// SPDX-License-Identifier: Apache-2.0
//
// See Bundle.h.

#include "runtime/program/Bundle.h"

#include "runtime/device/RedZones.h"
#include "runtime/support/Error.h"

#include <cstring>

namespace hadal::rt {

Bundle::Bundle(const std::string &path, bool execute) : file(path) {
  std::string_view bytes(reinterpret_cast<const char *>(file.data()), file.size());
  if (std::string reason = openBundle(bytes, parts); !reason.empty())
    throw InputError(path, reason);
  // The defaults allow a million tables; V3's programs have more.
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t *>(parts.table.data()),
                                 parts.table.size(), 64, 1u << 30);
  if (!verifier.VerifyBuffer<bundle::Bundle>(nullptr))
    throw InputError(path, "is damaged: its table is not sound");
  root = flatbuffers::GetRoot<bundle::Bundle>(parts.table.data());
  verifyTable(*root, path);
  functions.assign(countOf(root->kernels()), nullptr);
  if (!execute)
    return;

  if (root->dry())
    throw InputError(path, "is of a dry run and holds no kernels; it can be inspected, verified "
                           "and simulated. Compile it without --dry-run to execute it");
  if (root->target()->str() != "cpu")
    throw InputError(path,
                     "is for the target " + root->target()->str() + "; this program runs cpu");
  if (root->memory_checked() && !kRedZones)
    throw InputError(path, "is compiled with --check-memory; only a hadal-run of the sanitizer "
                           "build runs it");
  std::vector<std::string> wanted;
  wanted.reserve(countOf(root->cpu_features()));
  for (std::uint32_t i = 0; i < countOf(root->cpu_features()); ++i)
    wanted.push_back(root->cpu_features()->Get(i)->str());
  std::string lacking;
  for (const std::string &feature : missingCpuFeatures(wanted))
    lacking += (lacking.empty() ? "" : ", ") + feature;
  if (!lacking.empty())
    throw InputError(path, "is compiled for " + root->cpu()->str() + "; this machine (" +
                               cpuModelName() + ") lacks " + lacking +
                               "; compile it with --cpu native here");
  if (functions.empty())
    return;
  library = KernelLibrary(parts.blob, path);
  for (std::uint32_t i = 0; i < functions.size(); ++i) {
    std::string symbol = root->kernels()->Get(i)->symbol()->str();
    functions[i] = library.find(symbol);
    if (!functions[i])
      throw InputError(path, "kernels: " + symbol + " is not in the shared object");
  }
}

std::uint64_t Bundle::checksum() const {
  BundleHeader header;
  std::memcpy(&header, file.data(), sizeof header);
  return header.checksum;
}

const bundle::Program *Bundle::findProgram(const std::string &name,
                                           std::uint32_t pipelineRank) const {
  for (std::uint32_t i = 0; i < countOf(root->programs()); ++i)
    if (root->programs()->Get(i)->name()->string_view() == name &&
        root->programs()->Get(i)->rank() == pipelineRank)
      return root->programs()->Get(i);
  return nullptr;
}

const bundle::Program &Bundle::program(const std::string &name, std::uint32_t pipelineRank) const {
  if (const bundle::Program *found = findProgram(name, pipelineRank))
    return *found;
  std::string present;
  for (std::uint32_t i = 0; i < countOf(root->programs()); ++i)
    if (root->programs()->Get(i)->rank() == pipelineRank)
      present += " " + root->programs()->Get(i)->name()->str();
  const std::string where =
      pipelineRank ? " for pipeline rank " + std::to_string(pipelineRank) : std::string();
  throw InputError(path(), "holds no program " + name + where + "; it holds:" + present +
                               " (the plan's \"programs\" say which are compiled)");
}

std::int64_t Bundle::rowsPerStep() const {
  return training().micro_batches() * training().data_parallel() * training().sequences();
}

std::vector<RatePhase> Bundle::learningRatePhases() const {
  std::vector<RatePhase> phases;
  if (const auto *given = training().learning_rate())
    for (const bundle::RatePhase *phase : *given)
      phases.push_back({RateShape(phase->shape()), phase->steps(), phase->to()});
  return phases;
}

static std::vector<ValuePhase>
valuePhases(const flatbuffers::Vector<const bundle::Phase *> *given) {
  std::vector<ValuePhase> phases;
  if (given)
    for (const bundle::Phase *phase : *given)
      phases.push_back({phase->steps(), phase->value()});
  return phases;
}

std::vector<ValuePhase> Bundle::mtpWeightPhases() const {
  return valuePhases(training().mtp_weight());
}

std::vector<ValuePhase> Bundle::biasSpeedPhases() const {
  return valuePhases(training().bias_update_speed());
}

} // namespace hadal::rt
