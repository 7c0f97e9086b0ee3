// SPDX-License-Identifier: Apache-2.0
//
// See TableText.h.

#include "runtime/program/TableText.h"

#include "runtime/program/Bundle.h"

namespace hadal::rt {

std::uint64_t rowBytes(const bundle::Buffer &buffer) {
  std::uint64_t bytes = std::uint64_t(elementBytes(buffer.dtype()));
  for (std::uint32_t d = 1; d < sizeOf(buffer.shape()); ++d)
    bytes *= std::uint64_t(buffer.shape()->Get(d));
  return bytes;
}

std::uint64_t bytesOf(const bundle::Buffer &buffer) {
  return sizeOf(buffer.shape()) ? rowBytes(buffer) * std::uint64_t(buffer.shape()->Get(0))
                                : rowBytes(buffer);
}

const char *categoryOf(const bundle::Instruction &instruction) {
  switch (instruction.opcode()) {
  case bundle::Opcode::launch:
    break;
  case bundle::Opcode::zero:
  case bundle::Opcode::copy:
  case bundle::Opcode::allocate:
  case bundle::Opcode::free:
    return "memory";
  default:
    return "communication";
  }
  const std::string phase = instruction.phase() ? instruction.phase()->str() : "";
  return phase == "F"   ? "forward"
         : phase == "B" ? "input gradient"
         : phase == "W" ? "weight gradient"
         : phase == "U" ? "optimizer"
                        : "other";
}

std::string programText(const bundle::Program &program) {
  return "program " + program.name()->str() + " of rank " + std::to_string(program.rank());
}

std::string typeText(const bundle::Buffer &buffer) {
  std::string text = std::string(bundle::EnumNameDType(buffer.dtype())) + " [";
  for (std::uint32_t d = 0; d < sizeOf(buffer.shape()); ++d)
    text += (d ? ", " : "") + std::to_string(buffer.shape()->Get(d));
  return text + "]";
}

/// What tells this instruction from others of its opcode.
static std::string detailsOf(const bundle::Bundle &table, const bundle::Program &program,
                             const bundle::Instruction &instruction) {
  auto buffer = [&](std::uint32_t operand) {
    return program.buffers()->Get(instruction.operands()->Get(operand))->name()->str();
  };
  switch (instruction.opcode()) {
  case bundle::Opcode::launch:
    return " " + table.components()->Get(instruction.component())->name()->str();
  case bundle::Opcode::record:
  case bundle::Opcode::wait:
    return " event " + std::to_string(instruction.event());
  case bundle::Opcode::send:
    return " " + buffer(0) + " to rank " + std::to_string(instruction.peer());
  case bundle::Opcode::receive:
    return " " + buffer(0) + " from rank " + std::to_string(instruction.peer());
  case bundle::Opcode::reduce_scatter:
  case bundle::Opcode::all_gather:
    if (sizeOf(instruction.parameters()))
      return " " + table.parameters()->Get(instruction.parameters()->Get(0))->name()->str();
    return {};
  case bundle::Opcode::zero:
  case bundle::Opcode::copy:
  case bundle::Opcode::allocate:
  case bundle::Opcode::free:
  case bundle::Opcode::all_reduce:
    return " " + buffer(0);
  default:
    return {};
  }
}

std::string instructionText(const bundle::Bundle &table, const bundle::Program &program,
                            std::uint32_t index) {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  const std::uint32_t stream = instruction.stream();
  std::string text = "instruction " + std::to_string(index) + " (" +
                     (stream < sizeOf(program.streams()) ? program.streams()->Get(stream)->str()
                                                         : std::to_string(stream)) +
                     ": " + bundle::EnumNameOpcode(instruction.opcode()) +
                     detailsOf(table, program, instruction);
  if (instruction.layer() >= 0)
    text += " layer " + std::to_string(instruction.layer());
  if (instruction.micro_batch() >= 0)
    text += " micro-batch " + std::to_string(instruction.micro_batch());
  return text + ")";
}

} // namespace hadal::rt
