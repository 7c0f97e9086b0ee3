// SPDX-License-Identifier: Apache-2.0
//
// The structure of a bundle's table over several ranks: each field out of its range once.

#include "runtime/program/Terms.h"
#include "test/unit/runtime/BundleMaker.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <functional>

using namespace hadal;
using namespace hadal::rt;
using bundle::Opcode;
using testing::HasSubstr;

namespace {

using Table = std::unique_ptr<bundle::BundleT>;

bundle::InstructionT &instruction(bundle::BundleT &table, std::size_t program, Opcode opcode) {
  bundle::ProgramT &in = *table.programs[program];
  return *in.instructions[find(in, opcode)];
}

/// What each change of a sound table is refused with.
struct Case {
  const char *message;
  std::function<void(bundle::BundleT &)> change;
};

/// Two ranks that train, with a group, a role each, and a component of counted rows.
Table soundTable() {
  Table table = trainingTable();
  auto group = std::make_unique<bundle::GroupT>();
  group->pipeline_ranks = {0, 1};
  table->groups.push_back(std::move(group));
  table->storages[0]->bytes = 4 * 64 * 4; // four windows of 64 elements
  for (std::uint32_t rank : {0u, 1u}) {
    auto role = std::make_unique<bundle::RoleT>();
    role->pipeline_rank = rank;
    auto holding = std::make_unique<bundle::HoldingT>();
    holding->elements = holding->shard_elements = 64;
    holding->group = 0;
    role->holdings.push_back(std::move(holding));
    table->roles.push_back(std::move(role));
  }
  auto kernel = std::make_unique<bundle::KernelT>();
  kernel->symbol = "k";
  table->kernels.push_back(std::move(kernel));
  bundle::ComponentT &component = *table->components.back();
  component.received_row_bytes = 8;
  component.temporary_offsets = {4};
  component.temporary_bytes = {4};
  component.temporary_rows = {bundle::RowCount::received};
  auto call = std::make_unique<bundle::KernelCallT>();
  call->rows = bundle::RowCount::received;
  call->sizes = {7, 100};
  call->rows_size = 1;
  call->rows_block = 16;
  call->grid_fixed = 1;
  call->grid_per_block = 2;
  call->grid = 15;
  component.calls.push_back(std::move(call));
  // Nobody launches it.
  for (auto &program : table->programs)
    for (auto &launch : program->instructions)
      if (launch->opcode == Opcode::launch && launch->component + 1 == table->components.size()) {
        launch->opcode = Opcode::zero;
        launch->phase.clear();
      }
  return table;
}

void expectRefused(const std::vector<Case> &cases) {
  EXPECT_EQ(errorOf(*soundTable()), "");
  for (const Case &one : cases) {
    Table table = soundTable();
    one.change(*table);
    EXPECT_THAT(errorOf(*table), HasSubstr(one.message));
  }
}

TEST(VerifyTable, GroupsAndRoles) {
  expectRefused({
      {"training: sizes of the grid of ranks are not possible",
       [](auto &table) { table.training->expert_parallel = 3; }},
      {"group 0: names rank 2, which is not there or there twice",
       [](auto &table) { table.groups[0]->pipeline_ranks = {0, 2}; }},
      {"group 0: names rank 1, which is not there or there twice",
       [](auto &table) { table.groups[0]->pipeline_ranks = {1, 1}; }},
      {"group 0: has no ranks", [](auto &table) { table.groups[0]->pipeline_ranks.clear(); }},
      {"roles: are 1; there are 2 pipeline ranks", [](auto &table) { table.roles.pop_back(); }},
      {"role 1: is of rank 0", [](auto &table) { table.roles[1]->pipeline_rank = 0; }},
      {"role 0: holding 0: names a parameter that is not there",
       [](auto &table) { table.roles[0]->holdings[0]->parameter = 1; }},
      {"holding 0 (weight): has 63 elements; expected 64",
       [](auto &table) { table.roles[0]->holdings[0]->elements = 63; }},
      {"holding 0 (weight): names a group that is not there",
       [](auto &table) { table.roles[0]->holdings[0]->group = 1; }},
      {"holding 0 (weight): has shards of 15 elements, which do not cover it",
       [](auto &table) { table.roles[0]->holdings[0]->shard_elements = 15; }},
      {"holding 0 (weight): its storage is too small",
       [](auto &table) { table.storages[0]->bytes = 256; }},
      {"holding 0 (weight): has more experts than there are",
       [](auto &table) { table.roles[0]->holdings[0]->experts = 2; }},
  });
}

TEST(VerifyTable, Components) {
  expectRefused({
      {"component make: temporary 0 lies outside its frame",
       [](auto &table) { table.components.back()->received_row_bytes = 7; }},
      {"has another number of temporaries than of their counts of rows",
       [](auto &table) { table.components.back()->temporary_rows.push_back({}); }},
      {"says of another number of operands what it does with them",
       [](auto &table) { table.components.back()->access.push_back(bundle::Access::read); }},
      {"call 0: puts the number of rows in a size that is not there",
       [](auto &table) { table.components.back()->calls[0]->rows_size = 2; }},
      {"call 0: has no grid for a number of rows",
       [](auto &table) { table.components.back()->calls[0]->rows_block = 0; }},
      {"call 0: has another grid than its number of rows gives",
       [](auto &table) { table.components.back()->calls[0]->grid = 14; }},
  });
}

TEST(VerifyTable, Programs) {
  expectRefused({
      {"program gradients of rank 0: is there twice",
       [](auto &table) { table.programs[1]->rank = 0; }},
      {"program gradients of rank 2: is of no rank",
       [](auto &table) { table.programs[1]->rank = 2; }},
      {"program gradients: is there for 1 of 2 pipeline ranks",
       [](auto &table) { table.programs.pop_back(); }},
      {"buffer x0: leaves its storage",
       [](auto &table) { table.programs[0]->buffers[1]->offset = 1 << 20; }},
      {"buffer w0: names a group that is not there",
       [](auto &table) { table.programs[0]->buffers[0]->shard_group = 1; }},
      {"buffer w0: leaves its storage", // four windows do not fit
       [](auto &table) { table.programs[0]->buffers[0]->shard_group = 0; }},
      {"buffer w0: of counted rows has no rows, or is a shard",
       [](auto &table) {
         table.programs[0]->buffers[0]->rows = bundle::RowCount::routed;
         table.programs[0]->buffers[0]->shape.clear();
       }},
      {"has peer 0; the others of 2 pipeline ranks are possible",
       [](auto &table) { instruction(table, 0, Opcode::send).peer = 0; }},
      {"has peer 2; the others of 2 pipeline ranks are possible",
       [](auto &table) { instruction(table, 0, Opcode::send).peer = 2; }},
      {"is of no batch", [](auto &table) { instruction(table, 0, Opcode::send).batch = -1; }},
      {"names a chunk that is not there",
       [](auto &table) { instruction(table, 0, Opcode::launch).chunk = 4; }},
      {"names event 4; there are 4",
       [](auto &table) { instruction(table, 0, Opcode::wait).event = 4; }},
      {"names a stream that is not there",
       [](auto &table) { instruction(table, 0, Opcode::launch).stream = 3; }},
      {"takes its rows from a buffer that is not there",
       [](auto &table) { instruction(table, 0, Opcode::launch).counts = 99; }},
      {"what it takes its rows from is f32 [4, 16]; expected i64 [2, 3]",
       [](auto &table) { instruction(table, 0, Opcode::launch).counts = 0; }},
      {"works on counted rows without counts",
       [](auto &table) {
         bundle::InstructionT &zero = *table.programs[0]->instructions[1];
         zero.opcode = Opcode::launch;
         zero.component = 4;
       }},
  });
}

/// Turns the first instruction into another.
std::function<void(bundle::BundleT &)> becomes(Opcode opcode, std::vector<std::uint32_t> operands,
                                               std::vector<std::uint32_t> parameters = {}) {
  return [=](bundle::BundleT &table) {
    bundle::InstructionT &first = *table.programs[0]->instructions[0];
    first.opcode = opcode;
    first.operands = operands;
    first.parameters = parameters;
    first.group = 0;
  };
}

TEST(VerifyTable, Instructions) {
  auto sum = [](std::vector<bundle::Term> terms) {
    return [=](bundle::BundleT &table) {
      becomes(Opcode::reduce_scatter, {1, 0}, {0})(table);
      table.programs[0]->buffers[0]->shard_group = 0;
      for (auto &storage : table.storages)
        storage->bytes = std::max<std::uint64_t>(storage->bytes, 1024);
      table.programs[0]->instructions[0]->terms = terms;
    };
  };
  expectRefused({
      {"copies f32 [4, 16] to f32 [2, 2]",
       [](auto &table) {
         becomes(Opcode::copy, {0, 1})(table);
         table.programs[0]->buffers[1]->shape = {2, 2};
       }},
      {"what it sends is f32 [4, 16]; expected i64 [2, 2]",
       becomes(Opcode::exchange_counts, {0, 1})},
      {"takes pairs of buffers, send_offsets, send_token and received",
       becomes(Opcode::scatter_rows, {0, 1, 2, 3})},
      {"moves rows that are not sent to a buffer of received rows",
       becomes(Opcode::scatter_rows, {0, 1, 2, 3, 4})},
      {"takes buffer w0, whose rows are not counted", becomes(Opcode::free, {0})},
      {"allocates without counts",
       [](auto &table) {
         becomes(Opcode::allocate, {0})(table);
         table.programs[0]->buffers[0]->rows = bundle::RowCount::received;
       }},
      {"takes accumulators, a shard and a parameter", becomes(Opcode::reduce_scatter, {0, 1})},
      {"sums into buffer x0, which is no shard of its group",
       [](auto &table) {
         becomes(Opcode::reduce_scatter, {0, 1}, {0})(table);
         table.programs[0]->instructions[0]->terms = {bundle::Term(0, 0, 0)};
         table.programs[0]->buffers[1]->shape = {4, 15}; // 64 elements could be parked
       }},
      {"adds buffer x0, which is no window of its tensor",
       [=](auto &table) {
         sum({bundle::Term(0, kParkedTerm, 0)})(table);
         table.programs[0]->buffers[1]->shape = {4, 15};
       }},
      {"sums a parked window that is not there", sum({bundle::Term(0, kParkedTerm, 1)})},
      {"sums a parked window that is not there",
       sum({bundle::Term(0, kParkedTerm, 0), bundle::Term(0, kParkedTerm, 0)})},
      {"sums an accumulator that is not there",
       sum({bundle::Term(0, kParkedTerm, 0), bundle::Term(0, 0, 0)})},
      {"sums nothing", sum({})},
      {"sums over a rank that is not there", sum({bundle::Term(0, 2, 0)})},
      {"has sums that are out of order", sum({bundle::Term(1, 0, 0)})},
      {"sums an accumulator that is not there", sum({bundle::Term(0, 0, 1)})},
      {"names a parameter that is not there", becomes(Opcode::all_gather, {0}, {1})},
      {"takes one buffer and a parameter", becomes(Opcode::all_gather, {0})},
      {"is of a group that does not hold its rank",
       [](auto &table) {
         becomes(Opcode::all_gather, {0}, {0})(table);
         table.groups[0]->pipeline_ranks = {1};
         table.roles.clear();
       }},
      {"takes blocks with a parameter and a group each, and a total",
       becomes(Opcode::total_squares, {0, 1})},
      {"takes one buffer of i64", becomes(Opcode::all_reduce, {0})},
      {"has an opcode this program does not know", becomes(Opcode(99), {0})},
  });
}

} // namespace
