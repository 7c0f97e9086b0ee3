// SPDX-License-Identifier: Apache-2.0
//
// See Judge.h.

#include "runtime/transport/Judge.h"

#include <algorithm>
#include <cstdio>

namespace hadal::rt {

using State = StreamSnapshot::State;

static std::string seconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", value);
  return text;
}

static std::string name(int rank) { return "rank " + std::to_string(rank); }

void Judge::heard(int rank, RankSnapshot snapshot, double now) {
  Seen &s = at(rank);
  if (!s.ever || snapshot.counter() != s.last.counter())
    s.changed = now;
  s.streamChanged.resize(snapshot.streams.size(), now);
  for (std::size_t i = 0; i < snapshot.streams.size(); ++i)
    if (i >= s.last.streams.size() || snapshot.streams[i].counter != s.last.streams[i].counter)
      s.streamChanged[i] = now;
  s.ever = true;
  s.heard = now;
  s.last = std::move(snapshot);
}

bool Judge::allFinished() const {
  return std::all_of(seen.begin(), seen.end(), [](const Seen &s) { return s.done; });
}

void Judge::forgivePause(double now) {
  const double pause = lastVerdict < 0 ? 0 : now - lastVerdict;
  lastVerdict = now;
  if (pause < 1)
    return;
  for (Seen &s : seen) {
    s.heard = std::min(now, s.heard + pause);
    s.changed = std::min(now, s.changed + pause);
    for (double &changed : s.streamChanged)
      changed = std::min(now, changed + pause);
  }
}

std::optional<Failure> Judge::verdict(double now) {
  forgivePause(now);
  for (auto rule : {&Judge::silence, &Judge::stuck, &Judge::stuckStream, &Judge::deadlock})
    if (std::optional<Failure> failure = (this->*rule)(now))
      return failure;
  return std::nullopt;
}

std::optional<Failure> Judge::silent(double now) {
  forgivePause(now);
  return silence(now);
}

Failure Judge::failureOf(int rank, Failure::Kind kind, std::string what, double now) const {
  Failure failure;
  failure.kind = kind;
  failure.rank = rank;
  failure.what = std::move(what);
  if (at(rank).ever) {
    failure.last = at(rank).last;
    failure.before = std::max(0.0, now - at(rank).heard);
  }
  return failure;
}

std::optional<Failure> Judge::silence(double now) const {
  const double limit = hurried ? options.silentWhenStopping : options.silent;
  for (int rank = 0; rank < int(seen.size()); ++rank)
    if (at(rank).ever && now - at(rank).heard >= limit)
      return failureOf(rank, Failure::Kind::Silent,
                       name(rank) + " is silent: no heartbeat for " + seconds(limit), now);
  return std::nullopt;
}

// The limits below are measured up to the last heartbeat: a silent rank is not a stuck one.
std::optional<Failure> Judge::stuck(double now) const {
  const double limit = hurried ? std::min(options.stuckWhenStopping, options.stuck) : options.stuck;
  for (int rank = 0; rank < int(seen.size()); ++rank) {
    const Seen &s = at(rank);
    if (s.ever && !s.done && !s.last.patient && !s.last.waiting() && s.heard - s.changed >= limit)
      return failureOf(rank, Failure::Kind::Stuck,
                       name(rank) + " is stuck: it got nothing done for " + seconds(limit), now);
  }
  return std::nullopt;
}

// A rank of which one stream waits for a peer may wait rightly, or in vain because another of its
// streams is stuck; who is stuck without doubt is found a little earlier, by the rule above.
std::optional<Failure> Judge::stuckStream(double now) const {
  const double limit = (options.stuck + options.deadlock) / 2;
  for (int rank = 0; rank < int(seen.size()); ++rank) {
    const Seen &s = at(rank);
    if (!s.ever || s.done || s.last.patient || !s.last.waiting())
      continue;
    for (std::size_t i = 0; i < s.last.streams.size(); ++i)
      if (s.last.streams[i].state == State::Computes && s.heard - s.streamChanged[i] >= limit)
        return failureOf(rank, Failure::Kind::Stuck,
                         name(rank) + " is stuck: its stream " + std::to_string(i) +
                             " got nothing done for " + seconds(limit),
                         now);
  }
  return std::nullopt;
}

std::optional<Failure> Judge::deadlock(double now) const {
  int first = -1;
  for (int rank = 0; rank < int(seen.size()); ++rank) {
    const Seen &s = at(rank);
    if (s.done)
      continue;
    if (!s.ever || !s.last.waiting() || s.heard - s.changed < options.deadlock)
      return std::nullopt;
    if (first < 0)
      first = rank;
  }
  if (first < 0)
    return std::nullopt;
  Failure failure = failureOf(
      first, Failure::Kind::Deadlock,
      "deadlock: nobody got anything done for " + seconds(options.deadlock) + ": " + circle(), now);
  failure.before = -1; // nobody's in particular
  return failure;
}

// Follows who waits for whom, from the lowest rank, until a rank comes up again or one that is
// done.
std::string Judge::circle() const {
  std::vector<int> path;
  int rank = 0;
  while (at(rank).done)
    ++rank;
  while (std::find(path.begin(), path.end(), rank) == path.end() && !at(rank).done) {
    path.push_back(rank);
    const int peer = at(rank).last.waiting()->peer;
    if (peer < 0 || peer >= int(seen.size()))
      break;
    rank = peer;
  }
  auto start = std::find(path.begin(), path.end(), rank);
  if (start == path.end()) // ends at one that is done
    start = path.begin();
  std::string text;
  for (auto r = start; r != path.end(); ++r) {
    const StreamSnapshot &w = *at(*r).last.waiting();
    text += (text.empty() ? "" : ", ") + name(*r) + " waits for " + name(w.peer) + " on channel " +
            std::to_string(w.channel);
  }
  return at(rank).done ? text + ", which has finished" : text;
}

} // namespace hadal::rt
