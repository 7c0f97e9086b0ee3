// SPDX-License-Identifier: Apache-2.0
//
// Execution of programs without their work. Every stream goes on until it waits; since who meets
// whom is fixed by the programs, the order in which streams are tried changes nothing.

#include "runtime/program/TableText.h"
#include "runtime/program/ValidateRules.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <utility>

namespace hadal::rt {

Rendezvous::Rendezvous(const ProgramSet &set, Durations durations, bool eager)
    : set(set), durations(std::move(durations)), eager(eager) {
  for (std::uint32_t rank = 0; rank < set.ranks.size(); ++rank) {
    for (std::uint32_t s = 0; s < set.ranks[rank].timeline.streams(); ++s)
      streams.push_back({rank, s});
    events.emplace_back(set.program(rank).events(), -1);
    numbers.emplace_back(sizeOf(set.program(rank).instructions()), 0);
  }
}

const std::vector<std::uint32_t> &Rendezvous::listOf(const Stream &stream) const {
  return set.ranks[stream.rank].timeline.listOf(stream.number);
}

bool Rendezvous::run() {
  for (bool progress = true; progress;) {
    progress = false;
    for (Stream &stream : streams)
      while (stream.next < listOf(stream).size() && advance(stream))
        progress = true;
  }
  return std::all_of(streams.begin(), streams.end(),
                     [&](const Stream &s) { return s.next == listOf(s).size(); });
}

double Rendezvous::makespan() const {
  double end = 0;
  for (const Stream &stream : streams)
    end = std::max(end, stream.time);
  return end;
}

/// Ends the stream's next instruction (all of a batch); false where it has to wait.
bool Rendezvous::advance(Stream &stream) {
  const std::uint32_t index = listOf(stream)[stream.next];
  const bundle::Instruction &instruction = set.instruction(stream.rank, index);
  switch (instruction.opcode()) {
  case bundle::Opcode::wait:
    return wait(stream, instruction);
  case bundle::Opcode::send:
  case bundle::Opcode::receive:
    return transfer(stream);
  case bundle::Opcode::record:
    events[stream.rank][instruction.event()] = stream.time;
    break;
  default:
    if (Meeting meeting = meetingOf(set, stream.rank, instruction); meeting.ranks.size() > 1)
      return collective(stream, instruction);
    if (!durations.empty())
      stream.time += durations[stream.rank][index];
  }
  ++stream.next;
  return true;
}

bool Rendezvous::wait(Stream &stream, const bundle::Instruction &instruction) {
  const double time = events[stream.rank][instruction.event()];
  if (time < 0)
    return false;
  stream.time = std::max(stream.time, time);
  ++stream.next;
  return true;
}

/// Behind the last transfer of the batch that is next.
std::size_t Rendezvous::batchEnd(const Stream &stream) const {
  const std::vector<std::uint32_t> &list = listOf(stream);
  const Timeline &timeline = set.ranks[stream.rank].timeline;
  std::size_t end = stream.next;
  while (end < list.size() && timeline.placeOf(list[end]) == timeline.placeOf(list[stream.next]))
    ++end;
  return end;
}

bool Rendezvous::transfer(Stream &stream) {
  const std::size_t end = batchEnd(stream);
  double time = stream.time;
  bool met = true;
  for (std::size_t i = stream.next; i < end; ++i) {
    const std::uint32_t index = listOf(stream)[i];
    const bundle::Instruction &instruction = set.instruction(stream.rank, index);
    const bool sends = instruction.opcode() == bundle::Opcode::send;
    const std::uint32_t peer = std::uint32_t(instruction.peer());
    Channel &channel = channels[sends ? Key(stream.rank, peer) : Key(peer, stream.rank)];
    std::vector<double> &mine = sends ? channel.sends : channel.receives;
    const std::vector<double> &others = sends ? channel.receives : channel.sends;
    std::uint32_t &number = numbers[stream.rank][index];
    if (!stream.posted) {
      number = std::uint32_t(mine.size());
      mine.push_back(stream.time);
    }
    if (sends && eager)
      continue;
    met &= number < others.size();
    if (number < others.size())
      time = std::max(time, others[number]);
  }
  stream.posted = !met;
  if (!met)
    return false;
  stream.time = time;
  stream.next = end;
  return true;
}

bool Rendezvous::collective(Stream &stream, const bundle::Instruction &instruction) {
  const Meeting meeting = meetingOf(set, stream.rank, instruction);
  Group &group = groups[meeting.group];
  group.ranks = meeting.ranks;
  std::uint32_t &number = numbers[stream.rank][listOf(stream)[stream.next]];
  if (!stream.posted) {
    number = std::uint32_t(group.counts[stream.rank]++);
    if (group.rounds.size() <= number)
      group.rounds.resize(number + 1);
    Round &round = group.rounds[number];
    ++round.count;
    round.time = std::max(round.time, stream.time);
    stream.posted = true;
  }
  const Round &round = group.rounds[number];
  if (round.count < group.ranks.size())
    return false;
  stream.posted = false;
  stream.time = round.time;
  ++stream.next;
  return true;
}

const Rendezvous::Stream *Rendezvous::streamOf(std::uint32_t rank, std::uint32_t number) const {
  for (const Stream &stream : streams)
    if (stream.rank == rank && stream.number == number)
      return &stream;
  return nullptr;
}

/// Of a batch that has not met: the stream whose counterpart is missing.
const Rendezvous::Stream *Rendezvous::transferObstacle(const Stream &stream,
                                                       std::string &why) const {
  const std::size_t end = batchEnd(stream);
  for (std::size_t i = stream.next; i < end; ++i) {
    const std::uint32_t index = listOf(stream)[i];
    const bundle::Instruction &instruction = set.instruction(stream.rank, index);
    const bool sends = instruction.opcode() == bundle::Opcode::send;
    const std::uint32_t peer = std::uint32_t(instruction.peer());
    const Channel &channel = channels.at(sends ? Key(stream.rank, peer) : Key(peer, stream.rank));
    if (numbers[stream.rank][index] < (sends ? channel.receives : channel.sends).size())
      continue;
    why = std::string("for a ") + (sends ? "receive" : "send") + " of rank " + std::to_string(peer);
    return streamOf(peer, stream.number);
  }
  return nullptr;
}

const Rendezvous::Stream *Rendezvous::obstacleOf(const Stream &stream, std::string &why) const {
  const std::uint32_t index = listOf(stream)[stream.next];
  const bundle::Instruction &instruction = set.instruction(stream.rank, index);
  if (isTransfer(instruction.opcode()))
    return transferObstacle(stream, why);
  if (instruction.opcode() == bundle::Opcode::wait) {
    why = "for event " + std::to_string(instruction.event());
    for (std::uint32_t i = 0; i < sizeOf(set.program(stream.rank).instructions()); ++i) {
      const bundle::Instruction &other = set.instruction(stream.rank, i);
      if (other.opcode() == bundle::Opcode::record && other.event() == instruction.event())
        return streamOf(stream.rank, other.stream());
    }
    return nullptr;
  }
  const Meeting meeting = meetingOf(set, stream.rank, instruction);
  const Group &group = groups.at(meeting.group);
  for (std::uint32_t rank : meeting.ranks) {
    auto posted = group.counts.find(rank);
    if (posted != group.counts.end() && posted->second > numbers[stream.rank][index])
      continue;
    why = "for rank " + std::to_string(rank) + " of group " + meeting.group;
    return streamOf(rank, stream.number);
  }
  return nullptr;
}

std::string Rendezvous::explainStop() const {
  const Stream *at = nullptr;
  for (const Stream &stream : streams)
    if (!at && stream.next < listOf(stream).size())
      at = &stream;
  std::vector<const Stream *> way;
  std::vector<std::string> lines;
  while (at && at->next < listOf(*at).size() &&
         std::find(way.begin(), way.end(), at) == way.end()) {
    way.push_back(at);
    std::string why = "for what is not there";
    const Stream *next = obstacleOf(*at, why);
    lines.push_back(set.place(at->rank, listOf(*at)[at->next]) + " waits " + why);
    at = next;
  }
  // Only the ring: what leads to it waits because of it.
  auto first = std::find(way.begin(), way.end(), at);
  std::string text;
  for (std::size_t i = first == way.end() ? 0 : std::size_t(first - way.begin()); i < lines.size();
       ++i)
    text += "\n  " + lines[i];
  return text;
}

void checkProgress(const ProgramSet &set) {
  Rendezvous run(set, {}, /*eager=*/false);
  if (!run.run())
    throw InputError("program " + set.name + ": deadlock" + run.explainStop());
}

} // namespace hadal::rt
