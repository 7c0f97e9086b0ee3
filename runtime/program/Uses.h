// SPDX-License-Identifier: Apache-2.0
//
// Which buffers an instruction uses, and how.

#ifndef HADAL_RUNTIME_PROGRAM_USES_H
#define HADAL_RUNTIME_PROGRAM_USES_H

#include "runtime/program/TableText.h"

namespace hadal::rt {

/// WriteInPlace: memory that the same instruction may read through other buffers.
enum class Use { Read, Write, Update, WriteInPlace, Allocate, Free };

/// Calls visit(buffer, use) for each; what is read comes before what is written.
template <typename Visit>
void forEachUse(const bundle::Bundle &table, const bundle::Instruction &instruction, Visit visit) {
  const std::uint32_t count = sizeOf(instruction.operands());
  auto operand = [&](std::uint32_t i) { return instruction.operands()->Get(i); };
  auto reads = [&](std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t i = begin; i < end; ++i)
      visit(operand(i), Use::Read);
  };
  if (instruction.counts() >= 0)
    visit(std::uint32_t(instruction.counts()), Use::Read);
  switch (instruction.opcode()) {
  case bundle::Opcode::launch: {
    const auto *access = table.components()->Get(instruction.component())->access();
    for (bool writes : {false, true})
      for (std::uint32_t i = 0; i < count; ++i)
        if (bundle::Access how = access->Get(i); (how != bundle::Access::read) == writes)
          visit(operand(i), how == bundle::Access::read    ? Use::Read
                            : how == bundle::Access::write ? Use::Write
                                                           : Use::Update);
    return;
  }
  case bundle::Opcode::zero:
  case bundle::Opcode::receive:
    return visit(operand(0), Use::Write);
  case bundle::Opcode::send:
    return visit(operand(0), Use::Read);
  case bundle::Opcode::copy:
  case bundle::Opcode::exchange_counts:
    visit(operand(0), Use::Read);
    return visit(operand(1), Use::Write);
  case bundle::Opcode::scatter_rows:
  case bundle::Opcode::gather_rows: {
    const std::uint32_t payloads = (count - 3) / 2;
    reads(0, payloads);
    reads(2 * payloads, count);
    for (std::uint32_t i = payloads; i < 2 * payloads; ++i)
      visit(operand(i), Use::Write);
    return;
  }
  case bundle::Opcode::allocate:
    return visit(operand(0), Use::Allocate);
  case bundle::Opcode::free:
    return visit(operand(0), Use::Free);
  case bundle::Opcode::reduce_scatter:
    reads(0, count - 1);
    return visit(operand(count - 1), Use::WriteInPlace);
  case bundle::Opcode::total_squares:
    reads(0, count - 1);
    return visit(operand(count - 1), Use::Write);
  case bundle::Opcode::all_gather:
  case bundle::Opcode::all_reduce:
    return visit(operand(0), Use::Update);
  case bundle::Opcode::record:
  case bundle::Opcode::wait:
    return;
  }
}

} // namespace hadal::rt

#endif
