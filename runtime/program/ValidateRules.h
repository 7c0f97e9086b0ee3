// SPDX-License-Identifier: Apache-2.0
//
// The rules that Validate.h names, one function each. Indices of the table are sound (verifyTable).
// A function returns what it counted and throws InputError at what breaks its rule.

#ifndef HADAL_RUNTIME_PROGRAM_VALIDATERULES_H
#define HADAL_RUNTIME_PROGRAM_VALIDATERULES_H

#include "runtime/program/Timeline.h"
#include "runtime/program/Validate.h"

#include <map>
#include <string>
#include <vector>

namespace hadal::rt {

/// A program and its order.
struct RankProgram {
  const bundle::Program *program;
  Timeline timeline;
};

/// Programs of one name, by pipeline rank.
struct ProgramSet {
  const bundle::Bundle *table;
  std::string name;
  std::vector<RankProgram> ranks;

  const bundle::Program &program(std::size_t rank) const { return *ranks[rank].program; }
  const bundle::Instruction &instruction(std::size_t rank, std::uint32_t index) const {
    return *program(rank).instructions()->Get(index);
  }
  /// "program gradients of rank 3: instruction 12 (...)".
  std::string place(std::size_t rank, std::uint32_t index) const;
};

/// Events are recorded once and waited for behind that.
void checkEvents(const ProgramSet &set);
/// Nothing is read before it is written, or used beside or after another use of its memory.
std::uint64_t checkMemory(const bundle::Bundle &table, const RankProgram &rank);
/// Forward before backward before weight gradients; all micro-batches alike.
std::uint64_t checkPhases(const ProgramSet &set);
/// Instructions belong to the chunks that they name.
void checkChunks(const ProgramSet &set);
/// Sends meet receives.
std::uint64_t checkTransfers(const ProgramSet &set);
/// Collectives meet, in one order.
std::uint64_t checkCollectives(const ProgramSet &set);
/// All streams of all ranks come to their end.
void checkProgress(const ProgramSet &set);
/// At unit times; nothing for programs without chunks.
std::optional<BubbleProof> measureBubble(const ProgramSet &set);

/// A group of a collective: what it is called, and the pipeline ranks that take part.
struct Meeting {
  std::string group;
  std::vector<std::uint32_t> ranks;
};
/// The group that an instruction of `rank` meets; no ranks for what is no collective. An exchange
/// is among replicas, which all run one program: only its own rank takes part.
Meeting meetingOf(const ProgramSet &set, std::size_t rank, const bundle::Instruction &instruction);

/// A part of a chunk: "F0.3".
struct ChunkPart {
  char kind; ///< F, B (both gradients), I (of the input) or W
  std::int32_t direction, number;
};
/// Of "F0.3" or "F0.4+B1.1"; empty where the text is of another form.
std::vector<ChunkPart> chunkParts(const std::string &text);
/// The micro-batch of the step that a part is of: direction 1 of dualpipe has the second half.
std::int32_t microBatchOf(const bundle::Training &training, const ChunkPart &part);

/// Runs a set of programs: everything takes the time it is given, and the order is what counts.
class Rendezvous {
public:
  /// Of an instruction; by rank. Empty: all take none.
  using Durations = std::vector<std::vector<double>>;
  /// eager: who sends is not held up.
  Rendezvous(const ProgramSet &set, Durations durations, bool eager);

  /// Whether all came to their end.
  bool run();
  /// One line for each of a ring of streams that wait for each other.
  std::string explainStop() const;
  double makespan() const;

private:
  struct Stream {
    std::uint32_t rank, number;
    std::size_t next = 0; // in the timeline's list
    double time = 0;
    bool posted = false; // its batch or collective
  };
  struct Channel {                       // from one rank to another
    std::vector<double> sends, receives; // times of posting
  };
  struct Round { // collectives of a group, by number
    std::vector<double> arrived;
    std::size_t count = 0;
    double time = 0;
  };
  struct Group {
    std::vector<std::uint32_t> ranks;
    std::map<std::uint32_t, std::size_t> counts; // by rank: posted
    std::vector<Round> rounds;
  };
  using Key = std::pair<std::uint32_t, std::uint32_t>;

  const std::vector<std::uint32_t> &listOf(const Stream &stream) const;
  bool advance(Stream &stream);
  bool wait(Stream &stream, const bundle::Instruction &instruction);
  bool transfer(Stream &stream);
  bool collective(Stream &stream, const bundle::Instruction &instruction);
  std::size_t batchEnd(const Stream &stream) const;
  /// The stream that this one waits for, and why.
  const Stream *obstacleOf(const Stream &stream, std::string &why) const;
  const Stream *transferObstacle(const Stream &stream, std::string &why) const;
  const Stream *streamOf(std::uint32_t rank, std::uint32_t number) const;

  const ProgramSet &set;
  const Durations durations;
  bool eager;
  std::vector<Stream> streams;
  std::vector<std::vector<double>> events; // by rank: the time, or negative
  std::map<Key, Channel> channels;
  // By rank and instruction: its number in its channel or group, once posted.
  std::vector<std::vector<std::uint32_t>> numbers;
  std::map<std::string, Group> groups;
};

} // namespace hadal::rt

#endif
