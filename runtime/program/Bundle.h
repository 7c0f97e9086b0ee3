// SPDX-License-Identifier: Apache-2.0
//
// A bundle opened for use: the file is mapped, checked as a whole (header, checksum, FlatBuffers,
// every index and range in it, the processor it wants), and its kernels are loaded.

#ifndef HADAL_RUNTIME_PROGRAM_BUNDLE_H
#define HADAL_RUNTIME_PROGRAM_BUNDLE_H

#include "runtime/checkpoint/Weights.h"
#include "runtime/device/CpuDevice.h"
#include "runtime/program/Header.h"
#include "runtime/program/Phases.h"
#include "runtime/program/bundle_generated.h"
#include "runtime/support/File.h"

#include <string>
#include <vector>

namespace hadal::rt {

class Bundle {
public:
  /// Opens and checks a file. `execute`: also load the kernels, and refuse a processor that lacks
  /// what the code needs. Throws InputError naming the file and the reason.
  explicit Bundle(const std::string &path, bool execute = true);

  const std::string &path() const { return file.path(); }
  std::uint64_t fileBytes() const { return file.size(); }
  /// That of the header: two bundles of one checksum are the same.
  std::uint64_t checksum() const;
  const bundle::Bundle &table() const { return *root; }
  const bundle::Model &model() const { return *root->model(); }
  const bundle::Training &training() const { return *root->training(); }
  std::string_view object() const { return parts.blob; }
  /// By index in table().kernels(); null without `execute`.
  KernelFunction kernel(std::uint32_t index) const { return functions[index]; }

  /// Throws InputError saying which programs the bundle holds when `name` is not among them.
  const bundle::Program &program(const std::string &name, std::uint32_t pipelineRank = 0) const;
  const bundle::Program *findProgram(const std::string &name, std::uint32_t pipelineRank = 0) const;

  /// Rows of one optimizer step.
  std::int64_t rowsPerStep() const;
  std::vector<RatePhase> learningRatePhases() const;
  std::vector<ValuePhase> mtpWeightPhases() const;
  std::vector<ValuePhase> biasSpeedPhases() const;

private:
  MappedFile file;
  BundleParts parts;
  const bundle::Bundle *root = nullptr;
  KernelLibrary library;
  std::vector<KernelFunction> functions;
};

/// Bytes of an element.
std::int64_t elementBytes(bundle::DType type);
/// Elements of a shape; throws InputError on a negative or too large one.
std::int64_t elementsOf(const flatbuffers::Vector<std::int64_t> *shape);
/// The number of tensors a vector holds; 0 for a missing one.
template <typename T> std::uint32_t countOf(const flatbuffers::Vector<T> *vector) {
  return vector ? vector->size() : 0;
}

/// Checks every index, offset and size of a table whose FlatBuffers structure is sound already.
/// Throws InputError naming `file` and the place.
void verifyTable(const bundle::Bundle &table, const std::string &file);

} // namespace hadal::rt

#endif
