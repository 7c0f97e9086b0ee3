// SPDX-License-Identifier: Apache-2.0
//
// Discrete events over the streams of many ranks: when does what start and end, and who waits for
// whom when nothing goes on. It knows durations only; what an instruction means, and how long it
// takes, is the caller's affair.
//
// Use: add streams, events and groups, append instructions to the streams in program order, run()
// once, read span() of each instruction. All times are in the caller's unit and start at 0. An
// instruction's id is its number in the order of appending, so callers keep what they know of it in
// an array beside.
//
// Rules. A stream does one instruction after the other.
// - work takes its duration.
// - record marks the event at the time the stream arrives there; wait holds its stream until then.
// - transfer is a batch of messages, posted together when the stream arrives there; it ends when
//   all of them are done. Messages from rank a to rank b in a channel meet in the order of posting.
//   A message starts when both its send and its receive are posted, and both are done its duration
//   later. An eager one leaves when it is posted: its send is done at once, its receive when the
//   message has arrived (its duration later) and the receive is posted.
// - collective starts when every member of the group has arrived at its own next collective of that
//   group, and ends the largest of their durations later.

#ifndef HADAL_RUNTIME_SIMULATE_ENGINE_H
#define HADAL_RUNTIME_SIMULATE_ENGINE_H

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace hadal::rt {

/// One message of a batch, seen from the rank that posts it.
struct Message {
  bool send = true;
  int peer = 0;
  /// What it is, in the caller's numbers; send and receive must agree.
  std::uint64_t what = 0;
  double duration = 0; ///< the send's counts
  bool eager = false;  ///< the send's counts
  /// Messages in different channels do not wait for each other.
  std::uint32_t channel = 0;
};

/// When an instruction was reached, began and ended. Between posted and start it waits: for the
/// first counterpart of its messages, for the other members of its group; a wait for an event
/// starts when it ends. Means nothing for an instruction that did not end.
struct Span {
  double posted = 0, start = 0, end = 0;
};

/// What an instruction waits for: its place when nothing goes on.
struct Obstacle {
  enum class Kind { Event, Send, Receive, Member };
  Kind kind;
  /// Event: the stream that would record it, or Engine::none. Send and Receive: unused.
  std::uint32_t stream;
  /// Event: the instruction that would record it, or Engine::none.
  std::uint32_t instruction;
  int rank;           ///< the peer or the missing member
  std::uint64_t what; ///< of the message or the collective
};

/// A stream that stands still.
struct Blocked {
  std::uint32_t stream, instruction;
  std::vector<Obstacle> on;
};

/// Two instructions that met and do not agree on what they do.
struct Mismatch {
  std::uint32_t first, second;
  std::uint64_t firstWhat, secondWhat;
};

struct Outcome {
  /// Streams that did not come to their end, by stream; empty when all did.
  std::vector<Blocked> blocked;
  /// Empty, or the one at which the simulation was given up.
  std::vector<Mismatch> mismatch;
  bool finished() const { return blocked.empty() && mismatch.empty(); }
};

class Engine {
public:
  using Id = std::uint32_t;
  static constexpr Id none = ~Id(0);

  Id addStream(int rank, std::string name);
  Id addEvent();
  /// Each rank at most once.
  Id addGroup(const std::vector<int> &ranks);

  Id work(Id stream, double duration);
  /// Each event is recorded by one instruction at most.
  Id record(Id stream, Id event);
  Id wait(Id stream, Id event);
  Id transfer(Id stream, const std::vector<Message> &batch);
  Id collective(Id stream, Id group, std::uint64_t what, double duration);

  /// Simulates all of it; once.
  Outcome run();

  const Span &span(Id instruction) const { return spans[instruction]; }
  /// The end of the last instruction.
  double makespan() const;
  Id instructions() const { return Id(program.size()); }
  Id streams() const { return Id(all.size()); }
  int rankOf(Id stream) const { return all[stream].rank; }
  const std::string &nameOf(Id stream) const { return all[stream].name; }
  Id streamOf(Id instruction) const { return program[instruction].stream; }

  /// How the caller calls things, for explain().
  struct Names {
    std::function<std::string(Id)> instruction;
    std::function<std::string(std::uint64_t)> what;
  };
  /// Why it did not finish, one line for each stream that stands still.
  std::string explain(const Outcome &outcome, const Names &names) const;

private:
  enum class Kind : std::uint8_t { Work, Record, Wait, Transfer, Collective };
  struct Instruction {
    Id stream;
    Id operand; ///< event, group, or first message
    Id count;   ///< of a transfer: its messages
    Id open;    ///< of a transfer: its messages that are not done
    double duration;
    std::uint64_t what;
    Kind kind;
  };
  struct Stream {
    int rank;
    std::string name;
    std::vector<Id> list;
    std::size_t next = 0;
  };
  struct Event {
    Id recorder = none;
    bool recorded = false;
    std::vector<Id> waiters; ///< instructions
  };
  struct StoredMessage {
    std::uint64_t what;
    double duration;
    Id link;
    bool send, eager, done;
  };
  /// The messages from one rank to another in one channel that have not met yet: all of them sends
  /// or all of them receives.
  struct Link {
    int from, to;
    struct Entry {
      Id instruction, message;
      double time;
    };
    std::deque<Entry> waiting;
  };
  /// A collective that some members have arrived at.
  struct Round {
    std::vector<Id> arrived; ///< instructions by place, none for those missing
    std::size_t count = 0;
    Id first = none;
    double duration = 0;
  };
  struct Group {
    std::vector<int> ranks;             ///< by place
    std::map<int, std::size_t> places;  ///< by rank
    std::vector<std::uint64_t> arrived; ///< by place: the rounds it has arrived at
    std::uint64_t past = 0;             ///< rounds that are done
    std::deque<Round> rounds;           ///< those that are not
  };
  struct Ready {
    double time;
    Id stream;
    bool operator>(const Ready &other) const {
      return std::tie(time, stream) > std::tie(other.time, other.stream);
    }
  };

  Id append(Id stream, const Instruction &instruction);
  Id linkOf(int from, int to, std::uint32_t channel);
  void push(double time, Id stream);
  void advance(Id stream, double time);
  /// Whether the instruction, reached now, ends by what is known so far; then span().end is set.
  bool begin(Id id, double now);
  bool beginWait(Id id);
  bool beginTransfer(Id id, double now);
  bool beginCollective(Id id, double now);
  void meet(Id id, Id message, const Link::Entry &other, double now);
  void settle(Id id, Id message, double start, double end);
  /// Ends an instruction whose stream stood still.
  void release(Id id, double start, double end);
  Blocked obstacles(Id stream) const;
  std::string place(Id id, const Names &names) const;

  std::vector<Stream> all;
  std::vector<Instruction> program;
  std::vector<Span> spans;
  std::vector<Event> events;
  std::vector<StoredMessage> messages;
  std::map<std::tuple<int, int, std::uint32_t>, Id> linkIds;
  std::vector<Link> links;
  std::vector<Group> groups;
  std::vector<Ready> heap;
  std::vector<Mismatch> mismatch;
  bool ran = false;
};

} // namespace hadal::rt

#endif
