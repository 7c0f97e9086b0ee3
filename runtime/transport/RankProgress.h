// SPDX-License-Identifier: Apache-2.0
//
// Where a rank is: written by its streams with plain atomic stores, read by the control plane for
// heartbeats and reports.

#ifndef HADAL_RUNTIME_TRANSPORT_RANKPROGRESS_H
#define HADAL_RUNTIME_TRANSPORT_RANKPROGRESS_H

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace hadal::rt {

/// Names the instructions of a program in reports. Called from the control plane's thread, with
/// any number.
class InstructionNames {
public:
  virtual ~InstructionNames() = default;
  virtual std::string describe(std::uint32_t instruction) const = 0;
};

/// What a stream does at a moment.
struct StreamSnapshot {
  /// Idle: outside a program. ForPeer: waits for a message. ForEvent: waits for another stream of
  /// its own rank.
  enum class State { Idle, Computes, ForPeer, ForEvent } state = State::Idle;
  std::uint64_t counter = 0; // grows with everything that gets done
  std::uint32_t instruction = 0;
  std::string text; // of the instruction
  int peer = -1, channel = -1;
};

/// What a rank does at a moment.
struct RankSnapshot {
  std::int64_t step = -1; // none yet
  /// What it does outside of programs ("saves a checkpoint"); may take long when `patient`.
  std::string activity;
  bool patient = true;
  std::vector<StreamSnapshot> streams; // by number; idle ones at the end are left out

  std::uint64_t changes = 0; // of step and activity
  /// Everything that got done.
  std::uint64_t counter() const;
  /// The first stream that waits for a peer, or null.
  const StreamSnapshot *waiting() const;
  /// "step 3, instruction 17 (receive x), waits for rank 2 on channel 1".
  std::string text() const;
  /// As bytes for a message, and back; throws RunError on bytes that are none.
  std::string encode() const;
  static RankSnapshot decode(const std::string &bytes);
};

/// One stream's part. Its thread calls these; all are cheap but enter() and leave().
class alignas(64) StreamProgress {
public:
  /// The thread begins to execute a program; `names` lives until leave(), which must come in any
  /// case (class Program sees to it).
  void enter(const InstructionNames &names);
  void leave();
  /// Instruction `index` begins.
  void at(std::uint32_t index) {
    instruction.store(index, std::memory_order_relaxed);
    tick();
  }
  /// Something got done (a long instruction calls it now and then: six seconds without are a
  /// failure, "stuck").
  void tick() { counter.fetch_add(1, std::memory_order_relaxed); }
  /// Waits for a message. Transport::wait calls this, and become() with what was before.
  void waitsForPeer(int peer, int channel);
  /// Waits for another stream of this rank. An executor must call it before it waits for an event,
  /// and computes() after, or else the waiting stream is taken for stuck.
  void waitsForEvent() { become(StreamSnapshot::State::ForEvent); }
  void computes() { become(StreamSnapshot::State::Computes); }
  StreamSnapshot::State state() const { return now.load(std::memory_order_relaxed); }
  void become(StreamSnapshot::State state) {
    now.store(state, std::memory_order_relaxed);
    tick();
  }

  /// Of the calling thread, or null.
  static StreamProgress *current();
  /// Makes a stream the calling thread's while it lives.
  class Use {
  public:
    explicit Use(StreamProgress &stream);
    ~Use();
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;

  private:
    StreamProgress *before;
  };

  /// A stream is in a program while it lives.
  class Program {
  public:
    Program(StreamProgress &stream, const InstructionNames &names) : stream(stream) {
      stream.enter(names);
    }
    ~Program() { stream.leave(); }
    Program(const Program &) = delete;
    Program &operator=(const Program &) = delete;

  private:
    StreamProgress &stream;
  };

  StreamSnapshot snapshot() const;

private:
  std::atomic<std::uint64_t> counter{0};
  std::atomic<std::uint32_t> instruction{0};
  std::atomic<StreamSnapshot::State> now{StreamSnapshot::State::Idle};
  std::atomic<std::uint64_t> target{0}; // peer and channel
  mutable std::mutex mutex;             // guards names
  const InstructionNames *names = nullptr;
};

/// A rank's board. Until the first step() a rank may take as long as it likes.
class RankProgress {
public:
  static constexpr int kStreams = 8;

  StreamProgress &stream(int index) { return streams[std::size_t(index)]; }
  /// Step `step` begins.
  void step(std::int64_t step);
  RankSnapshot snapshot() const;

  /// While it lives the rank does something outside of programs that may take long (loads, saves,
  /// evaluates); `what` completes "rank 3 ...". Nested ones hide the outer.
  class Activity {
  public:
    Activity(RankProgress &progress, std::string what);
    ~Activity();
    Activity(const Activity &) = delete;
    Activity &operator=(const Activity &) = delete;

  private:
    RankProgress &progress;
  };

private:
  std::array<StreamProgress, kStreams> streams;
  std::atomic<std::int64_t> currentStep{-1};
  std::atomic<std::uint64_t> changes{0}; // of step and activity
  mutable std::mutex mutex;              // guards what follows
  std::vector<std::string> activities;
};

} // namespace hadal::rt

#endif
