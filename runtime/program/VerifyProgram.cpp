// SPDX-License-Identifier: Apache-2.0
//
// See VerifyProgram.h.

#include "runtime/program/VerifyProgram.h"

#include "runtime/program/Bundle.h"
#include "runtime/program/Terms.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <set>

namespace hadal::rt {

namespace {

using bundle::DType;
using bundle::Opcode;
using bundle::RowCount;

class ProgramVerifier {
public:
  ProgramVerifier(const bundle::Bundle &table, const bundle::Program &program,
                  const std::string &file)
      : table(table), program(program), file(file), place(programText(program)),
        members(table.training()->expert_parallel()) {}

  void run() {
    for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i)
      checkBuffer(*program.buffers()->Get(i));
    for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
      at = place + ": instruction " + std::to_string(i);
      instruction = program.instructions()->Get(i);
      checkCommon();
      checkOpcode();
    }
  }

private:
  void expect(bool holds, const std::string &message) const {
    if (!holds)
      throw InputError(file, at + ": " + message);
  }

  void checkBuffer(const bundle::Buffer &buffer) {
    at = place + ": buffer " + buffer.name()->str();
    expect(elementBytes(buffer.dtype()) > 0, "has an element type that is not known");
    const auto bytes =
        std::uint64_t(elementsOf(buffer.shape())) * std::uint64_t(elementBytes(buffer.dtype()));
    if (buffer.rows() != RowCount::fixed) {
      expect(buffer.rows() == RowCount::received || buffer.rows() == RowCount::routed,
             "counts its rows in a way that is not known");
      expect(countOf(buffer.shape()) > 0 && buffer.shard_group() < 0,
             "of counted rows has no rows, or is a shard");
      return;
    }
    expect(buffer.storage() < countOf(table.storages()), "names a storage that is not there");
    const std::uint64_t room = table.storages()->Get(buffer.storage())->bytes();
    std::uint64_t windows = 1;
    if (buffer.shard_group() >= 0) {
      expect(buffer.shard_group() < std::int64_t(countOf(table.groups())),
             "names a group that is not there");
      const auto &group = *table.groups()->Get(std::uint32_t(buffer.shard_group()));
      expect(inGroup(group), "is a shard of a group that does not hold its rank");
      windows = std::uint64_t(holdersOf(table, group));
    }
    std::uint64_t all = 0;
    expect(buffer.offset() <= room && !__builtin_mul_overflow(bytes, windows, &all) &&
               all <= room - buffer.offset(),
           "leaves its storage");
  }

  bool inGroup(const bundle::Group &group) const {
    for (std::uint32_t rank : *group.pipeline_ranks())
      if (rank == program.rank())
        return true;
    return false;
  }

  const bundle::Buffer &operand(std::uint32_t i) const {
    return *program.buffers()->Get(instruction->operands()->Get(i));
  }
  std::uint32_t operands() const { return countOf(instruction->operands()); }

  void checkCommon() const {
    for (std::uint32_t i = 0; i < operands(); ++i)
      expect(instruction->operands()->Get(i) < countOf(program.buffers()),
             "names a buffer that is not there");
    expect(instruction->stream() == 0 || instruction->stream() < countOf(program.streams()),
           "names a stream that is not there");
    expect(instruction->chunk() < std::int64_t(countOf(program.chunks())),
           "names a chunk that is not there");
    for (std::uint32_t i = 0; i < countOf(instruction->parameters()); ++i)
      expect(instruction->parameters()->Get(i) < countOf(table.parameters()),
             "names a parameter that is not there");
    if (instruction->counts() >= 0) {
      expect(instruction->counts() < std::int64_t(countOf(program.buffers())),
             "takes its rows from a buffer that is not there");
      expectTable(*program.buffers()->Get(std::uint32_t(instruction->counts())), members + 1,
                  "what it takes its rows from");
    }
  }

  void expectCount(std::uint32_t count, const char *text) const {
    expect(operands() == count, text);
  }

  /// i64 [2, columns].
  void expectTable(const bundle::Buffer &buffer, std::int64_t columns,
                   const std::string &what) const {
    const auto *shape = buffer.shape();
    expect(buffer.dtype() == DType::i64 && buffer.rows() == RowCount::fixed &&
               countOf(shape) == 2 && shape->Get(0) == 2 && shape->Get(1) == columns,
           what + " is " + typeText(buffer) + "; expected i64 [2, " + std::to_string(columns) +
               "]");
  }

  void checkOpcode() const {
    switch (instruction->opcode()) {
    case Opcode::launch:
      return checkLaunch();
    case Opcode::zero:
      return expectCount(1, "zero takes one buffer");
    case Opcode::copy:
      expectCount(2, "copy takes two buffers");
      // From a master weight to what products read: nothing executes that yet.
      return expect(typeText(operand(0)) == typeText(operand(1)) ||
                        (table.dry() && operand(0).dtype() == DType::f32),
                    "copies " + typeText(operand(0)) + " to " + typeText(operand(1)));
    case Opcode::record:
    case Opcode::wait:
      return expect(instruction->event() < program.events(),
                    "names event " + std::to_string(instruction->event()) + "; there are " +
                        std::to_string(program.events()));
    case Opcode::send:
    case Opcode::receive:
      return checkTransfer();
    case Opcode::exchange_counts:
      expectCount(2, "exchange_counts takes two buffers");
      expectTable(operand(0), members, "what it sends");
      return expectTable(operand(1), members + 1, "what it receives");
    case Opcode::scatter_rows:
    case Opcode::gather_rows:
      return checkRows();
    case Opcode::allocate:
    case Opcode::free:
      expectCount(1, "allocate and free take one buffer");
      expect(operand(0).rows() != RowCount::fixed,
             "takes buffer " + operand(0).name()->str() + ", whose rows are not counted");
      return expect(instruction->opcode() == Opcode::free || instruction->counts() >= 0,
                    "allocates without counts");
    default:
      return checkCollective();
    }
  }

  void checkLaunch() const {
    expect(instruction->component() < countOf(table.components()),
           "names a component that is not there");
    const bundle::Component &component = *table.components()->Get(instruction->component());
    expect(operands() == component.operands(), "has another number of operands than its component");
    bool counted = component.received_row_bytes() || component.routed_row_bytes();
    for (std::uint32_t c = 0; c < countOf(component.calls()); ++c)
      counted |= component.calls()->Get(c)->rows() != RowCount::fixed;
    for (std::uint32_t i = 0; i < operands(); ++i)
      counted |= operand(i).rows() != RowCount::fixed;
    expect(!counted || instruction->counts() >= 0, "works on counted rows without counts");
  }

  void checkTransfer() const {
    const std::int64_t ranks = table.training()->pipeline_ranks();
    expectCount(1, "send and receive take one buffer");
    expect(operand(0).rows() == RowCount::fixed, "transfers counted rows");
    expect(instruction->peer() >= 0 && instruction->peer() < ranks &&
               std::uint32_t(instruction->peer()) != program.rank(),
           "has peer " + std::to_string(instruction->peer()) + "; the others of " +
               std::to_string(ranks) + " pipeline ranks are possible");
    expect(instruction->batch() >= 0, "is of no batch");
  }

  /// What reaches behind the first size, and the type.
  static std::string rowText(const bundle::Buffer &buffer) {
    const auto *shape = buffer.shape();
    return std::string(bundle::EnumNameDType(buffer.dtype())) + " of " +
           std::to_string(countOf(shape) ? shape->Get(countOf(shape) - 1) : 0);
  }

  void checkRows() const {
    expect(operands() >= 5 && operands() % 2 == 1,
           "takes pairs of buffers, send_offsets, send_token and received");
    const std::uint32_t payloads = (operands() - 3) / 2;
    const bool scatter = instruction->opcode() == Opcode::scatter_rows;
    for (std::uint32_t i = 0; i < payloads; ++i) {
      const bundle::Buffer &from = operand(i), &to = operand(payloads + i);
      // Rows that are narrowed as they are packed: nothing executes that yet.
      expect(rowText(from) == rowText(to) || (table.dry() && scatter),
             "moves rows of " + rowText(from) + " to rows of " + rowText(to));
      expect((scatter ? to : from).rows() == RowCount::received &&
                 (scatter ? from : to).rows() == RowCount::fixed,
             std::string("moves rows that are not ") + (scatter ? "sent to" : "back from") +
                 " a buffer of received rows");
    }
    const bundle::Buffer &offsets = operand(2 * payloads), &token = operand(2 * payloads + 1);
    expect(offsets.dtype() == DType::i64 && countOf(offsets.shape()) == 1 &&
               offsets.shape()->Get(0) == members + 1,
           "send_offsets is " + typeText(offsets) + "; expected i64 [" +
               std::to_string(members + 1) + "]");
    expect(token.dtype() == DType::i32 && countOf(token.shape()) == 1,
           "send_token is " + typeText(token) + "; expected i32 [rows]");
    expectTable(operand(2 * payloads + 2), members + 1, "received");
  }

  const bundle::Group &groupAt(std::int64_t index) const {
    expect(index >= 0 && index < std::int64_t(countOf(table.groups())),
           "names a group that is not there");
    const bundle::Group &group = *table.groups()->Get(std::uint32_t(index));
    expect(inGroup(group), "is of a group that does not hold its rank");
    return group;
  }

  void checkCollective() const {
    switch (instruction->opcode()) {
    case Opcode::reduce_scatter:
      expect(operands() >= 1 && countOf(instruction->parameters()) == 1,
             "takes accumulators, a shard and a parameter");
      return checkSum(groupAt(instruction->group()));
    case Opcode::all_gather:
      expect(operands() == 1 && countOf(instruction->parameters()) == 1,
             "takes one buffer and a parameter");
      groupAt(instruction->group());
      return;
    case Opcode::total_squares:
      expect(operands() >= 1 && countOf(instruction->parameters()) == operands() - 1 &&
                 countOf(instruction->groups()) == operands() - 1,
             "takes blocks with a parameter and a group each, and a total");
      for (std::uint32_t i = 0; i + 1 < operands(); ++i) {
        groupAt(std::int64_t(instruction->groups()->Get(i)));
        expect(operand(i).dtype() == DType::f64, "adds blocks of another type than f64");
      }
      return;
    case Opcode::all_reduce:
      expect(operands() == 1 && operand(0).dtype() == DType::i64, "takes one buffer of i64");
      groupAt(instruction->group());
      return;
    default:
      expect(false, "has an opcode this program does not know");
    }
  }

  void checkSum(const bundle::Group &group) const {
    for (std::uint32_t i = 0; i < operands(); ++i)
      expect(operand(i).dtype() == DType::f32 && operand(i).rows() == RowCount::fixed,
             "sums something else than f32");
    const std::uint32_t last = operands() - 1, parked = parkedOf(*instruction);
    expect(parked <= last, "sums a parked window that is not there");
    const std::uint32_t accumulators = last - parked;
    checkTerms(group, accumulators, parked);
    const std::int64_t elements =
        accumulators ? elementsOf(operand(0).shape())
                     : heldElements(table, group, instruction->parameters()->Get(0));
    const std::int64_t window = windowOf(elements, holdersOf(table, group));
    auto isWindow = [&](const bundle::Buffer &buffer) {
      return buffer.shard_group() < 0 && elementsOf(buffer.shape()) == window;
    };
    for (std::uint32_t i = accumulators; i < last; ++i)
      expect(isWindow(operand(i)),
             "adds buffer " + operand(i).name()->str() + ", which is no window of its tensor");
    expect(operand(last).shard_group() == instruction->group() || isWindow(operand(last)),
           "sums into buffer " + operand(last).name()->str() + ", which is no shard of its group");
  }

  void checkTerms(const bundle::Group &group, std::uint32_t accumulators,
                  std::uint32_t parked) const {
    std::int64_t sum = -1;
    expect(countOf(instruction->terms()) > 0, "sums nothing");
    for (const bundle::Term *term : *instruction->terms()) {
      expect(term->sum() == sum || term->sum() == sum + 1, "has sums that are out of order");
      sum = term->sum();
      if (term->rank() == kParkedTerm) {
        expect(term->slot() < parked, "sums a parked window that is not there");
        continue;
      }
      expect(term->rank() < group.pipeline_ranks()->size(), "sums over a rank that is not there");
      if (group.pipeline_ranks()->Get(term->rank()) == program.rank())
        expect(term->slot() < accumulators, "sums an accumulator that is not there");
    }
  }

  const bundle::Bundle &table;
  const bundle::Program &program;
  const std::string &file;
  const std::string place;
  const std::int64_t members;
  std::string at;
  const bundle::Instruction *instruction = nullptr;
};

} // namespace

void verifyProgram(const bundle::Bundle &table, const bundle::Program &program,
                   const std::string &file) {
  ProgramVerifier(table, program, file).run();
}

std::int64_t heldElements(const bundle::Bundle &table, const bundle::Group &group,
                          std::uint32_t parameter) {
  const bundle::Parameter &whole = *table.parameters()->Get(parameter);
  const std::int64_t elements = elementsOf(whole.shape());
  return group.scope() == bundle::GroupScope::expert_holders && whole.experts() > 0
             ? elements / table.training()->expert_parallel()
             : elements;
}

std::int64_t windowOf(std::int64_t elements, std::int64_t holders) {
  constexpr std::int64_t kNormBlock = 65536;
  const std::int64_t blocks = (elements + kNormBlock - 1) / kNormBlock;
  return std::min((blocks + holders - 1) / holders * kNormBlock, elements);
}

std::int64_t holdersOf(const bundle::Bundle &table, const bundle::Group &group) {
  const bundle::Training &training = *table.training();
  const std::int64_t replicas = group.scope() == bundle::GroupScope::holders
                                    ? training.data_parallel()
                                    : training.data_parallel() / training.expert_parallel();
  return std::int64_t(group.pipeline_ranks()->size()) * replicas;
}

} // namespace hadal::rt
