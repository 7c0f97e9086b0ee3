// SPDX-License-Identifier: Apache-2.0
//
// See Validate.h.

#include "runtime/program/Validate.h"

#include "runtime/program/Bundle.h"
#include "runtime/program/TableText.h"
#include "runtime/program/ValidateRules.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <exception>
#include <sstream>

namespace hadal::rt {

std::string ProgramSet::place(std::size_t rank, std::uint32_t index) const {
  return programText(program(rank)) + ": " + instructionText(*table, program(rank), index);
}

void checkEvents(const ProgramSet &set) {
  for (std::size_t rank = 0; rank < set.ranks.size(); ++rank) {
    std::map<std::uint32_t, std::uint32_t> recorded;
    for (std::uint32_t i = 0; i < sizeOf(set.program(rank).instructions()); ++i) {
      const bundle::Instruction &instruction = set.instruction(rank, i);
      if (instruction.opcode() == bundle::Opcode::record) {
        auto [first, added] = recorded.emplace(instruction.event(), i);
        if (!added)
          throw InputError(set.place(rank, i) + " records what " +
                           instructionText(*set.table, set.program(rank), first->second) +
                           " has recorded");
      } else if (instruction.opcode() == bundle::Opcode::wait &&
                 !recorded.count(instruction.event())) {
        throw InputError(set.place(rank, i) + " waits for what is not recorded before it");
      }
    }
  }
}

/// Programs by name, each set by rank (verifyTable has seen that all ranks are there).
static std::vector<ProgramSet> programSets(const bundle::Bundle &table) {
  std::vector<ProgramSet> sets;
  for (std::uint32_t i = 0; i < sizeOf(table.programs()); ++i) {
    const bundle::Program &program = *table.programs()->Get(i);
    auto set = std::find_if(sets.begin(), sets.end(), [&](const ProgramSet &other) {
      return other.name == program.name()->string_view();
    });
    if (set == sets.end())
      set = sets.insert(sets.end(), ProgramSet{&table, program.name()->str(), {}});
    auto place = std::find_if(set->ranks.begin(), set->ranks.end(), [&](const RankProgram &other) {
      return other.program->rank() > program.rank();
    });
    set->ranks.insert(place, RankProgram{&program, Timeline(program)});
  }
  return sets;
}

/// The proofs take from it what a launch reads and writes.
static void expectAccess(const bundle::Bundle &table) {
  for (std::uint32_t i = 0; i < sizeOf(table.components()); ++i) {
    const bundle::Component &component = *table.components()->Get(i);
    if (sizeOf(component.access()) != component.operands())
      throw InputError("component " + component.name()->str() +
                       ": does not say what it does with its operands");
  }
}

static ProgramProof prove(const ProgramSet &set) {
  ProgramProof proof;
  proof.name = set.name;
  proof.ranks = std::uint32_t(set.ranks.size());
  checkEvents(set);
  checkChunks(set);
  proof.phases = checkPhases(set);
  proof.transfers = checkTransfers(set);
  proof.collectives = checkCollectives(set);
  checkProgress(set);
  for (const RankProgram &rank : set.ranks) {
    proof.instructions += sizeOf(rank.program->instructions());
    proof.uses += checkMemory(*set.table, rank);
  }
  proof.bubble = measureBubble(set);
  if (const auto &bubble = proof.bubble;
      bubble && bubble->condition.empty() && bubble->measured > bubble->formula + 1e-6) {
    std::ostringstream text;
    text << "program " << set.name << ": its largest bubble at unit times is " << bubble->measured
         << "; the closed form " << bubble->text << " of "
         << set.table->training()->schedule()->string_view() << " gives " << bubble->formula;
    throw InputError(text.str());
  }
  return proof;
}

Validation validate(const bundle::Bundle &table) {
  Validation answer;
  try {
    verifyTable(table, "table");
    expectAccess(table);
    for (const ProgramSet &set : programSets(table))
      answer.programs.push_back(prove(set));
  } catch (const std::exception &refusal) {
    answer.error = refusal.what();
  }
  return answer;
}

} // namespace hadal::rt
