// SPDX-License-Identifier: Apache-2.0
//
// See Program.h: from a bundle's programs to streams of the engine, and what came of it.

#include "runtime/simulate/Program.h"

#include "runtime/program/RowMemory.h"
#include "runtime/program/Terms.h"
#include "runtime/support/Error.h"

#include <algorithm>

namespace hadal::rt {

/// A program of a role while it is added.
struct ProgramRun::Part {
  std::uint32_t role, number;
  const bundle::Program &program;
  std::map<std::uint32_t, ExchangeRows> rows, most; // by counts buffer
  std::map<std::uint32_t, Engine::Id> events;
};

static bool moves(bundle::Opcode opcode) {
  return opcode == bundle::Opcode::send || opcode == bundle::Opcode::receive;
}

static bool isExchangeOfRows(bundle::Opcode opcode) {
  return opcode == bundle::Opcode::scatter_rows || opcode == bundle::Opcode::gather_rows;
}

ProgramRun::ProgramRun(const bundle::Bundle &table, const Costs &costs, int ranksPerNode)
    : table(table), costs(costs), perNode(std::max(1, ranksPerNode)),
      replicas(std::max<std::int64_t>(1, table.training()->data_parallel())),
      members(std::max<std::int64_t>(1, table.training()->expert_parallel())),
      streams(std::size_t(std::max<std::int64_t>(1, table.training()->pipeline_ranks()))),
      streamNames(streams.size()) {
  for (const char *name : {"gradients", "update"}) {
    std::size_t found = 0;
    for (std::uint32_t i = 0; i < sizeOf(table.programs()); ++i)
      if (const bundle::Program &program = *table.programs()->Get(i);
          program.name()->str() == name && program.rank() < streams.size()) {
        add(program.rank(), program);
        ++found;
      }
    if (found != streams.size())
      throw InputError("simulate", std::string("the bundle has no program ") + name +
                                       " for every rank; simulated is a training step");
    for (std::uint32_t role = 0; role < streams.size(); ++role)
      join(role);
  }
  run();
  measure();
}

void ProgramRun::add(std::uint32_t role, const bundle::Program &program) {
  Part part{role, std::uint32_t(programs.size()), program, {}, {}, {}};
  programs.push_back(&program);
  for (std::uint32_t s = std::uint32_t(streams[role].size()); s < sizeOf(program.streams()); ++s) {
    streamNames[role].push_back(program.streams()->Get(s)->str());
    streams[role].push_back(engine.addStream(int(role), streamNames[role].back()));
  }
  auto balanced = [this](const bundle::Instruction &, const ExchangeRows &most) {
    return balancedRows(table, most);
  };
  part.rows = RowMemory(table, program, balanced).rowsByCounts();
  part.most = RowMemory(table, program, nullptr).rowsByCounts();
  for (std::uint32_t i = 0; i < sizeOf(program.instructions()); ++i)
    if (moves(program.instructions()->Get(i)->opcode()))
      addBatch(part, i);
    else
      addInstruction(part, i);
}

/// A batch is added with its first transfer.
void ProgramRun::addBatch(Part &part, std::uint32_t index) {
  const auto &list = *part.program.instructions();
  const bundle::Instruction &first = *list.Get(index);
  auto inBatch = [&](const bundle::Instruction &other) {
    return moves(other.opcode()) && other.stream() == first.stream() &&
           other.batch() == first.batch();
  };
  // Transfers of a batch follow each other on their stream.
  for (std::uint32_t i = index; i-- > 0;)
    if (list.Get(i)->stream() == first.stream()) {
      if (inBatch(*list.Get(i)))
        return;
      break;
    }
  std::vector<Message> batch;
  for (std::uint32_t i = index; i < list.size(); ++i) {
    const bundle::Instruction &transfer = *list.Get(i);
    if (transfer.stream() != first.stream())
      continue;
    if (!inBatch(transfer))
      break;
    const double bytes = double(bytesOf(*part.program.buffers()->Get(transfer.operands()->Get(0))));
    const std::int64_t here = std::int64_t(part.role) * replicas,
                       there = std::int64_t(transfer.peer()) * replicas;
    Message message;
    message.send = transfer.opcode() == bundle::Opcode::send;
    message.peer = transfer.peer();
    message.what = std::uint64_t(bytes);
    message.duration = costs.message(bytes, sameNode(here, there));
    batch.push_back(message);
  }
  engine.transfer(streams[part.role][first.stream()], batch);
  double longest = 0;
  for (const Message &message : batch)
    longest = std::max(longest, message.duration);
  places.push_back({part.role, part.number, index, longest});
}

void ProgramRun::addInstruction(Part &part, std::uint32_t index) {
  const bundle::Instruction &instruction = *part.program.instructions()->Get(index);
  const Engine::Id stream = streams[part.role][instruction.stream()];
  auto event = [&] {
    auto [entry, added] = part.events.try_emplace(instruction.event(), Engine::none);
    if (added)
      entry->second = engine.addEvent();
    return entry->second;
  };
  auto bytes = [&](std::uint32_t operand) {
    return double(bytesOf(*part.program.buffers()->Get(instruction.operands()->Get(operand))));
  };
  double duration = 0; // allocate and free take no time
  switch (instruction.opcode()) {
  case bundle::Opcode::record:
    engine.record(stream, event());
    break;
  case bundle::Opcode::wait:
    engine.wait(stream, event());
    break;
  case bundle::Opcode::reduce_scatter:
  case bundle::Opcode::all_gather:
  case bundle::Opcode::all_reduce:
  case bundle::Opcode::total_squares:
    duration = addSum(part, instruction, stream);
    break;
  default:
    if (instruction.opcode() == bundle::Opcode::launch)
      duration = launchTime(part, instruction);
    else if (instruction.opcode() == bundle::Opcode::zero)
      duration = costs.move(bytes(0));
    else if (instruction.opcode() == bundle::Opcode::copy)
      duration = costs.move(2 * bytes(0));
    else if (instruction.opcode() == bundle::Opcode::exchange_counts)
      duration = members > 1 ? costs.message(bytes(0), sameNode(0, members - 1)) : 0;
    else if (isExchangeOfRows(instruction.opcode()))
      duration = exchangeTime(part, instruction);
    engine.work(stream, duration);
  }
  places.push_back({part.role, part.number, index, duration});
}

double ProgramRun::addSum(const Part &part, const bundle::Instruction &instruction,
                          Engine::Id stream) {
  std::vector<int> ranks;
  if (instruction.opcode() == bundle::Opcode::total_squares)
    for (std::size_t role = 0; role < streams.size(); ++role)
      ranks.push_back(int(role));
  else
    for (std::uint32_t rank :
         *table.groups()->Get(std::uint32_t(instruction.group()))->pipeline_ranks())
      ranks.push_back(int(rank));
  auto [group, added] = groups.try_emplace(ranks, Engine::none);
  if (added)
    group->second = engine.addGroup(ranks);
  const double duration = sumTime(part, instruction);
  engine.collective(stream, group->second, std::uint64_t(instruction.opcode()), duration);
  return duration;
}

double ProgramRun::launchTime(const Part &part, const bundle::Instruction &instruction) const {
  ExchangeRows rows, most;
  if (instruction.counts() >= 0) {
    if (auto found = part.rows.find(std::uint32_t(instruction.counts())); found != part.rows.end())
      rows = found->second;
    if (auto found = part.most.find(std::uint32_t(instruction.counts())); found != part.most.end())
      most = found->second;
  }
  const bundle::Training &training = *table.training();
  return costs.launch(*table.components()->Get(instruction.component()),
                      instruction.phase() ? instruction.phase()->str() : "",
                      double(training.sequences() * training.tokens()), rows, most,
                      isAlone(part.program, instruction));
}

bool ProgramRun::isAlone(const bundle::Program &program, const bundle::Instruction &instruction) {
  const std::int32_t chunk = instruction.chunk();
  return chunk < 0 || std::uint32_t(chunk) >= sizeOf(program.chunks()) ||
         program.chunks()->Get(std::uint32_t(chunk))->str().find('+') == std::string::npos;
}

bool ProgramRun::sameNode(std::int64_t rank, std::int64_t other) const {
  return rank / perNode == other / perNode;
}

/// Rows go to the members of the expert group, equally many to each.
double ProgramRun::exchangeTime(const Part &part, const bundle::Instruction &instruction) const {
  const std::uint32_t operands = sizeOf(instruction.operands());
  const bool scatter = instruction.opcode() == bundle::Opcode::scatter_rows;
  double row = 0;
  for (std::uint32_t i = 0; i < (operands - 3) / 2; ++i)
    row += double(rowBytes(*part.program.buffers()->Get(instruction.operands()->Get(i))));
  auto found = part.rows.find(instruction.operands()->Get(operands - 1));
  // What a rank sends and what it gets is the same in the mean.
  const double bytes = found == part.rows.end() ? 0 : row * double(found->second.received);
  std::int64_t near = 0, far = 0;
  const std::int64_t base = std::int64_t(part.role) * replicas;
  for (std::int64_t member = 1; member < members; ++member)
    ++(sameNode(base, base + member) ? near : far);
  const bundle::Training &training = *table.training();
  return costs.exchange(scatter, instruction.phase() ? instruction.phase()->str() : "F",
                        double(training.sequences() * training.tokens()),
                        bytes * double(near) / double(members),
                        bytes * double(far) / double(members), isAlone(part.program, instruction));
}

/// Every holder sends and gets all but its own share; what is parked stays.
double ProgramRun::sumTime(const Part &part, const bundle::Instruction &instruction) const {
  double bytes = 0;
  const bool squares = instruction.opcode() == bundle::Opcode::total_squares;
  const bool sums = squares || instruction.opcode() == bundle::Opcode::reduce_scatter;
  const std::uint32_t counted = sums ? accumulatorsOf(instruction) : 1;
  for (std::uint32_t i = 0; i < counted; ++i)
    bytes += double(bytesOf(*part.program.buffers()->Get(instruction.operands()->Get(i))));
  double holders = double(streams.size()) * double(replicas);
  if (!squares) {
    const bundle::Group &group = *table.groups()->Get(std::uint32_t(instruction.group()));
    holders = double(sizeOf(group.pipeline_ranks())) * double(replicas);
    if (group.scope() == bundle::GroupScope::expert_holders)
      holders /= double(members);
  }
  if (holders <= 1)
    return 0;
  const bool near = double(perNode) >= double(streams.size()) * double(replicas);
  return costs.message(bytes * (holders - 1) / holders, near);
}

/// A program ends when all its streams have.
void ProgramRun::join(std::uint32_t role) {
  for (std::size_t s = 1; s < streams[role].size(); ++s) {
    const Engine::Id ended = engine.addEvent();
    engine.record(streams[role][s], ended);
    engine.wait(streams[role][0], ended);
    places.insert(places.end(), 2, {role, 0, ~std::uint32_t(0), 0});
  }
}

void ProgramRun::run() {
  const Outcome outcome = engine.run();
  if (outcome.finished())
    return;
  Engine::Names names;
  names.instruction = [this](Engine::Id id) { return nameOf(id); };
  names.what = [](std::uint64_t what) { return std::to_string(what) + " bytes"; };
  throw RunError("the ranks of this bundle wait for ever:\n" + engine.explain(outcome, names));
}

const bundle::Instruction &ProgramRun::at(Engine::Id id) const {
  return *programs[places[id].program]->instructions()->Get(places[id].instruction);
}

std::string ProgramRun::nameOf(Engine::Id id) const {
  return places[id].instruction == ~std::uint32_t(0) ? "end of program"
                                                     : instructionName(table, at(id));
}

bool ProgramRun::isWork(Engine::Id id) const {
  return places[id].instruction != ~std::uint32_t(0) && takesTime(at(id).opcode());
}

std::string instructionName(const bundle::Bundle &table, const bundle::Instruction &instruction) {
  if (instruction.opcode() == bundle::Opcode::launch)
    return table.components()->Get(instruction.component())->name()->str();
  const bool forward = !instruction.phase() || instruction.phase()->str() != "B";
  if (instruction.opcode() == bundle::Opcode::scatter_rows)
    return forward ? "dispatch(F)" : "combine(B)";
  if (instruction.opcode() == bundle::Opcode::gather_rows)
    return forward ? "combine(F)" : "dispatch(B)";
  return moves(instruction.opcode()) ? "transfer" : bundle::EnumNameOpcode(instruction.opcode());
}

bool takesTime(bundle::Opcode opcode) {
  switch (opcode) {
  case bundle::Opcode::record:
  case bundle::Opcode::wait:
  case bundle::Opcode::allocate:
  case bundle::Opcode::free:
    return false;
  default:
    return true;
  }
}

std::unordered_map<const bundle::Instruction *, double>
ProgramRun::durations(std::uint32_t role) const {
  std::unordered_map<const bundle::Instruction *, double> found;
  for (Engine::Id id = 0; id < engine.instructions(); ++id)
    if (places[id].role == role && isWork(id))
      found[&at(id)] = places[id].duration;
  return found;
}

static bool computes(bundle::Opcode opcode) {
  return opcode == bundle::Opcode::launch || opcode == bundle::Opcode::zero ||
         opcode == bundle::Opcode::copy;
}

namespace {
struct Stretch {
  double start, end;
};
/// Total length of a union of stretches.
double lengthOf(std::vector<Stretch> stretches) {
  std::sort(stretches.begin(), stretches.end(),
            [](const Stretch &a, const Stretch &b) { return a.start < b.start; });
  double sum = 0, end = 0;
  for (const Stretch &stretch : stretches)
    if (stretch.end > end) {
      sum += stretch.end - std::max(stretch.start, end);
      end = stretch.end;
    }
  return sum;
}
} // namespace

void ProgramRun::measure() {
  std::vector<std::vector<Stretch>> work(streams.size()), any(streams.size());
  for (Engine::Id id = 0; id < engine.instructions(); ++id) {
    if (!isWork(id))
      continue;
    const Span &span = engine.span(id);
    any[places[id].role].push_back({span.start, span.end});
    if (computes(at(id).opcode()))
      work[places[id].role].push_back({span.start, span.end});
  }
  for (std::size_t role = 0; role < streams.size(); ++role) {
    RoleTimes found;
    found.busy = lengthOf(std::move(work[role]));
    found.exposed = lengthOf(std::move(any[role])) - found.busy;
    found.bubble = makespan() - found.busy - found.exposed;
    times.push_back(found);
  }
}

} // namespace hadal::rt
