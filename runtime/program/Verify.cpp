// SPDX-License-Identifier: Apache-2.0
//
// The checks that make it safe to execute a bundle's table: nothing the executor does with it can
// leave a buffer. (The checksum says that a file is as written; this says that it was written
// well.)

#include "runtime/program/Bundle.h"
#include "runtime/program/TableText.h"
#include "runtime/program/VerifyProgram.h"
#include "runtime/support/Error.h"

#include <map>
#include <set>

namespace hadal::rt {

std::int64_t elementBytes(bundle::DType type) {
  switch (type) {
  case bundle::DType::f64:
  case bundle::DType::i64:
    return 8;
  case bundle::DType::f32:
  case bundle::DType::i32:
    return 4;
  case bundle::DType::bf16:
  case bundle::DType::f16:
    return 2;
  case bundle::DType::u8:
  case bundle::DType::e4m3:
  case bundle::DType::e5m2:
    return 1;
  }
  return 0;
}

std::int64_t elementsOf(const flatbuffers::Vector<std::int64_t> *shape) {
  std::int64_t count = 1;
  for (std::uint32_t i = 0; i < countOf(shape); ++i)
    if (shape->Get(i) < 0 || __builtin_mul_overflow(count, shape->Get(i), &count))
      throw InputError("shape", "dimension " + std::to_string(shape->Get(i)) + " is impossible");
  return count;
}

namespace {

class TableVerifier {
public:
  TableVerifier(const bundle::Bundle &table, const std::string &file) : table(table), file(file) {}

  void run() {
    expect(table.training()->sequences() > 0 && table.training()->tokens() > 0 &&
               table.training()->micro_batches() > 0 && table.training()->data_parallel() > 0,
           "training", "sizes of the micro-batch are not positive");
    const std::int64_t experts = table.training()->expert_parallel();
    expect(table.training()->pipeline_ranks() > 0 && experts > 0 &&
               table.training()->data_parallel() % experts == 0,
           "training", "sizes of the grid of ranks are not possible");
    expect(table.model()->vocab_size() > 0, "model", "vocab_size is not positive");
    checkParameters();
    for (std::uint32_t i = 0; i < countOf(table.components()); ++i)
      checkComponent(*table.components()->Get(i));
    checkGroups();
    checkRoles();
    checkPrograms();
    if (const bundle::Rotary *rotary = table.rotary())
      expect(rotary->positions() >= 0 && rotary->positions() < (std::int64_t(1) << 40), "rotary",
             "has an impossible number of positions");
  }

private:
  void expect(bool holds, const std::string &place, const std::string &message) const {
    if (!holds)
      throw InputError(file, place + ": " + message);
  }

  std::uint64_t storageBytes(std::uint32_t index) const {
    return table.storages()->Get(index)->bytes();
  }

  void checkTensorStorage(const std::string &place, std::int64_t index, std::int64_t elements,
                          std::int64_t bytesEach) const {
    expect(index >= 0 && index < std::int64_t(countOf(table.storages())), place,
           "names storage " + std::to_string(index) + "; there are " +
               std::to_string(countOf(table.storages())));
    if (table.dry()) // values may be held in less than their type
      bytesEach = 1;
    expect(storageBytes(std::uint32_t(index)) / std::uint64_t(bytesEach) >= std::uint64_t(elements),
           place, "its storage is too small");
  }

  void checkParameters() const {
    for (std::uint32_t i = 0; i < countOf(table.parameters()); ++i) {
      const bundle::Parameter &parameter = *table.parameters()->Get(i);
      std::string place = "parameter " + parameter.name()->str();
      std::int64_t elements = elementsOf(parameter.shape());
      checkTensorStorage(place, parameter.storage(), elements, 4);
      for (std::int64_t index : {parameter.gradient(), parameter.moment1(), parameter.moment2()})
        if (index >= 0)
          checkTensorStorage(place, index, elements, 4);
      bool stack = parameter.experts() > 0;
      expect(stack == (parameter.name()->str().find("{expert}") != std::string::npos) &&
                 (!stack || (countOf(parameter.shape()) > 1 &&
                             parameter.shape()->Get(0) == parameter.experts())),
             place, "its shape is not that of a stack of its experts");
    }
  }

  void checkComponent(const bundle::Component &component) const {
    std::string place = "component " + component.name()->str();
    const auto *temporaries = component.temporary_offsets();
    expect(countOf(component.temporary_bytes()) == countOf(temporaries), place,
           "has another number of temporaries than of their sizes");
    expect(!countOf(component.access()) || countOf(component.access()) == component.operands(),
           place, "says of another number of operands what it does with them");
    const auto *rows = component.temporary_rows();
    expect(!countOf(rows) || countOf(rows) == countOf(temporaries), place,
           "has another number of temporaries than of their counts of rows");
    for (std::uint32_t i = 0; i < countOf(temporaries); ++i) {
      const bundle::RowCount count = countOf(rows) ? rows->Get(i) : bundle::RowCount::fixed;
      const std::uint64_t frame = count == bundle::RowCount::fixed ? component.frame_bytes()
                                  : count == bundle::RowCount::received
                                      ? component.received_row_bytes()
                                      : component.routed_row_bytes();
      expect(temporaries->Get(i) <= frame &&
                 component.temporary_bytes()->Get(i) <= frame - temporaries->Get(i),
             place, "temporary " + std::to_string(i) + " lies outside its frame");
    }
    for (std::uint32_t c = 0; c < countOf(component.calls()); ++c)
      checkCall(component, *component.calls()->Get(c), place + ": call " + std::to_string(c));
  }

  void checkCall(const bundle::Component &component, const bundle::KernelCall &call,
                 const std::string &at) const {
    expect(call.kernel() < countOf(table.kernels()), at, "names a kernel that is not there");
    expect(call.grid() >= 0, at, "has a negative grid");
    for (std::uint32_t s = 0; s < countOf(call.slots()); ++s) {
      const bundle::Slot *slot = call.slots()->Get(s);
      expect(slot->index() < (slot->temporary() ? countOf(component.temporary_offsets())
                                                : component.operands()),
             at, "names an operand that is not there");
    }
    if (call.rows() == bundle::RowCount::fixed)
      return;
    expect(call.rows() == bundle::RowCount::received || call.rows() == bundle::RowCount::routed, at,
           "counts its rows in a way that is not known");
    expect(call.rows_size() >= -1 && call.rows_size() < std::int64_t(countOf(call.sizes())), at,
           "puts the number of rows in a size that is not there");
    expect(call.rows_block() > 0 && call.grid_fixed() >= 0 && call.grid_per_block() >= 0, at,
           "has no grid for a number of rows");
    std::int64_t grid = 0;
    if (call.rows_size() >= 0) {
      const std::int64_t rows = call.sizes()->Get(std::uint32_t(call.rows_size()));
      expect(rows >= 0 &&
                 !__builtin_mul_overflow(call.grid_per_block(),
                                         rows / call.rows_block() + (rows % call.rows_block() != 0),
                                         &grid) &&
                 !__builtin_add_overflow(grid, call.grid_fixed(), &grid) && grid == call.grid(),
             at, "has another grid than its number of rows gives");
    }
  }

  void checkGroups() const {
    for (std::uint32_t i = 0; i < countOf(table.groups()); ++i) {
      const std::string place = "group " + std::to_string(i);
      const bundle::Group &group = *table.groups()->Get(i);
      std::set<std::uint32_t> ranks;
      expect(group.scope() == bundle::GroupScope::holders ||
                 group.scope() == bundle::GroupScope::expert_holders,
             place, "has a scope that is not known");
      expect(countOf(group.pipeline_ranks()) > 0, place, "has no ranks");
      for (std::uint32_t rank : *group.pipeline_ranks())
        expect(rank < table.training()->pipeline_ranks() && ranks.insert(rank).second, place,
               "names rank " + std::to_string(rank) + ", which is not there or there twice");
    }
  }

  void checkRoles() const {
    const std::int64_t ranks = table.training()->pipeline_ranks();
    // Bundles that cannot train have none.
    expect(!countOf(table.roles()) || countOf(table.roles()) == ranks, "roles",
           "are " + std::to_string(countOf(table.roles())) + "; there are " +
               std::to_string(ranks) + " pipeline ranks");
    for (std::uint32_t i = 0; i < countOf(table.roles()); ++i) {
      const bundle::Role &role = *table.roles()->Get(i);
      const std::string place = "role " + std::to_string(i);
      expect(role.pipeline_rank() == i, place,
             "is of rank " + std::to_string(role.pipeline_rank()));
      for (std::uint32_t h = 0; h < countOf(role.holdings()); ++h)
        checkHolding(*role.holdings()->Get(h), place + ": holding " + std::to_string(h));
    }
  }

  void checkHolding(const bundle::Holding &holding, const std::string &place) const {
    expect(holding.parameter() < countOf(table.parameters()), place,
           "names a parameter that is not there");
    const bundle::Parameter &parameter = *table.parameters()->Get(holding.parameter());
    const std::string at = place + " (" + parameter.name()->str() + ")";
    const std::int64_t all = elementsOf(parameter.shape());
    expect(holding.experts() >= 0 && holding.experts() <= parameter.experts(), at,
           "has more experts than there are");
    const std::int64_t held =
        holding.experts() ? all / parameter.experts() * holding.experts() : all;
    expect(holding.elements() == held, at,
           "has " + std::to_string(holding.elements()) + " elements; expected " +
               std::to_string(held));
    expect(holding.group() < std::int64_t(countOf(table.groups())), at,
           "names a group that is not there");
    std::int64_t padded = held, shard = held;
    if (holding.group() >= 0) {
      const auto &group = *table.groups()->Get(std::uint32_t(holding.group()));
      shard = holding.shard_elements();
      expect(shard > 0 && shard <= held &&
                 !__builtin_mul_overflow(shard, holdersOf(table, group), &padded) && padded >= held,
             at, "has shards of " + std::to_string(shard) + " elements, which do not cover it");
    }
    checkTensorStorage(at, holding.storage(), padded, 4);
    if (holding.gradient() >= 0)
      checkTensorStorage(at, holding.gradient(), padded, 4);
    for (std::int64_t moment : {holding.moment1(), holding.moment2()})
      if (moment >= 0)
        checkTensorStorage(at, moment, shard, 2); // bf16 moments are the smallest
  }

  /// Every program is there once for each rank; those of generation on rank 0 only.
  void checkPrograms() const {
    std::map<std::string, std::set<std::uint32_t>> ranks;
    const std::int64_t all = table.training()->pipeline_ranks();
    for (std::uint32_t i = 0; i < countOf(table.programs()); ++i) {
      const bundle::Program &program = *table.programs()->Get(i);
      const std::string place = programText(program);
      expect(program.rank() < all, place,
             "is of no rank; there are " + std::to_string(all) + " pipeline ranks");
      expect(ranks[program.name()->str()].insert(program.rank()).second, place, "is there twice");
      verifyProgram(table, program, file);
    }
    for (const auto &[name, found] : ranks)
      expect(std::int64_t(found.size()) == all ||
                 ((name == "prefill" || name == "decode") && found.size() == 1 && found.count(0)),
             "program " + name,
             "is there for " + std::to_string(found.size()) + " of " + std::to_string(all) +
                 " pipeline ranks");
  }

  const bundle::Bundle &table;
  const std::string &file;
};

} // namespace

void verifyTable(const bundle::Bundle &table, const std::string &file) {
  TableVerifier(table, file).run();
}

} // namespace hadal::rt
