// SPDX-License-Identifier: Apache-2.0
//
// See BundleMaker.h.

#include "test/unit/runtime/BundleMaker.h"

#include "gtest/gtest.h"

namespace hadal::rt {

using bundle::Access;
using bundle::Opcode;
using bundle::StorageKind;

static std::uint64_t bytesOf(const std::vector<std::int64_t> &shape, bundle::DType dtype) {
  std::uint64_t bytes = dtype == bundle::DType::i64 || dtype == bundle::DType::f64 ? 8 : 4;
  for (std::int64_t size : shape)
    bytes *= std::uint64_t(size);
  return bytes;
}

ProgramMaker::ProgramMaker(bundle::BundleT &table, const std::string &name, std::uint32_t rank)
    : table(table) {
  auto program = std::make_unique<bundle::ProgramT>();
  program->name = name;
  program->rank = rank;
  program->streams = {"compute", "experts", "pipeline"};
  made = program.get();
  table.programs.push_back(std::move(program));
  arenaStorage = storageOf(name + "." + std::to_string(rank) + ".arena", StorageKind::arena, 0);
}

std::uint32_t ProgramMaker::storageOf(const std::string &name, StorageKind kind,
                                      std::uint64_t bytes) {
  for (std::uint32_t i = 0; i < table.storages.size(); ++i)
    if (table.storages[i]->name == name && table.storages[i]->kind == kind)
      return i;
  auto storage = std::make_unique<bundle::StorageT>();
  storage->name = name;
  storage->kind = kind;
  storage->bytes = bytes;
  table.storages.push_back(std::move(storage));
  return std::uint32_t(table.storages.size() - 1);
}

static std::unique_ptr<bundle::BufferT>
bufferOf(const std::string &name, std::vector<std::int64_t> shape, bundle::DType dtype) {
  auto buffer = std::make_unique<bundle::BufferT>();
  buffer->name = name;
  buffer->shape = std::move(shape);
  buffer->dtype = dtype;
  return buffer;
}

std::uint32_t ProgramMaker::buffer(const std::string &name, StorageKind kind,
                                   std::vector<std::int64_t> shape, bundle::DType dtype) {
  auto buffer = bufferOf(name, shape, dtype);
  buffer->storage = storageOf(name, kind, bytesOf(shape, dtype));
  made->buffers.push_back(std::move(buffer));
  return std::uint32_t(made->buffers.size() - 1);
}

std::uint32_t ProgramMaker::arena(const std::string &name, std::vector<std::int64_t> shape,
                                  bundle::DType dtype) {
  auto buffer = bufferOf(name, shape, dtype);
  bundle::StorageT &storage = *table.storages[arenaStorage];
  buffer->storage = arenaStorage;
  buffer->offset = storage.bytes;
  storage.bytes += (bytesOf(shape, dtype) + 63) / 64 * 64;
  made->buffers.push_back(std::move(buffer));
  return std::uint32_t(made->buffers.size() - 1);
}

std::uint32_t ProgramMaker::rows(const std::string &name, bundle::RowCount count,
                                 std::int64_t most) {
  auto buffer = bufferOf(name, {most, 16}, bundle::DType::f32);
  buffer->rows = count;
  made->buffers.push_back(std::move(buffer));
  return std::uint32_t(made->buffers.size() - 1);
}

bundle::InstructionT &ProgramMaker::add(Opcode opcode, std::uint32_t stream,
                                        std::vector<std::uint32_t> operands) {
  auto instruction = std::make_unique<bundle::InstructionT>();
  instruction->opcode = opcode;
  instruction->stream = stream;
  instruction->operands = std::move(operands);
  made->instructions.push_back(std::move(instruction));
  return *made->instructions.back();
}

bundle::InstructionT &ProgramMaker::launch(const std::string &component,
                                           std::vector<std::uint32_t> operands,
                                           const std::string &phase, int layer, int microBatch) {
  bundle::InstructionT &instruction = add(Opcode::launch, kCompute, std::move(operands));
  for (std::uint32_t i = 0; i < table.components.size(); ++i)
    if (table.components[i]->name == component)
      instruction.component = i;
  instruction.phase = phase;
  instruction.layer = layer;
  instruction.micro_batch = microBatch;
  return instruction;
}

bundle::InstructionT &ProgramMaker::transfer(bool send, std::uint32_t buffer, int peer, int batch) {
  bundle::InstructionT &instruction =
      add(send ? Opcode::send : Opcode::receive, kPipeline, {buffer});
  instruction.peer = peer;
  instruction.batch = batch;
  return instruction;
}

std::uint32_t ProgramMaker::order(std::uint32_t from, std::uint32_t to) {
  const std::uint32_t event = made->events++;
  add(Opcode::record, from).event = event;
  add(Opcode::wait, to).event = event;
  return event;
}

void addComponent(bundle::BundleT &table, const std::string &name, std::vector<Access> access) {
  auto component = std::make_unique<bundle::ComponentT>();
  component->name = name;
  component->operands = std::uint32_t(access.size());
  component->access = std::move(access);
  table.components.push_back(std::move(component));
}

std::unique_ptr<bundle::BundleT> emptyTable(int pipelineRanks) {
  auto table = std::make_unique<bundle::BundleT>();
  table->target = table->cpu = "cpu";
  table->config_json = table->plan_json = "{}";
  table->model = std::make_unique<bundle::ModelT>();
  table->model->vocab_size = 16;
  table->model->experts = 8;
  table->model->top_k = 2;
  table->training = std::make_unique<bundle::TrainingT>();
  bundle::TrainingT &training = *table->training;
  training.sequences = training.tokens = 4;
  training.micro_batches = 2;
  training.pipeline_ranks = pipelineRanks;
  training.data_parallel = 2;
  training.expert_parallel = 2;
  training.schedule = "1f1b";
  auto parameter = std::make_unique<bundle::ParameterT>();
  parameter->name = "weight";
  parameter->shape = {4, 16};
  auto storage = std::make_unique<bundle::StorageT>();
  storage->name = "weight";
  storage->kind = StorageKind::parameter;
  storage->bytes = 256;
  table->storages.push_back(std::move(storage));
  table->parameters.push_back(std::move(parameter));
  const Access read = Access::read, write = Access::write;
  addComponent(*table, "block_F", {read, write, write});
  addComponent(*table, "block_B", {read, read, write, write});
  addComponent(*table, "block_W", {read, Access::update});
  addComponent(*table, "use", {read});
  addComponent(*table, "make", {write});
  return table;
}

/// Names of what a micro-batch has on a rank.
struct MicroBatch {
  std::uint32_t x, y, saved, dy, dx, stash;
};

static MicroBatch addMicroBatch(ProgramMaker &maker, int m) {
  auto make = [&](const char *name) { return maker.arena(name + std::to_string(m)); };
  return {make("x"), make("y"), make("saved"), make("dy"), make("dx"), make("stash")};
}

static std::uint32_t chunk(ProgramMaker &maker, const std::string &name) {
  maker.program().chunks.push_back(name);
  return std::uint32_t(maker.program().chunks.size() - 1);
}

static void forward(ProgramMaker &maker, const MicroBatch &of, int layer, int m) {
  const int at = int(chunk(maker, "F0." + std::to_string(m)));
  maker.launch("block_F", {of.x, of.y, of.saved}, "F", layer, m).chunk = at;
}

static void backward(ProgramMaker &maker, const MicroBatch &of, std::uint32_t accumulator,
                     int layer, int m) {
  const int at = int(chunk(maker, "B0." + std::to_string(m)));
  maker.launch("block_B", {of.dy, of.saved, of.dx, of.stash}, "B", layer, m).chunk = at;
  maker.launch("block_W", {of.stash, accumulator}, "W", layer, m).chunk = at;
}

/// Begins: zeroes, makes the inputs of both micro-batches where the rank has them.
static std::uint32_t start(ProgramMaker &maker, const std::string &weight) {
  const std::uint32_t accumulator = maker.buffer(weight, StorageKind::gradient);
  maker.add(Opcode::zero, kCompute, {accumulator});
  return accumulator;
}

static void firstRank(bundle::BundleT &table, bool serial) {
  ProgramMaker maker(table, "gradients", 0);
  const std::uint32_t accumulator = start(maker, "w0");
  const MicroBatch a = addMicroBatch(maker, 0), b = addMicroBatch(maker, 1);
  maker.launch("make", {a.x});
  maker.launch("make", {b.x});
  forward(maker, a, 0, 0);
  maker.order(kCompute, kPipeline);
  maker.transfer(true, a.y, 1, 0);
  if (serial) {
    maker.transfer(false, a.dy, 1, 1);
    maker.order(kPipeline, kCompute);
    backward(maker, a, accumulator, 0, 0);
  }
  forward(maker, b, 0, 1);
  maker.order(kCompute, kPipeline);
  maker.transfer(true, b.y, 1, 2);
  if (!serial) {
    maker.transfer(false, a.dy, 1, 2);
    maker.order(kPipeline, kCompute);
    backward(maker, a, accumulator, 0, 0);
  }
  maker.transfer(false, b.dy, 1, 3);
  maker.order(kPipeline, kCompute);
  backward(maker, b, accumulator, 0, 1);
}

static void lastRank(bundle::BundleT &table) {
  ProgramMaker maker(table, "gradients", 1);
  const std::uint32_t accumulator = start(maker, "w1");
  const MicroBatch a = addMicroBatch(maker, 0), b = addMicroBatch(maker, 1);
  maker.transfer(false, a.x, 0, 0);
  maker.order(kPipeline, kCompute);
  forward(maker, a, 1, 0);
  maker.launch("make", {a.dy});
  backward(maker, a, accumulator, 1, 0);
  maker.order(kCompute, kPipeline);
  maker.transfer(true, a.dx, 0, 1);
  maker.transfer(false, b.x, 0, 1);
  maker.order(kPipeline, kCompute);
  forward(maker, b, 1, 1);
  maker.launch("make", {b.dy});
  backward(maker, b, accumulator, 1, 1);
  maker.order(kCompute, kPipeline);
  maker.transfer(true, b.dx, 0, 2);
}

std::unique_ptr<bundle::BundleT> trainingTable(bool serial) {
  auto table = emptyTable();
  firstRank(*table, serial);
  lastRank(*table);
  return table;
}

Validation proofOf(const bundle::BundleT &table) {
  return packed(table, [](const bundle::Bundle &packed) { return validate(packed); });
}

std::string errorOf(const bundle::BundleT &table) { return proofOf(table).error; }

std::size_t find(const bundle::ProgramT &program, Opcode opcode, int n) {
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    if (program.instructions[i]->opcode == opcode && n-- == 0)
      return i;
  ADD_FAILURE() << "no such instruction: " << bundle::EnumNameOpcode(opcode);
  return 0;
}

} // namespace hadal::rt
