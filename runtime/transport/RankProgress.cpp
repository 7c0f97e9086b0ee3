// SPDX-License-Identifier: Apache-2.0
//
// See RankProgress.h.

#include "runtime/transport/RankProgress.h"

#include "runtime/support/Error.h"

#include <nlohmann/json.hpp>

namespace hadal::rt {

using State = StreamSnapshot::State;

static thread_local StreamProgress *currentStream = nullptr;

StreamProgress *StreamProgress::current() { return currentStream; }

StreamProgress::Use::Use(StreamProgress &stream) : before(currentStream) {
  currentStream = &stream;
}
StreamProgress::Use::~Use() { currentStream = before; }

void StreamProgress::enter(const InstructionNames &program) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    names = &program;
  }
  instruction.store(0, std::memory_order_relaxed);
  become(State::Computes);
}

void StreamProgress::leave() {
  become(State::Idle);
  std::lock_guard<std::mutex> lock(mutex);
  names = nullptr;
}

void StreamProgress::waitsForPeer(int peer, int channel) {
  target.store(std::uint64_t(std::uint32_t(peer)) << 32 | std::uint32_t(channel),
               std::memory_order_relaxed);
  become(State::ForPeer);
}

StreamSnapshot StreamProgress::snapshot() const {
  StreamSnapshot result;
  result.counter = counter.load(std::memory_order_relaxed);
  result.state = now.load(std::memory_order_relaxed);
  result.instruction = instruction.load(std::memory_order_relaxed);
  if (result.state == State::ForPeer) {
    std::uint64_t both = target.load(std::memory_order_relaxed);
    result.peer = int(both >> 32);
    result.channel = int(both & 0xffffffff);
  }
  std::lock_guard<std::mutex> lock(mutex);
  if (names)
    result.text = names->describe(result.instruction);
  return result;
}

void RankProgress::step(std::int64_t step) {
  currentStep.store(step, std::memory_order_relaxed);
  changes.fetch_add(1, std::memory_order_relaxed);
}

RankSnapshot RankProgress::snapshot() const {
  RankSnapshot result;
  result.step = currentStep.load(std::memory_order_relaxed);
  result.changes = changes.load(std::memory_order_relaxed);
  for (const StreamProgress &stream : streams)
    result.streams.push_back(stream.snapshot());
  while (!result.streams.empty() && result.streams.back().state == State::Idle &&
         !result.streams.back().counter)
    result.streams.pop_back();
  std::lock_guard<std::mutex> lock(mutex);
  result.patient = result.step < 0 || !activities.empty();
  if (!activities.empty())
    result.activity = activities.back();
  return result;
}

RankProgress::Activity::Activity(RankProgress &progress, std::string what) : progress(progress) {
  progress.changes.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard<std::mutex> lock(progress.mutex);
  progress.activities.push_back(std::move(what));
}

RankProgress::Activity::~Activity() {
  progress.changes.fetch_add(1, std::memory_order_relaxed);
  std::lock_guard<std::mutex> lock(progress.mutex);
  progress.activities.pop_back();
}

std::uint64_t RankSnapshot::counter() const {
  std::uint64_t total = changes;
  for (const StreamSnapshot &stream : streams)
    total += stream.counter;
  return total;
}

const StreamSnapshot *RankSnapshot::waiting() const {
  for (const StreamSnapshot &stream : streams)
    if (stream.state == State::ForPeer)
      return &stream;
  return nullptr;
}

static std::string textOf(const StreamSnapshot &stream, bool inProgram) {
  std::string text;
  if (inProgram) {
    text = "instruction " + std::to_string(stream.instruction);
    if (!stream.text.empty())
      text += " (" + stream.text + ")";
    text += ", ";
  }
  if (stream.state == State::ForPeer)
    return text + "waits for rank " + std::to_string(stream.peer) + " on channel " +
           std::to_string(stream.channel);
  return text + (stream.state == State::ForEvent ? "waits for another stream" : "computes");
}

std::string RankSnapshot::text() const {
  std::string result = step < 0 ? "before the first step" : "step " + std::to_string(step);
  if (!activity.empty())
    result += ", " + activity;
  std::string separator = ", ";
  // What waits for a peer says most, then what computes.
  for (State wanted : {State::ForPeer, State::Computes, State::ForEvent})
    for (const StreamSnapshot &stream : streams)
      if (stream.state == wanted) {
        result += separator + textOf(stream, !stream.text.empty());
        separator = "; ";
      }
  return result;
}

std::string RankSnapshot::encode() const {
  nlohmann::json list = nlohmann::json::array();
  for (const StreamSnapshot &s : streams)
    list.push_back({int(s.state), s.counter, s.instruction, s.text, s.peer, s.channel});
  nlohmann::json all = {step, changes, activity, patient, std::move(list)};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

RankSnapshot RankSnapshot::decode(const std::string &bytes) {
  RankSnapshot result;
  try {
    nlohmann::json all = nlohmann::json::parse(bytes);
    all.at(0).get_to(result.step);
    all.at(1).get_to(result.changes);
    all.at(2).get_to(result.activity);
    all.at(3).get_to(result.patient);
    for (const nlohmann::json &item : all.at(4)) {
      StreamSnapshot s;
      int state = item.at(0).get<int>();
      if (state < 0 || state > int(State::ForEvent))
        throw RunError("progress of a rank: no such state");
      s.state = State(state);
      item.at(1).get_to(s.counter);
      item.at(2).get_to(s.instruction);
      item.at(3).get_to(s.text);
      item.at(4).get_to(s.peer);
      item.at(5).get_to(s.channel);
      result.streams.push_back(std::move(s));
    }
  } catch (const nlohmann::json::exception &error) {
    throw RunError(std::string("progress of a rank: ") + error.what());
  }
  return result;
}

} // namespace hadal::rt
