// SPDX-License-Identifier: Apache-2.0
//
// See Executor.h: what a program says about itself, and its buffers by name.

#include "runtime/program/Executor.h"
#include "runtime/program/Layout.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace hadal::rt {

/// What an instruction does.
std::string Executor::textOf(std::uint32_t index) const {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  std::string text = bundle::EnumNameOpcode(instruction.opcode());
  if (instruction.opcode() == bundle::Opcode::launch)
    text = bundle.table().components()->Get(instruction.component())->name()->str();
  else if (countOf(instruction.parameters()) == 1)
    text += " " + bundle.table().parameters()->Get(instruction.parameters()->Get(0))->name()->str();
  if (instruction.peer() >= 0)
    text += (instruction.opcode() == bundle::Opcode::send ? " to pipeline rank "
                                                          : " from pipeline rank ") +
            std::to_string(instruction.peer());
  if (instruction.layer() >= 0)
    text += ", layer " + std::to_string(instruction.layer());
  if (instruction.micro_batch() >= 0)
    text += ", micro-batch " + std::to_string(instruction.micro_batch());
  return text;
}

std::string Executor::describe(std::uint32_t index) const {
  if (index >= countOf(program.instructions()))
    return {};
  return "program " + program.name()->str() + ": " + textOf(index);
}

std::string Executor::instructionAt(std::uint32_t index) const {
  return "program " + program.name()->str() + ": instruction " + std::to_string(index) + " (" +
         textOf(index) + ")";
}

/// Rank, step and instruction.
std::string Executor::place(std::uint32_t index) const {
  std::string text;
  if (links.size() > 1)
    text = "rank " + std::to_string(links.rank()) + ": ";
  if (step >= 0)
    text += "step " + std::to_string(step) + ": ";
  return text + instructionAt(index);
}

/// ", tokens i32 [4, 257], ...".
std::string Executor::shapes(std::uint32_t index) const {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  constexpr std::uint32_t kMost = 6;
  const std::uint32_t count = countOf(instruction.operands());
  std::string text;
  for (std::uint32_t i = 0; i < std::min(count, kMost); ++i) {
    const std::uint32_t buffer = instruction.operands()->Get(i);
    text += ", " + program.buffers()->Get(buffer)->name()->str() + " " +
            bundle::EnumNameDType(buffers[buffer].dtype) + " [";
    for (std::size_t d = 0; d < buffers[buffer].shape.size(); ++d)
      text += (d ? ", " : "") + std::to_string(buffers[buffer].shape[d]);
    text += "]";
    if (live[buffer] >= 0)
      text += " with " + std::to_string(live[buffer]) + " rows";
  }
  return text + (count > kMost ? ", ..." : "");
}

const View &Executor::view(const std::string &name) const {
  auto found = views.find(name);
  if (found == views.end())
    throw RunError("program " + program.name()->str() + " has no buffer " + name);
  return found->second;
}

std::vector<std::pair<std::string, View>>
Executor::viewsWithPrefix(const std::string &prefix) const {
  std::vector<std::pair<std::string, View>> found;
  for (auto at = views.lower_bound(prefix);
       at != views.end() && at->first.compare(0, prefix.size(), prefix) == 0; ++at)
    found.emplace_back(at->first.substr(prefix.size()), at->second);
  return found;
}

void Executor::setScalar(const std::string &name, double value) {
  auto found = views.find(name);
  if (found == views.end())
    return;
  switch (found->second.dtype) {
  case bundle::DType::f32:
    *found->second.as<float>() = float(value);
    return;
  case bundle::DType::f64:
    *found->second.as<double>() = value;
    return;
  case bundle::DType::i32:
    *found->second.as<std::int32_t>() = std::int32_t(value);
    return;
  case bundle::DType::i64:
    *found->second.as<std::int64_t>() = std::int64_t(value);
    return;
  default:
    throw RunError("scalar " + name + " has a type that cannot be set");
  }
}

double Executor::scalar(const std::string &name) const {
  const View &at = view(name);
  switch (at.dtype) {
  case bundle::DType::f32:
    return double(*at.as<float>());
  case bundle::DType::f64:
    return *at.as<double>();
  case bundle::DType::i32:
    return double(*at.as<std::int32_t>());
  case bundle::DType::i64:
    return double(*at.as<std::int64_t>());
  default:
    throw RunError("scalar " + name + " has a type that cannot be read");
  }
}

std::vector<KernelCost> Executor::costs() const {
  std::vector<KernelCost> used;
  for (const KernelCost &cost : times)
    if (cost.calls)
      used.push_back(cost);
  std::sort(used.begin(), used.end(),
            [](const KernelCost &a, const KernelCost &b) { return a.seconds > b.seconds; });
  return used;
}

} // namespace hadal::rt
