// SPDX-License-Identifier: Apache-2.0
//
// See Executor.h: what is resolved before a program runs.

#include "runtime/program/Executor.h"
#include "runtime/program/Layout.h"
#include "runtime/program/Terms.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace hadal::rt {

using bundle::Opcode;
using bundle::RowCount;

Executor::Executor(Store &store, ThreadPool &pool, const std::string &name, const RankLinks &links)
    : store(store), bundle(store.bundle()), pool(pool), links(links),
      grid(std::make_unique<const RankGrid>(bundle.training())),
      program(bundle.program(name, std::uint32_t(grid->place(links.rank()).pipelineRank))) {
  if (links.transport && links.size() != grid->ranks())
    throw InputError(bundle.path(), "is made for " + std::to_string(grid->ranks()) +
                                        " ranks, found " + std::to_string(links.size()));
  experts = grid->expertGroup(links.rank());
  prepareBuffers();
  prepareMemory();
  prepareStreams();
}

Executor::~Executor() {
  for (std::uint32_t i = 0; i < buffers.size(); ++i)
    if (live[i] >= 0)
      store.rows().free(buffers[i].data); // a run that failed left it
}

RowCount Executor::rowsOf(std::uint32_t buffer) const {
  return program.buffers()->Get(buffer)->rows();
}

const bundle::Group &Executor::groupOf(std::int64_t index) const {
  if (index < 0 || index >= std::int64_t(countOf(bundle.table().groups())))
    throw InputError(bundle.path(), "program " + program.name()->str() + " names group " +
                                        std::to_string(index) + "; there are " +
                                        std::to_string(countOf(bundle.table().groups())));
  return *bundle.table().groups()->Get(std::uint32_t(index));
}

void Executor::prepareBuffers() {
  for (std::uint32_t i = 0; i < countOf(program.buffers()); ++i) {
    const bundle::Buffer &buffer = *program.buffers()->Get(i);
    View view;
    view.dtype = buffer.dtype();
    for (std::uint32_t d = 0; d < countOf(buffer.shape()); ++d)
      view.shape.push_back(buffer.shape()->Get(d));
    view.elements = elementsOf(buffer.shape());
    if (buffer.rows() == RowCount::fixed) {
      view.data = store.at(buffer.storage()) + buffer.offset();
      if (buffer.shard_group() >= 0) {
        const int position = grid->position(groupOf(buffer.shard_group()), links.rank());
        if (position < 0)
          throw InputError(bundle.path(), "buffer " + buffer.name()->str() +
                                              ": is a shard of a group without this rank");
        view.data += view.bytes() * position;
      }
      views.emplace(buffer.name()->str(), view);
    }
    buffers.push_back(std::move(view));
  }
  live.assign(buffers.size(), -1);
}

void Executor::prepareMemory() {
  const bundle::Bundle &table = bundle.table();
  std::uint64_t frameBytes = 0, scratchBytes = 64;
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == Opcode::launch)
      frameBytes =
          std::max(frameBytes, table.components()->Get(instruction.component())->frame_bytes());
  }
  for (std::uint32_t i = 0; i < countOf(table.kernels()); ++i) {
    scratchBytes = std::max(scratchBytes, table.kernels()->Get(i)->scratch_bytes());
    times.push_back({table.kernels()->Get(i)->symbol()->str(), 0, 0});
  }
  frame = Memory(frameBytes + 64);
  store.memory().add(MemoryUse::Activations, frame.size());
  for (int thread = 0; thread < pool.threads(); ++thread)
    scratch.emplace_back(scratchBytes);
}

void Executor::prepareStreams() {
  const std::uint32_t names = std::max<std::uint32_t>(1, countOf(program.streams()));
  std::vector<std::unique_ptr<Stream>> all;
  for (std::uint32_t i = 0; i < names; ++i) {
    all.push_back(std::make_unique<Stream>(store.memory()));
    all.back()->number = i;
    if (links.progress && int(i) < RankProgress::kStreams)
      all.back()->progress = &links.progress->stream(int(i));
  }
  // Only waits for another stream's events are waits.
  std::vector<std::int64_t> recorder(program.events(), -1);
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == Opcode::record)
      recorder.at(instruction.event()) = instruction.stream();
  }
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i) {
    const bundle::Instruction &instruction = *program.instructions()->Get(i);
    if (instruction.opcode() == Opcode::wait &&
        recorder.at(instruction.event()) == std::int64_t(instruction.stream()))
      continue;
    prepareStep(*all.at(instruction.stream()), i);
  }
  for (std::unique_ptr<Stream> &stream : all)
    if (stream->number == 0 || !stream->steps.empty())
      streams.push_back(std::move(stream));
  if (std::count_if(streams.begin(), streams.end(), [](const auto &s) { return s->launches; }) > 1)
    throw InputError(bundle.path(), "program " + program.name()->str() +
                                        ": launches on several streams; supported is one");
  if (streams.size() == 1) {
    std::vector<Step> &steps = streams[0]->steps;
    steps.erase(std::remove_if(steps.begin(), steps.end(),
                               [](const Step &step) { return step.kind == Step::Record; }),
                steps.end());
  }
  events = std::make_unique<Events>(program.events());
}

void Executor::requireLinks(std::uint32_t index) const {
  if (!links.transport)
    throw InputError(bundle.path(), instructionAt(index) +
                                        ": is for several ranks; start them with "
                                        "--local-ranks or mpirun");
}

void Executor::prepareStep(Stream &stream, std::uint32_t index) {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  Step step{Step::Zero, index};
  switch (instruction.opcode()) {
  case Opcode::launch:
    stream.launches = true;
    stream.steps.push_back(prepareLaunch(instruction, index));
    return;
  case Opcode::zero:
    break;
  case Opcode::copy:
    step.kind = Step::Copy;
    if (buffers[instruction.operands()->Get(0)].bytes() !=
        buffers[instruction.operands()->Get(1)].bytes())
      throw InputError(bundle.path(),
                       instructionAt(index) + ": copies between buffers of different sizes");
    break;
  case Opcode::record:
    step.kind = Step::Record;
    break;
  case Opcode::wait:
    step.kind = Step::Wait;
    break;
  case Opcode::allocate:
    step.kind = Step::Allocate;
    break;
  case Opcode::free:
    step.kind = Step::Free;
    break;
  case Opcode::send:
  case Opcode::receive:
    requireLinks(index);
    prepareMessage(stream, index);
    return;
  case Opcode::exchange_counts:
    requireLinks(index);
    step.kind = Step::ExchangeCounts;
    break;
  case Opcode::scatter_rows:
    requireLinks(index);
    step.kind = Step::ScatterRows;
    break;
  case Opcode::gather_rows:
    requireLinks(index);
    step.kind = Step::GatherRows;
    break;
  case Opcode::reduce_scatter:
    requireLinks(index);
    step = prepareSum(instruction, index);
    break;
  case Opcode::all_gather:
    requireLinks(index);
    step = prepareSum(instruction, index);
    step.kind = Step::AllGather;
    break;
  case Opcode::total_squares:
    requireLinks(index);
    step = prepareSquares(instruction, index);
    break;
  case Opcode::all_reduce:
    requireLinks(index);
    step = prepareSum(instruction, index);
    step.kind = Step::AllReduce;
    break;
  default:
    throw InputError(bundle.path(), instructionAt(index) + ": is of an opcode that is not known");
  }
  stream.steps.push_back(step);
}

/// A pointer that routing moves: a buffer or temporary of rows.
bool Executor::patchFor(const bundle::Slot &slot, const bundle::Instruction &instruction,
                        const bundle::Component &component, Patch &patch) const {
  patch.temporary = slot.temporary();
  if (slot.temporary()) {
    patch.index = slot.index();
    return countOf(component.temporary_rows()) > slot.index() &&
           component.temporary_rows()->Get(slot.index()) != RowCount::fixed;
  }
  patch.index = instruction.operands()->Get(slot.index());
  return rowsOf(patch.index) != RowCount::fixed;
}

Executor::Step Executor::prepareLaunch(const bundle::Instruction &instruction,
                                       std::uint32_t index) {
  const bundle::Component &component = *bundle.table().components()->Get(instruction.component());
  Step step{Step::Calls, index, calls.size(), countOf(component.calls())};
  totalFlops += component.flops();
  RowsLaunch rows{&component, instruction.counts(), {}};
  bool dynamic = instruction.counts() >= 0;
  for (std::uint32_t c = 0; c < step.count; ++c) {
    const bundle::KernelCall &call = *component.calls()->Get(c);
    calls.push_back({call.kernel(), call.grid(), pointers.size(), sizes.size()});
    for (std::uint32_t s = 0; s < countOf(call.slots()); ++s) {
      const bundle::Slot *slot = call.slots()->Get(s);
      Patch patch{pointers.size(), false, 0};
      if (patchFor(*slot, instruction, component, patch)) {
        rows.patches.push_back(patch);
        pointers.push_back(nullptr);
        continue;
      }
      pointers.push_back(slot->temporary()
                             ? frame.data() + component.temporary_offsets()->Get(slot->index())
                             : buffers[instruction.operands()->Get(slot->index())].data);
    }
    for (std::uint32_t s = 0; s < countOf(call.sizes()); ++s)
      sizes.push_back(call.sizes()->Get(s));
    if (call.rows() != RowCount::fixed && instruction.counts() < 0)
      throw InputError(bundle.path(),
                       instructionAt(index) + ": works on routed rows without counts");
  }
  if (dynamic || !rows.patches.empty()) {
    step.kind = Step::RowCalls;
    step.plan = rowsLaunches.size();
    rowsLaunches.push_back(std::move(rows));
  }
  return step;
}

/// Those that follow each other on a stream with one batch number are posted together.
void Executor::prepareMessage(Stream &stream, std::uint32_t index) {
  const bundle::Instruction &instruction = *program.instructions()->Get(index);
  if (instruction.peer() < 0 || instruction.peer() >= grid->pipelineRanks)
    throw InputError(bundle.path(), instructionAt(index) + ": there is no pipeline rank " +
                                        std::to_string(instruction.peer()));
  const bool joins = !stream.steps.empty() && stream.steps.back().kind == Step::Messages &&
                     instruction.batch() >= 0 &&
                     program.instructions()->Get(stream.steps.back().instruction)->batch() ==
                         instruction.batch() &&
                     stream.steps.back().first + stream.steps.back().count == messages.size();
  if (!joins)
    stream.steps.push_back({Step::Messages, index, messages.size(), 0});
  messages.push_back({instruction.opcode() == Opcode::send,
                      grid->rankOf(instruction.peer(), grid->place(links.rank()).replica),
                      instruction.operands()->Get(0), index});
  ++stream.steps.back().count;
}

Executor::Step Executor::prepareSum(const bundle::Instruction &instruction, std::uint32_t index) {
  Step step{Step::ReduceScatter, index, 0, 0, sums.size()};
  const bundle::Group &group = groupOf(instruction.group());
  ShardedSum sum;
  sum.members = grid->members(group, links.rank());
  if (grid->position(group, links.rank()) < 0)
    throw InputError(bundle.path(), instructionAt(index) + ": its group has other ranks only");
  const bool scatters = instruction.opcode() == Opcode::reduce_scatter;
  const std::uint32_t accumulators = scatters ? accumulatorsOf(instruction) : 1;
  sum.elements = accumulators
                     ? buffers[instruction.operands()->Get(0)].elements
                     : heldElements(bundle.table(), group, instruction.parameters()->Get(0));
  sum.window = windowOf(sum.elements, std::int64_t(sum.members.size()));
  const std::size_t replicas =
      sum.members.size() / std::max<std::size_t>(1, countOf(group.pipeline_ranks()));
  for (std::uint32_t t = 0; t < countOf(instruction.terms()); ++t) {
    const bundle::Term &term = *instruction.terms()->Get(t);
    const bool parked = term.rank() == kParkedTerm;
    if ((!parked && term.rank() >= countOf(group.pipeline_ranks())) || term.sum() > sum.sums.size())
      throw InputError(bundle.path(), instructionAt(index) + ": a term of its sum is out of range");
    if (term.sum() == sum.sums.size())
      sum.sums.emplace_back();
    if (parked) {
      sum.sums[term.sum()].push_back({{}, term.slot()});
      continue;
    }
    const auto first = sum.members.begin() + std::ptrdiff_t(term.rank() * replicas);
    sum.sums[term.sum()].push_back(
        {std::vector<int>(first, first + std::ptrdiff_t(replicas)), term.slot()});
  }
  sums.push_back(std::move(sum));
  return step;
}

/// The n-th total_squares of a program.
static const bundle::Instruction *squaresOf(const bundle::Program &program, std::uint32_t n) {
  for (std::uint32_t i = 0; i < countOf(program.instructions()); ++i)
    if (program.instructions()->Get(i)->opcode() == Opcode::total_squares && n-- == 0)
      return program.instructions()->Get(i);
  return nullptr;
}

/// On rank 0: who sends which blocks, in the order in which they are added.
Executor::Step Executor::prepareSquares(const bundle::Instruction &, std::uint32_t index) {
  Step step{Step::TotalSquares, index, 0, 0, squares.size()};
  squares.emplace_back();
  if (links.rank() != 0)
    return step;
  const auto before = std::uint32_t(std::count_if(
      program.instructions()->begin(), program.instructions()->begin() + index,
      [](const bundle::Instruction *i) { return i->opcode() == Opcode::total_squares; }));
  // Parameter, member, position.
  std::vector<std::tuple<std::uint32_t, int, int, OrderedPart>> parts;
  for (int rank = 0; rank < grid->ranks(); ++rank) {
    const RankPlace place = grid->place(rank);
    const bundle::Program &other =
        bundle.program(program.name()->str(), std::uint32_t(place.pipelineRank));
    const bundle::Instruction *instruction = squaresOf(other, before);
    if (!instruction)
      continue;
    std::int64_t offset = 0;
    for (std::uint32_t i = 0; i + 1 < countOf(instruction->operands()); ++i) {
      const bundle::Buffer &blocks = *other.buffers()->Get(instruction->operands()->Get(i));
      const bundle::Group &group = groupOf(instruction->groups()->Get(i));
      const bool experts = group.scope() == bundle::GroupScope::expert_holders;
      const std::int64_t count = elementsOf(blocks.shape());
      parts.emplace_back(instruction->parameters()->Get(i), experts ? place.member : 0,
                         grid->position(group, rank), OrderedPart{rank, offset, count});
      offset += count;
    }
  }
  std::sort(parts.begin(), parts.end(), [](const auto &a, const auto &b) {
    return std::tie(std::get<0>(a), std::get<1>(a), std::get<2>(a)) <
           std::tie(std::get<0>(b), std::get<1>(b), std::get<2>(b));
  });
  for (const auto &part : parts)
    squares.back().push_back(std::get<3>(part));
  return step;
}

} // namespace hadal::rt
