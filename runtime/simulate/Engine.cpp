// SPDX-License-Identifier: Apache-2.0
//
// See Engine.h. Instructions are begun in the order of time, so whatever waits already was there
// no later than what arrives now.

#include "runtime/simulate/Engine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace hadal::rt {

static double checked(double duration) {
  if (!std::isfinite(duration) || duration < 0)
    throw std::invalid_argument("a duration of a simulation is negative or not finite");
  return duration;
}

// --- building ---------------------------------------------------------------------------------

Engine::Id Engine::addStream(int rank, std::string name) {
  all.push_back({rank, std::move(name), {}});
  return Id(all.size() - 1);
}

Engine::Id Engine::addEvent() {
  events.emplace_back();
  return Id(events.size() - 1);
}

Engine::Id Engine::addGroup(const std::vector<int> &ranks) {
  Group group;
  group.ranks = ranks;
  for (std::size_t place = 0; place < ranks.size(); ++place)
    if (!group.places.emplace(ranks[place], place).second)
      throw std::invalid_argument("a group of a simulation names a rank twice");
  group.arrived.resize(ranks.size());
  groups.push_back(std::move(group));
  return Id(groups.size() - 1);
}

Engine::Id Engine::append(Id stream, const Instruction &instruction) {
  if (ran)
    throw std::logic_error("a simulation that ran takes no more instructions");
  const Id id = Id(program.size());
  program.push_back(instruction);
  program.back().stream = stream;
  all.at(stream).list.push_back(id);
  return id;
}

Engine::Id Engine::work(Id stream, double duration) {
  Instruction instruction{};
  instruction.kind = Kind::Work;
  instruction.duration = checked(duration);
  return append(stream, instruction);
}

Engine::Id Engine::record(Id stream, Id event) {
  if (events.at(event).recorder != none)
    throw std::invalid_argument("an event of a simulation is recorded twice");
  Instruction instruction{};
  instruction.kind = Kind::Record;
  instruction.operand = event;
  return events[event].recorder = append(stream, instruction);
}

Engine::Id Engine::wait(Id stream, Id event) {
  if (event >= events.size())
    throw std::out_of_range("a wait of a simulation for an event that is not there");
  Instruction instruction{};
  instruction.kind = Kind::Wait;
  instruction.operand = event;
  return append(stream, instruction);
}

Engine::Id Engine::linkOf(int from, int to, std::uint32_t channel) {
  auto [entry, fresh] = linkIds.try_emplace({from, to, channel}, Id(links.size()));
  if (fresh)
    links.push_back({from, to, {}});
  return entry->second;
}

Engine::Id Engine::transfer(Id stream, const std::vector<Message> &batch) {
  Instruction instruction{};
  instruction.kind = Kind::Transfer;
  instruction.operand = Id(messages.size());
  instruction.count = instruction.open = Id(batch.size());
  const int rank = all.at(stream).rank;
  for (const Message &message : batch)
    messages.push_back({message.what, checked(message.duration),
                        message.send ? linkOf(rank, message.peer, message.channel)
                                     : linkOf(message.peer, rank, message.channel),
                        message.send, message.send && message.eager, false});
  return append(stream, instruction);
}

Engine::Id Engine::collective(Id stream, Id group, std::uint64_t what, double duration) {
  if (!groups.at(group).places.count(all.at(stream).rank))
    throw std::invalid_argument("a collective of a simulation on a rank outside its group");
  Instruction instruction{};
  instruction.kind = Kind::Collective;
  instruction.operand = group;
  instruction.what = what;
  instruction.duration = checked(duration);
  return append(stream, instruction);
}

// --- running ----------------------------------------------------------------------------------

void Engine::push(double time, Id stream) {
  heap.push_back({time, stream});
  std::push_heap(heap.begin(), heap.end(), std::greater<Ready>());
}

Outcome Engine::run() {
  if (ran)
    throw std::logic_error("a simulation runs once");
  ran = true;
  spans.resize(program.size());
  for (Id stream = 0; stream < all.size(); ++stream)
    push(0, stream);
  while (!heap.empty() && mismatch.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<Ready>());
    const Ready next = heap.back();
    heap.pop_back();
    advance(next.stream, next.time);
  }
  Outcome outcome;
  outcome.mismatch = mismatch;
  if (mismatch.empty())
    for (Id stream = 0; stream < all.size(); ++stream)
      if (all[stream].next < all[stream].list.size())
        outcome.blocked.push_back(obstacles(stream));
  return outcome;
}

/// Goes on until the stream stands still, ends, or another one comes first in time.
void Engine::advance(Id stream, double now) {
  Stream &self = all[stream];
  while (self.next < self.list.size()) {
    const Id id = self.list[self.next];
    spans[id] = {now, now, now};
    if (!begin(id, now) || !mismatch.empty())
      return;
    ++self.next;
    now = spans[id].end;
    if (!heap.empty() && Ready{now, stream} > heap.front())
      return push(now, stream);
  }
}

bool Engine::begin(Id id, double now) {
  const Instruction &instruction = program[id];
  switch (instruction.kind) {
  case Kind::Work:
    spans[id].end = now + instruction.duration;
    return true;
  case Kind::Record: {
    Event &event = events[instruction.operand];
    event.recorded = true;
    for (Id waiter : event.waiters)
      release(waiter, now, now);
    event.waiters.clear();
    return true;
  }
  case Kind::Wait:
    return beginWait(id);
  case Kind::Transfer:
    return beginTransfer(id, now);
  case Kind::Collective:
    return beginCollective(id, now);
  }
  return true;
}

void Engine::release(Id id, double start, double end) {
  spans[id].start = start;
  spans[id].end = end;
  ++all[program[id].stream].next;
  push(end, program[id].stream);
}

bool Engine::beginWait(Id id) {
  Event &event = events[program[id].operand];
  if (!event.recorded)
    event.waiters.push_back(id);
  return event.recorded;
}

bool Engine::beginTransfer(Id id, double now) {
  const Instruction &batch = program[id];
  if (batch.count)
    spans[id].start = std::numeric_limits<double>::infinity();
  for (Id m = batch.operand; m < batch.operand + batch.count; ++m) {
    if (messages[m].eager)
      settle(id, m, now, now);
    std::deque<Link::Entry> &waiting = links[messages[m].link].waiting;
    if (waiting.empty() || messages[waiting.front().message].send == messages[m].send) {
      waiting.push_back({id, m, now});
      continue;
    }
    const Link::Entry other = waiting.front();
    waiting.pop_front();
    meet(id, m, other, now);
    if (!mismatch.empty())
      return false;
  }
  return batch.open == 0;
}

/// Message `message` of the batch `id`, posted now, meets its counterpart, posted before.
void Engine::meet(Id id, Id message, const Link::Entry &other, double now) {
  const StoredMessage &mine = messages[message], &theirs = messages[other.message];
  if (mine.what != theirs.what) {
    mismatch.push_back({id, other.instruction, mine.what, theirs.what});
    return;
  }
  const StoredMessage &sent = mine.send ? mine : theirs;
  const double left = sent.eager && !mine.send ? other.time : now;
  const double end = std::max(now, left + sent.duration);
  if (!mine.eager)
    settle(id, message, now, end);
  if (!theirs.eager) {
    settle(other.instruction, other.message, now, end);
    const Span &span = spans[other.instruction];
    if (other.instruction != id && program[other.instruction].open == 0)
      release(other.instruction, span.start, span.end);
  }
}

void Engine::settle(Id id, Id message, double start, double end) {
  messages[message].done = true;
  --program[id].open;
  spans[id].start = std::min(spans[id].start, start);
  spans[id].end = std::max(spans[id].end, end);
}

bool Engine::beginCollective(Id id, double now) {
  const Instruction &instruction = program[id];
  Group &group = groups[instruction.operand];
  const std::size_t place = group.places[all[instruction.stream].rank];
  const std::size_t index = std::size_t(group.arrived[place]++ - group.past);
  if (index == group.rounds.size()) {
    group.rounds.emplace_back();
    group.rounds.back().arrived.assign(group.ranks.size(), none);
    group.rounds.back().first = id;
  }
  Round &round = group.rounds[index];
  if (program[round.first].what != instruction.what) {
    mismatch.push_back({id, round.first, instruction.what, program[round.first].what});
    return false;
  }
  round.arrived[place] = id;
  round.duration = std::max(round.duration, instruction.duration);
  if (++round.count < group.ranks.size())
    return false;
  const double end = now + round.duration;
  for (Id member : round.arrived)
    if (member != id)
      release(member, now, end);
  spans[id].end = end;
  // Whoever is in a later round was in this one before, so this is the first.
  group.rounds.pop_front();
  ++group.past;
  return true;
}

double Engine::makespan() const {
  double last = 0;
  for (const Stream &stream : all)
    if (stream.next)
      last = std::max(last, spans[stream.list[stream.next - 1]].end);
  return last;
}

// --- telling why ------------------------------------------------------------------------------

Blocked Engine::obstacles(Id stream) const {
  const Id id = all[stream].list[all[stream].next];
  const Instruction &instruction = program[id];
  Blocked blocked{stream, id, {}};
  if (instruction.kind == Kind::Wait) {
    const Id recorder = events[instruction.operand].recorder;
    const bool nobody = recorder == none;
    const Id of = nobody ? none : program[recorder].stream;
    blocked.on.push_back({Obstacle::Kind::Event, of, recorder, nobody ? -1 : all[of].rank, 0});
  } else if (instruction.kind == Kind::Transfer) {
    for (Id m = instruction.operand; m < instruction.operand + instruction.count; ++m) {
      const Link &link = links[messages[m].link];
      if (!messages[m].done)
        blocked.on.push_back({messages[m].send ? Obstacle::Kind::Send : Obstacle::Kind::Receive,
                              none, none, messages[m].send ? link.to : link.from,
                              messages[m].what});
    }
  } else if (instruction.kind == Kind::Collective) {
    const Group &group = groups[instruction.operand];
    const std::size_t place = group.places.at(all[stream].rank);
    for (const Round &round : group.rounds)
      if (round.arrived[place] == id)
        for (std::size_t other = 0; other < group.ranks.size(); ++other)
          if (round.arrived[other] == none)
            blocked.on.push_back(
                {Obstacle::Kind::Member, none, none, group.ranks[other], instruction.what});
  }
  return blocked;
}

std::string Engine::place(Id id, const Names &names) const {
  const Stream &stream = all[program[id].stream];
  return "rank " + std::to_string(stream.rank) + ", " + stream.name + ", " + names.instruction(id);
}

static std::string reason(const Obstacle &obstacle, const std::string &recorder,
                          const Engine::Names &names) {
  const std::string rank = "rank " + std::to_string(obstacle.rank);
  switch (obstacle.kind) {
  case Obstacle::Kind::Event:
    return obstacle.instruction == Engine::none ? "an event that nothing records"
                                                : "the event of " + recorder;
  case Obstacle::Kind::Send:
    return rank + " to receive " + names.what(obstacle.what);
  case Obstacle::Kind::Receive:
    return rank + " to send " + names.what(obstacle.what);
  case Obstacle::Kind::Member:
    return rank + " to join " + names.what(obstacle.what);
  }
  return {};
}

std::string Engine::explain(const Outcome &outcome, const Names &names) const {
  std::string text;
  for (const Mismatch &met : outcome.mismatch)
    text += place(met.first, names) + ": " + names.what(met.firstWhat) + " meets " +
            names.what(met.secondWhat) + " of " + place(met.second, names) + "\n";
  for (const Blocked &blocked : outcome.blocked) {
    text += place(blocked.instruction, names) + ": waits for ";
    for (std::size_t i = 0; i < blocked.on.size(); ++i) {
      const Id recorder = blocked.on[i].instruction;
      text +=
          (i ? ", for " : "") +
          reason(blocked.on[i], recorder == none ? std::string() : place(recorder, names), names);
    }
    text += "\n";
  }
  return text;
}

} // namespace hadal::rt
